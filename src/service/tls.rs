//! TLS with certificates of clients.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::options::TlsFiles;
use crate::error::{Error, Result};

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

/// Reads certificates and key.
pub(super) fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.client_authorities)? {
        roots
            .add(certificate)
            .map_err(|why| unusable(&files.client_authorities, &why))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|why| unusable(&files.client_authorities, &why))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| unusable(&files.key, &why))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| unusable(&files.certificate, &why))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|why| unusable(&files.certificate, &why))?;
    Ok(Arc::new(config))
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
