//! TLS with certificates of clients.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::fingerprints::FingerprintVerifier;
use super::known_clients::KnownClients;
use super::options::{ClientsFile, TlsFiles};
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::remedy::Remedy;

/// A list of fingerprints that is larger than this is taken for another file.
const FINGERPRINTS_BYTES_MAX: u64 = 4 << 20;

/// The present configuration, and the files that it is read from again.
#[derive(Clone)]
pub(super) struct TlsSource {
    config: Arc<Mutex<Arc<ServerConfig>>>,
    files: TlsFiles,
}

impl TlsSource {
    pub(super) fn new(config: Arc<ServerConfig>, files: TlsFiles) -> Self {
        Self {
            config: Arc::new(Mutex::new(config)),
            files,
        }
    }

    /// What the next connection uses.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again. If they cannot be used, the connections go on as they were.
    pub(super) fn reload(&self) -> Result<()> {
        let config = load(&self.files)?;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

/// Reads certificates and key, and which clients may connect.
pub(super) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(default_provider());
    let verifier = match &files.clients {
        ClientsFile::Authorities(path) => of_authorities(path, &provider)?,
        ClientsFile::Fingerprints(path) => of_fingerprints(path, &provider)?,
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| unusable(&files.key, &why))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| unusable(&files.certificate, &why))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.certificate)?, key);
    let mut config = config.map_err(|why| unusable(&files.certificate, &why))?;
    // A session that is taken up again is not asked for a certificate, which may have run out since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn of_authorities(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|why| unusable(path, &why))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|why| unusable(path, &why))
}

fn of_fingerprints(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn ClientCertVerifier>> {
    let bytes = attempt("read", path, || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(FINGERPRINTS_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    })
    .map_err(Error::unreadable)?;
    let remedy = || Remedy::FingerprintClients(path.to_owned());
    if bytes.len() as u64 > FINGERPRINTS_BYTES_MAX {
        let why = format!("it is larger than {FINGERPRINTS_BYTES_MAX} bytes, which a list of fingerprints is not");
        return Err(unusable(path, &why).mend([remedy()]));
    }
    let known = KnownClients::parse(&bytes).map_err(|why| unusable(path, &why).mend([remedy()]))?;
    Ok(Arc::new(FingerprintVerifier::new(
        known,
        provider.signature_verification_algorithms,
    )))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|why| unusable(path, &why))?;
    if found.is_empty() {
        return Err(unusable(path, &"there is no certificate in it"));
    }
    Ok(found)
}

fn unusable(path: &Path, why: &impl Display) -> Error {
    Error::usage(format!("'{}' cannot be used for TLS: {why}", path.display())).at(path)
}
