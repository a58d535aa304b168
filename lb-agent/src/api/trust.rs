//! Which server certificates are taken: those that Go takes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::x509::Certificate;

/// webpki's rules, and one of Go's in addition: a certificate that is itself among the authorities is trusted,
/// whoever signed it and whether or not it may sign others. Its name, its time and what it is for have to be
/// right all the same.
#[derive(Debug)]
pub(crate) struct GoVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl GoVerifier {
    /// `None` where none of the authorities can be used.
    pub(crate) fn new(
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        // As in Go, what is no certificate is skipped.
        roots.add_parsable_certificates(authorities.iter().cloned());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        Some(Self { webpki, authorities })
    }
}

impl ServerCertVerifier for GoVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verified.is_err() && self.authorities.contains(end_entity) {
            return its_own_authority(end_entity, server_name, now);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn its_own_authority(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let parts = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    // Critical extensions that are not understood are refused here.
    let parsed = ParsedCertificate::try_from(certificate)?;
    verify_server_name(&parsed, server_name)?;
    if parts.is_early(now) {
        return Err(CertificateError::NotValidYet.into());
    }
    if parts.is_late(now) {
        return Err(CertificateError::Expired.into());
    }
    if !parts.is_for_servers() {
        return Err(CertificateError::InvalidPurpose.into());
    }
    Ok(ServerCertVerified::assertion())
}

/// Takes every certificate: that of `insecure-skip-tls-verify`.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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

/// Why a certificate is refused, and what to do.
pub(crate) fn advice(refused: &CertificateError) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum may grow; rustls has words for the others")]
    let advice = match refused {
        CertificateError::UnknownIssuer => {
            "its certificate was signed by an authority that is not known here: name that authority's certificate, or the server's own, as certificate-authority"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: set this machine's clock"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not meant for servers: give it one with the extended key usage serverAuth"
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name: set tls-server-name to a name that is in it"
        }
        CertificateError::NotValidForNameContext { .. } => {
            return format!("{refused}: set tls-server-name to a name that is in it");
        }
        other => return ca_as_server(other).unwrap_or_else(|| other.to_string()),
    };
    advice.to_owned()
}

/// webpki's word for the certificate of an authority at a server.
fn ca_as_server(refused: &CertificateError) -> Option<String> {
    let is_one = refused.to_string().contains("CaUsedAsEndEntity");
    is_one.then(|| {
        "its certificate is that of an authority: name this very certificate as certificate-authority, or give the server one with CA:FALSE".to_owned()
    })
}
