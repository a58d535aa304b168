//! How TLS is spoken with one API server.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error};

use super::trust::{AnyCertificate, GoVerifier};

/// Why certificates or keys cannot be used. The texts never quote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    #[error("holds no certificate that can be used")]
    NoCertificate,
    #[error("holds no private key that can be used (PKCS#8, PKCS#1 or SEC1 in PEM, without a password)")]
    NoKey,
    #[error("and the client key do not belong together")]
    NotAPair,
    #[error("cannot be used: {0}")]
    Unusable(String),
    #[error("there is no authority on this system that could be trusted: name one as certificate-authority")]
    NoSystem,
    #[error("{0:?} is no name that a certificate can have")]
    ServerName(String),
}

pub(crate) type Verifier = Arc<dyn ServerCertVerifier>;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(crate) fn any() -> Verifier {
    Arc::new(AnyCertificate::new(&provider()))
}

/// The authorities that the system trusts: many files.
pub(crate) fn system() -> Result<Verifier, TlsFault> {
    let found = rustls_native_certs::load_native_certs().certs;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(found);
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier: Verifier = verifier.build().map_err(|_no_roots| TlsFault::NoSystem)?;
    Ok(verifier)
}

/// The authorities in this PEM text.
pub(crate) fn authorities(pem: &[u8]) -> Result<Verifier, TlsFault> {
    let verifier: Verifier =
        Arc::new(GoVerifier::new(certificates(pem), provider()).ok_or(TlsFault::NoCertificate)?);
    Ok(verifier)
}

/// Those that are there: other blocks, and what stands between the blocks, are skipped.
fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// A client certificate with what was sent along, and its key.
pub(crate) fn pair(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsFault> {
    let chain = certificates(certificate);
    if chain.is_empty() {
        return Err(TlsFault::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_quotes_it| TlsFault::NoKey)?;
    match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(pair) => Ok(Arc::new(pair)),
        Err(Error::InconsistentKeys(_)) => Err(TlsFault::NotAPair),
        Err(Error::General(_)) => Err(TlsFault::NoKey),
        Err(other) => Err(TlsFault::Unusable(other.to_string())),
    }
}

pub(crate) fn client(verifier: Verifier, pair: Option<Arc<CertifiedKey>>) -> Result<ClientConfig, TlsFault> {
    let unusable = |error: Error| TlsFault::Unusable(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(match pair {
        Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
        None => builder.with_no_client_auth(),
    })
}

pub(crate) fn server_name(name: &str) -> Result<ServerName<'static>, TlsFault> {
    ServerName::try_from(name.to_owned()).map_err(|_no_name| TlsFault::ServerName(name.to_owned()))
}
