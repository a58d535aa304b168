//! Exec plugins: programs that give credentials, as client-go runs them.

mod protocol;
mod run;
mod stderr;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::kubeconfig::ServerCheck;
use super::secret::Secret;
use crate::shown::shown;

pub(crate) use protocol::AnswerFault;
pub(crate) use protocol::{Issued, IssuedPair, answer, request};
pub(crate) use run::run;

/// What a kubeconfig says of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) command: PathBuf,
    pub(crate) args: Secret<Vec<String>>,
    pub(crate) env: Secret<Vec<(String, String)>>,
    pub(crate) api_version: ApiVersion,
    /// What to do where the program is not there.
    pub(crate) install_hint: String,
    /// Where the plugin is to know which cluster it is for.
    pub(crate) cluster: Option<ClusterInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    V1,
    V1Beta1,
}

/// What a plugin is given of its cluster, with the server's address and its authority's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterInfo {
    pub(crate) tls_server_name: String,
    pub(crate) check: ServerCheck,
    pub(crate) proxy_url: Secret,
    pub(crate) disable_compression: bool,
    /// Its own part of the kubeconfig.
    pub(crate) config: Secret<Option<Value>>,
}

/// Why a plugin gave nothing. None of these texts holds its arguments, its environment or its output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    #[error("the exec plugin {name} is not there{}", hint(install_hint))]
    NotFound { name: String, install_hint: String },

    #[error("could not start the exec plugin {name}")]
    Start {
        name: String,
        #[source]
        source: std::io::Error,
    },

    #[error("the exec plugin {name} {how}{}", said(line.as_deref()))]
    Failed { name: String, how: String, line: Option<String> },

    #[error("the exec plugin {name} had not ended after {} s, and was ended", after.as_secs())]
    Slow { name: String, after: Duration },

    #[error("the exec plugin {name} {fault}")]
    Answer { name: String, fault: AnswerFault },
}

fn hint(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {}", shown(text)) }
}

fn said(line: Option<&str>) -> String {
    line.map(|line| format!(" and said: {line}")).unwrap_or_default()
}

impl Plugin {
    /// By which people know it.
    fn name(&self) -> String {
        let name = self.command.file_name().unwrap_or(self.command.as_os_str());
        shown(&name.to_string_lossy())
    }
}

impl ApiVersion {
    const fn name(self) -> &'static str {
        match self {
            Self::V1 => "client.authentication.k8s.io/v1",
            Self::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }
}
