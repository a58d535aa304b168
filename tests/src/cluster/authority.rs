//! A certificate authority of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Where the API server is reached: by itself, through the cluster IP of `default/kubernetes`, and over a
/// uplink.
const SERVED: [&str; 3] = ["127.0.0.1", "10.96.0.1", super::uplink::NEAR];

/// Signs what the control plane serves with, and lies as `ca.crt` and `ca.key` in its folder.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub(super) fn new(folder: &Path, name: &str) -> Result<Self> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("could not make a key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("could not make an authority")?;
        let authority = Self { issuer, folder: folder.to_owned() };
        authority.put("ca.crt", &authority.pem())?;
        authority.put("ca.key", &authority.issuer.key().serialize_pem())?;
        Ok(authority)
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Writes `NAME.crt` and `NAME.key` for a server at any of [`SERVED`].
    pub(super) fn certify_server(&self, name: &str) -> Result<()> {
        let mut params = params(name, &SERVED.map(str::to_owned))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().context("could not make a key")?;
        let certificate =
            params.signed_by(&key, &self.issuer).with_context(|| format!("could not certify {name}"))?;
        self.put(&format!("{name}.crt"), &certificate.pem())?;
        self.put(&format!("{name}.key"), &key.serialize_pem())
    }

    /// Writes `NAME.key` and `NAME.pub`, a pair without a certificate: what signs ServiceAccount tokens.
    pub(super) fn make_pair(&self, name: &str) -> Result<()> {
        let key = KeyPair::generate().context("could not make a key")?;
        self.put(&format!("{name}.key"), &key.serialize_pem())?;
        self.put(&format!("{name}.pub"), &key.public_key_pem())
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))
    }
}

fn params(name: &str, addresses: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(addresses).context("not an address")?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
