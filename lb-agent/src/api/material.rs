//! A kubeconfig with the certificates that it names: all that is read before the first request.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::access::{Access, Identity, KeyPair, Material, Trust};
use super::config::{ConnectError, Found, KubeConfig};
use super::file::{self, Files};
use super::plugin::{IssuedPair, request};
use super::secret::Secret;
use super::tls::{self, Verifier};
use crate::shown::shown;

/// What a connection and a request are made with.
pub(crate) struct Loaded {
    pub(crate) access: Access,
    /// Where all of this was read from.
    pub(crate) files: Files,
    verifier: Verifier,
    pair: Option<Arc<CertifiedKey>>,
    pub(crate) server_name: Option<ServerName<'static>>,
    /// What a plugin is given, where one is asked.
    pub(crate) plugin_request: Secret,
    /// There are credentials, and they must not be sent to this server.
    pub(crate) are_secrets_held_back: bool,
}

impl Loaded {
    /// Reads kubeconfig, certificates and keys.
    ///
    /// # Errors
    /// One of them cannot be read, or cannot be used.
    pub(crate) fn load(config: &KubeConfig) -> Result<Self, ConnectError> {
        let Found { mut access, mut files } = config.find()?;
        let are_secrets_held_back = access.hold_secrets_back();
        access.files().for_each(|file| files.remember(file));
        let authorities = match &access.trust {
            Trust::Authorities(authorities) => Some(pem("certificate-authority", authorities)?),
            Trust::Any | Trust::System => None,
        };
        let is_tls = access.server.scheme_str() == Some("https");
        let verifier = match (&access.trust, &authorities) {
            (Trust::Authorities(at), Some(pem)) if is_tls => {
                tls::authorities(pem).map_err(|fault| fault_of("certificate-authority", at, fault))?
            }
            (Trust::System, _) if is_tls => tls::system().map_err(ConnectError::TlsClient)?,
            // Over plain http there is no certificate.
            (Trust::Any | Trust::System | Trust::Authorities(_), _) => tls::any(),
        };
        let pair = access.certificate.as_ref().map(pair).transpose()?;
        let server_name = access.server_name.as_deref().map(tls::server_name).transpose();
        let server_name = server_name.map_err(|fault| ConnectError::Tls {
            what: "tls-server-name of the kubeconfig".to_owned(),
            fault,
        })?;
        let plugin_request = match &access.identity {
            Identity::Plugin(plugin) => {
                request(plugin, access.server.to_string().trim_end_matches('/'), authorities.as_deref())
            }
            Identity::Anonymous | Identity::Fixed(_) | Identity::TokenFile { .. } => Secret::default(),
        };
        Ok(Self { access, files, verifier, pair, server_name, plugin_request, are_secrets_held_back })
    }

    /// How TLS is spoken: with a plugin's certificate, if there is one, else with that of the kubeconfig.
    pub(crate) fn tls(&self, issued: Option<&IssuedPair>) -> Result<ClientConfig, ConnectError> {
        let issued =
            issued.map(|IssuedPair { certificate, key }| tls::pair(certificate.expose(), key.expose()));
        let issued = issued.transpose().map_err(|fault| ConnectError::Tls {
            what: "client certificate that the exec plugin gave".to_owned(),
            fault,
        })?;
        let pair = issued.or_else(|| self.pair.clone());
        tls::client(Arc::clone(&self.verifier), pair).map_err(ConnectError::TlsClient)
    }
}

fn pair(KeyPair { certificate, key }: &KeyPair) -> Result<Arc<CertifiedKey>, ConnectError> {
    let (chain, secret) = (pem("client-certificate", certificate)?, pem("client-key", key)?);
    tls::pair(&chain, &secret).map_err(|fault| {
        if matches!(fault, tls::TlsFault::NoKey) {
            fault_of("client-key", key, fault)
        } else {
            fault_of("client-certificate", certificate, fault)
        }
    })
}

fn pem(what: &'static str, material: &Material) -> Result<Vec<u8>, ConnectError> {
    match material {
        Material::Inline(data) => Ok(data.expose().clone()),
        Material::File(file) => file::read(file).map_err(|source| read(what, file, source)),
    }
}

fn read(what: &'static str, file: &Path, source: std::io::Error) -> ConnectError {
    ConnectError::Read { what, file: file.to_owned(), source }
}

fn fault_of(what: &str, material: &Material, fault: tls::TlsFault) -> ConnectError {
    let what = match material {
        Material::Inline(_) => format!("{what}-data of the kubeconfig"),
        Material::File(file) => format!("{what} {}", shown(&file.to_string_lossy())),
    };
    ConnectError::Tls { what, fault }
}
