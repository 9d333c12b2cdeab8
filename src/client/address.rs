//! Where a key of a service is: `unix:PATH?key=0x...`, and what may stand behind it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::bad_address;
use crate::error::Error;
use crate::text::Foreign;

const PREFIX: &str = "unix:";

/// What a request says that it is for, where the address does not say it.
const DUTY: &str = "GENERIC";
/// What it can be for.
pub(super) const DUTIES: [&str; 3] = ["ATTESTATION", "BLOCK", DUTY];

const TIMEOUT_MS: u64 = 10_000;
const TIMEOUT_MS_MAX: u64 = 600_000;

/// The address of a key that a service holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The socket of the service.
    pub(super) socket: PathBuf,
    /// The public key, in SSZ.
    pub(super) public_key: Vec<u8>,
    /// A file with the token that the service asks for.
    pub(super) token_file: Option<PathBuf>,
    /// One of [`DUTIES`].
    pub(super) duty: &'static str,
    /// How long a call may take.
    pub(super) timeout: Duration,
}

impl Address {
    /// Reads an address; `None` if the text is none, and so the path of a directory.
    ///
    /// # Errors
    /// What is wrong with it, as [`FailureKind::Usage`](crate::FailureKind::Usage).
    pub(crate) fn parse(text: &str) -> Option<Result<Self, Error>> {
        let rest = text.strip_prefix(PREFIX)?;
        Some(read(rest).map_err(|why| bad_address(text, &why)))
    }

    /// The same as a text, in which each byte of a path is an escape.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn escaped(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let escape = |byte: &u8| format!("%{byte:02x}");
        let path = |path: &PathBuf| path.as_os_str().as_bytes().iter().map(escape).collect::<String>();
        let token_file = self
            .token_file
            .as_ref()
            .map_or_else(String::new, |file| format!("&token-file={}", path(file)));
        format!(
            "{PREFIX}{}?key=0x{}&type={}&timeout-ms={}{token_file}",
            path(&self.socket),
            hex::encode(&self.public_key),
            self.duty,
            self.timeout.as_millis()
        )
    }
}

fn read(rest: &str) -> Result<Address, String> {
    let (socket, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut public_key, mut token_file, mut duty, mut timeout_ms) = (None, None, None, None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let is_first = match name {
            "key" => public_key.replace(key_of(value)?).is_none(),
            "token-file" => token_file.replace(path_of(value, name)?).is_none(),
            "type" => duty.replace(duty_of(value)?).is_none(),
            "timeout-ms" => timeout_ms.replace(timeout_of(value)?).is_none(),
            other => {
                return Err(format!(
                    "'{}' cannot stand in it; key, token-file, type and timeout-ms can",
                    Foreign(other)
                ));
            }
        };
        if !is_first {
            return Err(format!("{name} stands in it twice"));
        }
    }
    Ok(Address {
        socket: path_of(socket, "the socket")?,
        public_key: public_key.ok_or("it does not name a public key (key=0x...)")?,
        token_file,
        duty: duty.unwrap_or(DUTY),
        timeout: Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_MS)),
    })
}

fn key_of(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).ok().filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| format!("'{}' is not a public key: that is 0x and hex digits", Foreign(text)))
}

/// A path, in which `%` and two hex digits stand for a byte.
fn path_of(text: &str, what: &str) -> Result<PathBuf, String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| hex::decode(digits).ok());
        let byte = byte.ok_or_else(|| format!("in the path of {what}, % is not followed by two hex digits"))?;
        bytes.extend(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(format!("the path of {what} is empty or has a zero byte"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn duty_of(text: &str) -> Result<&'static str, String> {
    let duty = DUTIES.into_iter().find(|duty| *duty == text);
    duty.ok_or_else(|| format!("the type is '{}'; it is one of {}", Foreign(text), DUTIES.join(", ")))
}

fn timeout_of(text: &str) -> Result<u64, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let timeout_ms = text.parse().ok().filter(|_| is_number);
    let timeout_ms = timeout_ms.filter(|timeout_ms| (1..=TIMEOUT_MS_MAX).contains(timeout_ms));
    timeout_ms.ok_or_else(|| format!("timeout-ms is a number from 1 to {TIMEOUT_MS_MAX}"))
}
