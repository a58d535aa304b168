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
/// whatever authority signed it and whether or not it may sign others. Its name, its time and what it is for have to be
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

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
        date_time_ymd,
    };
    use rustls::crypto::ring;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    /// Valid for `api` and 127.0.0.1, from 2020 to 2040.
    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(["api".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        params.is_ca = IsCa::ExplicitNoCa;
        params
    }

    fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
        let mut params = params();
        change(&mut params);
        params
    }

    fn authority() -> CertificateParams {
        changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// Signed by an authority of the name `root`, and that authority.
    fn signed(params: &CertificateParams) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let root = changed(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, "root");
        });
        let key = KeyPair::generate().unwrap();
        let root_certificate = root.self_signed(&key).unwrap().der().clone();
        let certificate =
            params.signed_by(&KeyPair::generate().unwrap(), &Issuer::from_params(&root, &key)).unwrap();
        (certificate.der().clone(), root_certificate)
    }

    /// What comes of `presented` at the server `name`, `authorities` being configured.
    fn verify(
        presented: &CertificateDer<'_>,
        authorities: &[&CertificateDer<'static>],
        name: &str,
    ) -> Result<(), String> {
        let authorities = authorities.iter().map(|one| (*one).clone()).collect();
        let verifier = GoVerifier::new(authorities, Arc::new(ring::default_provider())).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        match verifier.verify_server_cert(presented, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(why)) => Err(advice(&why)),
            Err(other) => Err(other.to_string()),
        }
    }

    #[test]
    fn a_certificate_that_is_itself_configured_is_trusted() {
        let (leaf, root) = signed(&params());
        let (intermediate, _) = signed(&authority());
        for (shows, certificate) in [
            ("self-signed", self_signed(&params())),
            ("self-signed, of an authority", self_signed(&authority())),
            (
                "self-signed, without basic constraints",
                self_signed(&changed(|params| params.is_ca = IsCa::NoCa)),
            ),
            ("signed by an authority that is not there", leaf.clone()),
            ("of an authority, signed by another", intermediate),
            (
                "of an authority, for servers among others",
                self_signed(&changed(|params| {
                    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                    params.extended_key_usages =
                        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
                })),
            ),
            (
                "of an authority, for anything",
                self_signed(&changed(|params| {
                    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
                })),
            ),
        ] {
            assert_eq!(verify(&certificate, &[&certificate], "api"), Ok(()), "{shows}");
            assert_eq!(verify(&certificate, &[&root, &certificate], "127.0.0.1"), Ok(()), "{shows}");
            assert!(verify(&certificate, &[&certificate], "other").unwrap_err().contains("other"), "{shows}");
            let refused = verify(&certificate, &[&certificate], "127.0.0.2");
            assert!(refused.unwrap_err().contains("tls-server-name"), "{shows}");
        }
        assert_eq!(verify(&leaf, &[&root], "api"), Ok(()), "as ever");
    }

    #[test]
    fn whatever_is_configured_time_purpose_and_extensions_have_to_be_right() {
        let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2039, 1, 1);
        let late = |params: &mut CertificateParams| params.not_after = date_time_ymd(2021, 1, 1);
        let clients = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        };
        let strange = |params: &mut CertificateParams| {
            let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        };
        let root = self_signed(&authority());
        type Change<'a> = &'a dyn Fn(&mut CertificateParams);
        let changes: [(Change<'_>, &str); 4] = [
            (&early, "is not valid yet"),
            (&late, "has expired"),
            (&clients, "not meant for servers"),
            (&strange, "UnsupportedCriticalExtension"),
        ];
        for (change, expected) in changes {
            for is_authority in [true, false] {
                let params = changed(|params| {
                    if is_authority {
                        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                    }
                    change(params);
                });
                let (signed, _) = signed(&params);
                let itself = self_signed(&params);
                for certificate in [itself, signed] {
                    let refused = verify(&certificate, &[&root, &certificate], "api").unwrap_err();
                    assert!(refused.contains(expected), "{expected}, {is_authority}: {refused}");
                }
            }
        }
    }

    #[test]
    fn another_certificate_is_refused_with_a_message_that_says_what_to_do() {
        let (own, other) = (self_signed(&authority()), self_signed(&authority()));
        let refused = verify(&own, &[&other], "api").unwrap_err();
        assert!(refused.contains("name this very certificate as certificate-authority"), "{refused}");
        let (leaf, _) = signed(&params());
        let (same_names, _) = signed(&params());
        let refused = verify(&leaf, &[&same_names], "api").unwrap_err();
        assert!(refused.contains("name that authority's certificate, or the server's own"), "{refused}");
    }
}
