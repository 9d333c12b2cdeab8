//! TLS takes a client whose certificate is in a list, whoever has signed that certificate.

use std::time::Duration;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::known_clients::KnownClients;

/// Takes the clients of a list as long as their certificates are valid, and if they sign the handshake with the keys of those.
///
/// Of a certificate nothing else is looked at: its names, uses and authorities were looked at by whoever put it into the list.
#[derive(Debug)]
pub(super) struct FingerprintVerifier {
    known: KnownClients,
    algorithms: WebPkiSupportedAlgorithms,
}

impl FingerprintVerifier {
    pub(super) fn new(known: KnownClients, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { known, algorithms }
    }
}

impl ClientCertVerifier for FingerprintVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // In this order, so that nothing of a stranger's certificate is read.
        if !self.known.have(end_entity) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        check_validity(end_entity, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Both ends of the time in which a certificate is valid belong to it (RFC 5280, section 4.1.2.5).
fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let parsed = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate().validity();
    let time = |time: Duration| UnixTime::since_unix_epoch(time);
    let not_before = time(validity.not_before.to_unix_duration());
    let not_after = time(validity.not_after.to_unix_duration());
    if now < not_before {
        Err(CertificateError::NotValidYetContext { time: now, not_before })
    } else if now > not_after {
        Err(CertificateError::ExpiredContext { time: now, not_after })
    } else {
        Ok(())
    }
}
