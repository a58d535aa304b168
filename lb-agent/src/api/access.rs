//! How to reach one API server, and as whom. Pure.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Uri};

use super::kubeconfig::Unsendable;
use super::plugin::Plugin;
use super::secret::Secret;

/// What a kubeconfig, or a pod's folder, says. Files that it names are not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Scheme, host, port, and the path in front of every request's; neither a user nor a query.
    pub(crate) server: Uri,
    pub(crate) trust: Trust,
    /// The name that the server's certificate has to have, where it is not the host's.
    pub(crate) server_name: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) certificate: Option<KeyPair>,
    /// Headers that ask the server to take this client for another one.
    pub(crate) impersonation: Vec<(HeaderName, HeaderValue)>,
    /// The host of a proxy that is asked for.
    pub(crate) proxy: Option<String>,
}

/// Which server certificates are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Any,
    /// What the system's authorities have signed.
    System,
    /// What these have signed, and these themselves.
    Authorities(Material),
}

/// Certificates or a key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    Inline(Secret<Vec<u8>>),
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyPair {
    pub(crate) certificate: Material,
    pub(crate) key: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Anonymous,
    /// A header that does not change.
    Fixed(HeaderValue),
    TokenFile {
        file: PathBuf,
        /// While the file cannot be read.
        otherwise: Option<HeaderValue>,
    },
    Plugin(Box<Plugin>),
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Unsendable> {
    sensitive(format!("Bearer {token}").as_bytes()).map_err(|wrong| wrong.before("Bearer ".len()))
}

/// The value of `Authorization` for a user and a password.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, Unsendable> {
    sensitive(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).as_bytes())
}

fn sensitive(value: &[u8]) -> Result<HeaderValue, Unsendable> {
    let mut header = header(value)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Bytes as the value of a header, where it can carry them.
pub(crate) fn header(value: &[u8]) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_bytes(value).map_err(|_not_sendable| {
        let bad = value.iter().position(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f);
        bad.map_or(Unsendable::Long, |at| match value[at] {
            b'\n' | b'\r' => Unsendable::LineBreak { at },
            byte => Unsendable::Control { byte, at },
        })
    })
}

impl Unsendable {
    /// The same, counted without the first `skipped` bytes.
    const fn before(self, skipped: usize) -> Self {
        match self {
            Self::LineBreak { at } => Self::LineBreak { at: at - skipped },
            Self::Control { byte, at } => Self::Control { byte, at: at - skipped },
            Self::Long => Self::Long,
        }
    }
}
