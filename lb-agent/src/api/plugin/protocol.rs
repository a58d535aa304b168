//! What is said to a plugin, and what it answers. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Plugin;
use crate::api::access::bearer;
use crate::api::kubeconfig::{ServerCheck, Unsendable};
use crate::api::secret::Secret;
use crate::api::tls::{self, TlsFault};
use crate::yaml;

/// Credentials that a plugin gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) pair: Option<IssuedPair>,
    /// `None`: they are good until the server says otherwise.
    pub(crate) expires: Option<Timestamp>,
}

/// A client certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedPair {
    pub(crate) certificate: Secret<Vec<u8>>,
    pub(crate) key: Secret<Vec<u8>>,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerFault {
    #[error("wrote what is no ExecCredential")]
    NoCredential,
    #[error("wrote an ExecCredential of another version than {expected}, which the kubeconfig asks for")]
    Version { expected: &'static str },
    #[error("wrote an ExecCredential without a status")]
    NoStatus,
    #[error("gave neither a token nor a certificate and key")]
    Nothing,
    #[error("gave a certificate without its key, or a key without its certificate")]
    Half,
    #[error("gave an expirationTimestamp that is no time")]
    Time,
    #[error("gave a token that {0}")]
    Token(Unsendable),
    #[error("gave a client certificate that {0}")]
    Pair(TlsFault),
    #[error("wrote more than {0} bytes")]
    Long(usize),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    kind: &'static str,
    api_version: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster<'a>>,
    interactive: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tls_server_name: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    insecure_skip_tls_verify: ServerCheck,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    proxy_url: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    disable_compression: bool,
    config: Option<&'a Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the plugin finds in `$KUBERNETES_EXEC_INFO`.
pub(crate) fn request(plugin: &Plugin, server: &str, authority: Option<&[u8]>) -> Secret {
    let cluster = plugin.cluster.as_ref().map(|info| Cluster {
        server,
        tls_server_name: &info.tls_server_name,
        insecure_skip_tls_verify: info.check,
        certificate_authority_data: authority.map(|pem| STANDARD.encode(pem)),
        proxy_url: info.proxy_url.expose(),
        disable_compression: info.disable_compression,
        config: info.config.expose().as_ref(),
    });
    let request = Request {
        kind: "ExecCredential",
        api_version: plugin.api_version.name(),
        spec: Spec { cluster, interactive: false },
    };
    // Texts, numbers and a tree always become JSON.
    Secret::new(serde_json::to_string(&request).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    kind: String,
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Reads what the plugin wrote to stdout.
///
/// # Errors
/// It is no `ExecCredential` of the version that was asked for, or lacks something.
pub(crate) fn answer(plugin: &Plugin, stdout: &[u8]) -> Result<Issued, AnswerFault> {
    let text = std::str::from_utf8(stdout).map_err(|_no_text| AnswerFault::NoCredential)?;
    let tree = yaml::first(text).map_err(|_no_tree| AnswerFault::NoCredential)?;
    let Answer { kind, api_version, status } =
        serde_json::from_value(tree).map_err(|_quotes_it| AnswerFault::NoCredential)?;
    if kind != "ExecCredential" {
        return Err(AnswerFault::NoCredential);
    }
    if api_version != plugin.api_version.name() {
        return Err(AnswerFault::Version { expected: plugin.api_version.name() });
    }
    let Status { expiration_timestamp, token, client_certificate_data, client_key_data } =
        status.ok_or(AnswerFault::NoStatus)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let pair = match (given(client_certificate_data), given(client_key_data)) {
        (Some(certificate), Some(key)) => {
            tls::pair(certificate.as_bytes(), key.as_bytes()).map_err(AnswerFault::Pair)?;
            Some(IssuedPair {
                certificate: Secret::new(certificate.into_bytes()),
                key: Secret::new(key.into_bytes()),
            })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(AnswerFault::Half),
    };
    let authorization = given(token).map(|token| bearer(&token)).transpose().map_err(AnswerFault::Token)?;
    if authorization.is_none() && pair.is_none() {
        return Err(AnswerFault::Nothing);
    }
    let expires = expiration_timestamp.map(|time| time.parse()).transpose();
    Ok(Issued { authorization, pair, expires: expires.map_err(|_no_time| AnswerFault::Time)? })
}
