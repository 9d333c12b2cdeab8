//! The names under which a service can be reached from a browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::request::Parts;

/// A page of anybody can have its name lead to this machine after it was loaded, and a browser then takes the service for a part of
/// that page. The header `Host` keeps the name, so only names that cannot be taken over are served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// Also asked for by the listener that signs: it can be reached from a browser of this machine.
    pub(crate) guard_signing: bool,
    /// Names beside `localhost`.
    pub(crate) names: Vec<String>,
}

impl Hosts {
    /// Whether a request names an address, `localhost`, or a name of the service.
    pub(super) fn are_named_by(&self, parts: &Parts) -> bool {
        // A whole address in the first line takes the place of the header (RFC 9112, section 3.2.2).
        if let Some(authority) = parts.uri.authority() {
            return self.is_known(authority.as_str());
        }
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.is_known(host))
    }

    fn is_known(&self, host: &str) -> bool {
        if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return address.parse::<Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        let name = match host.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
            None => host,
        };
        let mut names = self.names.iter().map(String::as_str).chain(["localhost"]);
        name.parse::<Ipv4Addr>().is_ok() || names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    #[test]
    fn addresses_localhost_and_given_names_are_served_and_no_other_names() {
        let hosts = Hosts {
            guard_signing: true,
            names: vec!["Signer.internal".to_owned()],
        };
        for right in [
            "127.0.0.1",
            "10.1.2.3:9000",
            "[::1]",
            "[::1]:9000",
            "localhost",
            "LOCALHOST:1",
            "signer.internal:9000",
        ] {
            assert!(hosts.is_known(right), "{right}");
        }
        for wrong in [
            "",
            "page.example",
            "localhost.page.example",
            "127.0.0.1.page.example:9000",
            "page.example:9000",
            "::1",
            "[page.example]",
            "[::1]x",
            "localhost:",
            "localhost:9000@page.example",
            "user@localhost",
            "0x7f000001",
        ] {
            assert!(!hosts.is_known(wrong), "{wrong}");
        }
    }
}
