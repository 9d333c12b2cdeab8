use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::{ClientConfig, ClientConnection, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::ServerConnection;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    CertificateError, Error as TlsError, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

use super::fingerprints::FingerprintVerifier;
use super::known_clients::{Fingerprint, KnownClients};
use super::options::{ClientsFile, TlsFiles};
use super::tls::load;
use crate::failure::FailureKind;
use crate::skip::skip;

const DAY: Duration = Duration::from_hours(24);

/// Certificates that sign themselves, each `NAME.pem` with the key `NAME.key`, valid for a day from now.
struct Certificates(tempfile::TempDir);

impl Certificates {
    /// None if openssl(1) is missing, which is said then.
    fn make(names: &[&str]) -> Option<Self> {
        let made = Self(tempfile::tempdir().unwrap());
        for name in names {
            let line = format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -keyout {name}.key -out {name}.pem -days 1 \
                 -subj /CN={name} -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
            );
            let mut command = Command::new("openssl");
            command.args(line.split_whitespace()).current_dir(made.0.path());
            if !command.output().is_ok_and(|output| output.status.success()) {
                skip("openssl is missing here, or is too old");
                return None;
            }
        }
        Some(made)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    /// What a client shows who has this certificate and this key, which need not be those of one another.
    fn shown(&self, certificate: &str, key: &str) -> SingleCertAndKey {
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{key}.key"))).unwrap();
        let key = provider().key_provider.load_private_key(key).unwrap();
        CertifiedKey::new(vec![self.certificate(certificate)], key).into()
    }

    /// A service that knows these clients.
    fn service(&self, clients: &[&str]) -> Arc<ServerConfig> {
        let list = self.path("clients");
        let lines = clients
            .iter()
            .map(|name| format!("{name} {}\n", Fingerprint::of(&self.certificate(name))));
        std::fs::write(&list, lines.collect::<String>()).unwrap();
        load(&self.files(&list)).unwrap()
    }

    fn files(&self, list: &Path) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            clients: ClientsFile::Fingerprints(list.to_owned()),
        }
    }

    fn client(&self, version: &'static SupportedProtocolVersion, shown: Option<SingleCertAndKey>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate("server")).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        Arc::new(match shown {
            Some(shown) => config.with_client_cert_resolver(Arc::new(shown)),
            None => config.with_no_client_auth(),
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// A handshake from its beginning to its end; an error is that of the service. The client has read what came behind it.
fn connect(service: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<HandshakeKind, TlsError> {
    let mut server = ServerConnection::new(Arc::clone(service)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), "localhost".try_into().unwrap()).unwrap();
    loop {
        let mut moved = 0;
        while client.wants_write() {
            moved += client.write_tls(&mut Pipe(&mut server)).unwrap();
        }
        server.process_new_packets()?;
        while server.wants_write() {
            let mut bytes = Vec::new();
            moved += server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut &bytes[..]).unwrap();
        }
        client.process_new_packets().unwrap();
        if moved == 0 {
            assert!(!server.is_handshaking() && !client.is_handshaking());
            return Ok(server.handshake_kind().unwrap());
        }
    }
}

/// What is written to it, a server reads.
struct Pipe<'a>(&'a mut ServerConnection);

impl std::io::Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.read_tls(&mut &bytes[..])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_client_connects_whose_certificate_is_in_the_list_and_whose_key_is_that_of_it() {
    let Some(made) = Certificates::make(&["server", "client", "other", "stranger"]) else {
        return;
    };
    let service = made.service(&["client", "other"]);
    for version in [&TLS12, &TLS13] {
        let outcome = |shown| connect(&service, &made.client(version, shown));
        for name in ["client", "other"] {
            assert_eq!(
                outcome(Some(made.shown(name, name))),
                Ok(HandshakeKind::Full),
                "{version:?}"
            );
        }
        let unknown = CertificateError::ApplicationVerificationFailure;
        assert_eq!(outcome(Some(made.shown("stranger", "stranger"))), Err(unknown.into()));
        assert_eq!(outcome(None), Err(TlsError::NoCertificatesPresented));
        // A certificate is not a secret: TLS 1.2 sends it in the clear.
        let stolen = CertificateError::BadSignature;
        assert_eq!(outcome(Some(made.shown("client", "stranger"))), Err(stolen.into()));
    }
}

#[test]
fn a_certificate_of_the_list_is_taken_in_its_time_alone() {
    let Some(made) = Certificates::make(&["client"]) else {
        return;
    };
    let certificate = made.certificate("client");
    let known = KnownClients::parse(Fingerprint::of(&certificate).to_string().as_bytes()).unwrap();
    let verifier = FingerprintVerifier::new(known, default_provider().signature_verification_algorithms);
    let now = Duration::from_secs(UnixTime::now().as_secs());
    let at = |time: Duration| {
        let verified = verifier.verify_client_cert(&certificate, &[], UnixTime::since_unix_epoch(time));
        verified.map(|_| ())
    };
    assert_eq!(at(now), Ok(()));
    let refused = |time| match at(time) {
        Err(TlsError::InvalidCertificate(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(now + 2 * DAY),
        CertificateError::ExpiredContext { .. }
    ));
    assert!(matches!(
        refused(now - DAY),
        CertificateError::NotValidYetContext { .. }
    ));
}

#[test]
fn no_session_is_taken_up_again_without_its_certificate() {
    let Some(made) = Certificates::make(&["server", "client"]) else {
        return;
    };
    let service = made.service(&["client"]);
    for version in [&TLS12, &TLS13] {
        // One configuration, which would keep sessions.
        let client = made.client(version, Some(made.shown("client", "client")));
        for _ in 0..2 {
            assert_eq!(connect(&service, &client), Ok(HandshakeKind::Full), "{version:?}");
        }
    }
}

#[test]
fn a_list_that_cannot_be_used_is_refused_by_its_name_with_what_belongs_into_it() {
    let Some(made) = Certificates::make(&["server"]) else {
        return;
    };
    let list = made.path("clients");
    let large = "# nobody\n".repeat(500_000);
    for (text, says) in [
        ("", "there is no fingerprint in it"),
        (
            "# nobody\nclient1 AA:BB\n",
            "line 2 does not end with the SHA-256 fingerprint",
        ),
        (large.as_str(), "it is larger than 4194304 bytes"),
    ] {
        std::fs::write(&list, text).unwrap();
        let error = load(&made.files(&list)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.path(), Some(list.as_path()));
        assert_eq!(error.remedies()[0].name(), "fingerprint-clients");
    }
    std::fs::remove_file(&list).unwrap();
    let error = load(&made.files(&list)).unwrap_err();
    assert_eq!((error.kind(), error.path()), (FailureKind::Usage, Some(list.as_path())));
}
