//! Kubeconfigs as kubectl reads them. Pure: texts in, one way to an API server out.

mod choose;
mod file;
mod merge;
mod parse;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::secret::Secret;
use crate::yaml::NotYaml;

pub(crate) use choose::choose;
pub(crate) use file::ServerCheck;
pub(crate) use merge::merge;
pub(crate) use parse::parse;
pub(crate) use server::{Server, server, without_secrets};

/// What one file, or several together, hold. Paths are joined with the folder of their file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kubeconfig {
    pub(crate) current_context: String,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) contexts: BTreeMap<String, Context>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    server: String,
    tls_server_name: String,
    check: ServerCheck,
    authority: Source,
    proxy_url: String,
    has_no_compression: bool,
    /// What exec plugins are given of this cluster, if anything.
    for_plugins: Option<Value>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    cluster: String,
    user: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    certificate: Source,
    key: Source,
    token: Secret,
    token_file: PathBuf,
    username: String,
    password: Secret,
    impersonate: Impersonate,
    auth_provider: Option<String>,
    exec: Option<Exec>,
}

#[derive(Clone, Debug, Default)]
struct Impersonate {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Empty is absent in both.
#[derive(Clone, Debug, Default)]
struct Source {
    file: PathBuf,
    data: Secret<Vec<u8>>,
}

#[derive(Clone, Debug, Default)]
struct Exec {
    command: PathBuf,
    args: Secret<Vec<String>>,
    env: Secret<Vec<(String, String)>>,
    api_version: String,
    install_hint: String,
    provide_cluster_info: bool,
    interactive_mode: String,
}

/// Why a kubeconfig cannot be used. None of these texts holds a value that may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is not YAML: {0}")]
    Yaml(NotYaml),

    #[error(
        "{field} is not of the type that belongs there (a text that looks like a number, or like yes or no, needs quotes)"
    )]
    Type { field: String },

    #[error("{field} is not base64")]
    Base64 { field: String },

    #[error("is of kind {kind:?} and version {version:?}, not the Config of v1 that a kubeconfig is")]
    Kind { kind: String, version: String },

    #[error("has two {what} of the name {name:?}")]
    Twice { what: &'static str, name: String },

    #[error("names no current context: choose one with --context")]
    NoContext,

    #[error("has no {what} of the name {name:?}")]
    Missing { what: &'static str, name: String },

    #[error("cluster {cluster:?} has no server")]
    NoServer { cluster: String },

    #[error("the server {server:?} of cluster {cluster:?} is not an address: {why}")]
    Server { cluster: String, server: String, why: &'static str },

    #[error("user {user:?} has both {one} and {other}: keep one of them")]
    UserBoth { user: String, one: &'static str, other: &'static str },

    #[error("cluster {cluster:?} has both {one} and {other}: keep one of them")]
    ClusterBoth { cluster: String, one: &'static str, other: &'static str },

    #[error("user {user:?} has a client certificate and no client-key or client-key-data")]
    NoKey { user: String },

    #[error("user {user:?} asks for the auth-provider {provider:?}, which is not supported: use exec")]
    AuthProvider { user: String, provider: String },

    #[error("the exec plugin of user {user:?} {wrong}")]
    Exec { user: String, wrong: ExecFault },

    #[error("user {user:?} has as-uid, as-groups or as-user-extra, and no as")]
    GroupsWithoutUser { user: String },

    #[error("{field} of user {user:?} {wrong}")]
    Unsendable { user: String, field: &'static str, wrong: Unsendable },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecFault {
    #[error("has no command")]
    NoCommand,
    #[error("has no apiVersion")]
    NoVersion,
    #[error(
        "has the apiVersion {0:?}: client.authentication.k8s.io/v1 and client.authentication.k8s.io/v1beta1 are supported"
    )]
    Version(String),
    #[error("has an env without a name")]
    NamelessEnv,
    #[error("has no interactiveMode: write Never")]
    NoMode,
    #[error("has the interactiveMode {0:?}: write Never")]
    Mode(String),
    #[error("has the interactiveMode Always, and an agent has no terminal: use one that works with Never")]
    Interactive,
}

/// A value that no HTTP header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    #[error("holds a line break (at byte {at}), and no HTTP header can carry one")]
    LineBreak { at: usize },
    #[error("holds the control character 0x{byte:02x} (at byte {at}), and no HTTP header can carry one")]
    Control { byte: u8, at: usize },
    #[error("is too long for an HTTP header")]
    Long,
}
