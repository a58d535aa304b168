//! Which API server, and as whom.

use std::io;
use std::path::{Path, PathBuf};

use super::access::{Access, Identity, KeyPair, Material, Trust};
use super::file::{self, Files};
use super::kubeconfig::{self, Fault, Kubeconfig, Unsendable, choose, merge, parse, without_secrets};
use super::tls::TlsFault;
use crate::shown::shown;

/// Where a pod finds its token and the cluster's CA.
const POD_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Set in every pod: where the API server is.
pub(super) const POD_HOST: &str = "KUBERNETES_SERVICE_HOST";
const POD_PORT: &str = "KUBERNETES_SERVICE_PORT";

/// Which API server to follow, and with whose credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct KubeConfig {
    pub credentials: Credentials,
    /// The address to dial instead of the one that comes with the credentials.
    pub server: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A pod's own, or, outside of a pod, the user's kubeconfig.
    Ambient,
    Kubeconfig {
        /// `None`: `$KUBECONFIG`, or the one in the home directory.
        file: Option<PathBuf>,
        /// `None`: its current one.
        context: Option<String>,
    },
}

/// Why there is nothing to connect to, or no credentials. None of these texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "--api-server {server:?} is not an address ({why}): write it as http://HOST:PORT or https://HOST:PORT"
    )]
    Address { server: String, why: &'static str },

    #[error(
        "this is no pod, and there is no kubeconfig ({looked_for}): name one with --kubeconfig, or an address with --api-server"
    )]
    Nothing { looked_for: String },

    #[error("could not read the {what} {}", shown(&file.to_string_lossy()))]
    Read {
        what: &'static str,
        file: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("could not use the kubeconfig {file}")]
    Kubeconfig {
        file: String,
        #[source]
        source: Fault,
    },

    #[error("the token file {} {wrong}", shown(&file.to_string_lossy()))]
    Token { file: PathBuf, wrong: TokenFault },

    #[error("the {what} {fault}")]
    Tls { what: String, fault: TlsFault },

    #[error("could not set up TLS: {0}")]
    TlsClient(TlsFault),

    #[error("this is a pod, and its ${POD_HOST} and ${POD_PORT} are no address")]
    Pod,

    #[error(
        "the kubeconfig asks for a proxy ({proxy}), which is not supported: name an address that can be dialled with --api-server"
    )]
    Proxy { proxy: String },
}

/// What is wrong with a token that a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("is empty")]
    Empty,
    #[error("{0}")]
    Unsendable(Unsendable),
}

/// What was read, and from which files.
pub(crate) struct Found {
    pub(crate) access: Access,
    /// As they looked before they were read: kubeconfigs are replaced while an agent runs.
    pub(crate) files: Files,
}

impl std::fmt::Debug for KubeConfig {
    /// An address may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.server.as_deref().map(without_secrets);
        f.debug_struct("KubeConfig").field("credentials", &self.credentials).field("server", &server).finish()
    }
}

impl KubeConfig {
    /// Reads the kubeconfig, or finds the pod's folder. Certificates and tokens in files of their own are
    /// not read here.
    pub(crate) fn find(&self) -> Result<Found, ConnectError> {
        let named = self.server.as_deref().map(address).transpose()?;
        let mut files = Files::default();
        let mut access = match (&self.credentials, &named) {
            (Credentials::Kubeconfig { file: Some(file), context }, _) => {
                explicit(file, context.as_deref(), &mut files)?
            }
            (Credentials::Kubeconfig { file: None, context }, _) => of_user(context.as_deref(), &mut files)?,
            (Credentials::Ambient, Some(server)) => of_address(server),
            (Credentials::Ambient, None) if std::env::var_os(POD_HOST).is_some() => of_pod()?,
            (Credentials::Ambient, None) => of_user(None, &mut files)?,
        };
        match (named, access.proxy.take()) {
            (Some(server), _) => {
                if let Some(user) = server.identity {
                    access.identity = user;
                }
                access.server = server.uri;
            }
            (None, Some(proxy)) => return Err(ConnectError::Proxy { proxy }),
            (None, None) => {}
        }
        Ok(Found { access, files })
    }
}

/// What `--api-server` names.
struct Named {
    uri: http::Uri,
    /// The user in it, if there is one.
    identity: Option<Identity>,
}

fn address(server: &str) -> Result<Named, ConnectError> {
    let wrong = |why| ConnectError::Address { server: without_secrets(server), why };
    if !server.contains("://") {
        return Err(wrong("it has no scheme"));
    }
    let kubeconfig::Server { uri, user } = kubeconfig::server(server, true).map_err(wrong)?;
    let identity = user.map(|(name, password)| super::access::basic(&name, password.expose()));
    let identity = identity.transpose().map_err(|_long| wrong("the user in it is too long"))?;
    Ok(Named { uri, identity: identity.map(Identity::Fixed) })
}

/// A server that was named alone gets the pod's token if there is one.
fn of_address(server: &Named) -> Access {
    if Path::new(POD_FOLDER).join("token").is_file() {
        with_pod_credentials(server.uri.clone())
    } else {
        Access {
            server: server.uri.clone(),
            trust: Trust::System,
            server_name: None,
            identity: Identity::Anonymous,
            certificate: None,
            impersonation: Vec::new(),
            proxy: None,
        }
    }
}

fn of_pod() -> Result<Access, ConnectError> {
    let variable = |name| std::env::var(name).map_err(|_absent| ConnectError::Pod);
    let (host, port) = (variable(POD_HOST)?, variable(POD_PORT)?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server = kubeconfig::server(&format!("https://{host}:{port}"), true);
    Ok(with_pod_credentials(server.map_err(|_no_address| ConnectError::Pod)?.uri))
}

fn with_pod_credentials(server: http::Uri) -> Access {
    let folder = Path::new(POD_FOLDER);
    Access {
        server,
        trust: Trust::Authorities(Material::File(folder.join("ca.crt"))),
        server_name: None,
        identity: Identity::TokenFile { file: folder.join("token"), otherwise: None },
        certificate: None,
        impersonation: Vec::new(),
        proxy: None,
    }
}

/// A kubeconfig that was named has to be there.
fn explicit(file: &Path, context: Option<&str>, files: &mut Files) -> Result<Access, ConnectError> {
    let read = one(file, files)?;
    let source = |source| ConnectError::Kubeconfig { file: shown(&file.to_string_lossy()), source };
    choose(&read, context).map_err(source)
}

/// The files of `$KUBECONFIG`, else the one in the home directory.
fn of_user(context: Option<&str>, files: &mut Files) -> Result<Access, ConnectError> {
    let list = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let paths = match list {
        Some(list) => std::env::split_paths(&list).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    listed(paths, context, files)
}

/// What those of the files that are there say together.
fn listed(mut paths: Vec<PathBuf>, context: Option<&str>, files: &mut Files) -> Result<Access, ConnectError> {
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| !path.as_os_str().is_empty() && seen.insert(path.clone()));
    let mut read = Vec::new();
    for path in &paths {
        match one(path, files) {
            Err(ConnectError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => read.push(other?),
        }
    }
    let names = paths.iter().map(|path| shown(&path.to_string_lossy())).collect::<Vec<_>>().join(", ");
    if read.is_empty() {
        return Err(ConnectError::Nothing { looked_for: names });
    }
    choose(&merge(read), context).map_err(|source| ConnectError::Kubeconfig { file: names, source })
}

fn one(file: &Path, files: &mut Files) -> Result<Kubeconfig, ConnectError> {
    files.remember(file);
    let failed = |source| ConnectError::Read { what: "kubeconfig", file: file.to_owned(), source };
    let text = file::read_text(file).map_err(failed)?;
    let folder = std::path::absolute(file).map_err(failed)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    parse(&text, folder)
        .map_err(|source| ConnectError::Kubeconfig { file: shown(&file.to_string_lossy()), source })
}

impl Access {
    /// Takes out what could be stolen on the way. Returns whether there was any: over plain http a token or a
    /// password never leaves this machine, wherever it came from. (kubectl sends none over http at all.)
    pub(crate) fn hold_secrets_back(&mut self) -> bool {
        if self.server.scheme_str() == Some("https") || is_this_machine(&self.server) {
            return false;
        }
        !matches!(std::mem::replace(&mut self.identity, Identity::Anonymous), Identity::Anonymous)
    }

    /// The files that it names. A token's file is not among them: it is read again in its own time.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let authorities = match &self.trust {
            Trust::Authorities(authorities) => Some(authorities),
            Trust::Any | Trust::System => None,
        };
        let pair = self.certificate.iter().flat_map(|KeyPair { certificate, key }| [certificate, key]);
        authorities.into_iter().chain(pair).filter_map(|material| match material {
            Material::File(file) => Some(file.as_path()),
            Material::Inline(_) => None,
        })
    }
}

fn is_this_machine(server: &http::Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_with_its_scheme() {
        for (server, is_good) in [
            ("http://127.0.0.1:10261", true),
            ("https://[fd00::1]:6443", true),
            ("https://api.example.com", true),
            ("127.0.0.1:10261", false),
            ("unix:///run/x", false),
            ("https://", false),
            ("https://a:70000", false),
            ("", false),
        ] {
            assert_eq!(address(server).is_ok(), is_good, "{server}");
        }
    }

    #[test]
    fn a_wrong_address_is_shown_without_what_is_secret_in_it() {
        let error = address("ftp://me:hunter2@host?token=hunter2").err().unwrap().to_string();
        assert!(error.contains("ftp://host") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn in_the_clear_a_token_stays_on_this_machine() {
        let access = |server: &str, identity| Access {
            identity,
            ..of_address(&Named { uri: server.parse().unwrap(), identity: None })
        };
        for (server, is_held_back) in [
            ("https://10.0.0.1:6443", false),
            ("http://127.0.0.1:10261", false),
            ("http://10.0.0.1:6443", true),
            ("http://api.example.com", true),
        ] {
            let mut anonymous = access(server, Identity::Anonymous);
            assert!(!anonymous.hold_secrets_back(), "{server}: there is nothing to hold back");
            let token = Identity::Fixed(super::super::access::bearer("secret").unwrap());
            let mut access = access(server, token);
            assert_eq!(access.hold_secrets_back(), is_held_back, "{server}");
            assert_eq!(access.identity == Identity::Anonymous, is_held_back, "{server}");
        }
    }

    /// `there` has a context, `other` the user, and `broken` no YAML.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().unwrap();
        let there = "{current-context: x, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1', \
                     certificate-authority: ca}}], contexts: [{name: x, context: {cluster: c, user: u}}]}";
        let other = "{users: [{name: u, user: {tokenFile: token}}], clusters: [{name: c, cluster: {}}]}";
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for (name, text) in [("there", there), ("sub/other", other), ("broken", "a: b: c"), ("empty", "")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn of_a_list_of_kubeconfigs_those_are_used_that_are_there() {
        let folder = folder();
        let path = |name: &str| if name.is_empty() { PathBuf::new() } else { folder.path().join(name) };
        for (list, expected) in [
            ("there sub/other", ""),
            ("none there none sub/other", ""),
            ("there there sub/other", ""),
            ("empty there sub/other", ""),
            ("there", "no user of the name \"u\""),
            ("sub/other there", "cluster \"c\" has no server"),
            ("none", "there is no kubeconfig (FOLDER/none)"),
            ("there sub", "could not read the kubeconfig FOLDER/sub: it is not a regular file"),
            ("there broken sub/other", "could not use the kubeconfig FOLDER/broken: is not YAML"),
        ] {
            let paths = std::iter::once(PathBuf::new()).chain(list.split(' ').map(path)).collect();
            let mut files = Files::default();
            match listed(paths, None, &mut files) {
                Ok(access) => {
                    assert_eq!(expected, "", "{list}");
                    let token = Identity::TokenFile { file: path("sub/token"), otherwise: None };
                    assert_eq!(access.identity, token, "{list}");
                    assert_eq!(access.files().collect::<Vec<_>>(), [path("ca")], "{list}");
                }
                Err(error) => {
                    let error = crate::shown::chain(&error);
                    let error = error.replace(&folder.path().display().to_string(), "FOLDER");
                    assert!(!expected.is_empty() && error.contains(expected), "{list}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_kubeconfig_that_is_named_has_to_be_there() {
        let folder = folder();
        let error = explicit(&folder.path().join("none"), None, &mut Files::default()).err().unwrap();
        assert!(matches!(error, ConnectError::Read { what: "kubeconfig", .. }), "{error}");
    }

    #[test]
    fn a_file_that_appears_or_changes_is_noticed() {
        let folder = folder();
        let mut files = Files::default();
        let paths = ["none", "there", "sub/other"].map(|name| folder.path().join(name));
        listed(paths.to_vec(), None, &mut files).unwrap();
        assert!(!files.have_changed());
        std::fs::write(&paths[0], "").unwrap();
        assert!(files.have_changed(), "it was not there");
        files.look_again();
        assert!(!files.have_changed());
        std::fs::rename(&paths[0], &paths[1]).unwrap();
        assert!(files.have_changed(), "it was replaced");
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for (server, expected) in [
            ("http://127.0.0.1:10261", true),
            ("http://localhost:10261", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1:1", false),
            ("http://127.example.com", false),
        ] {
            assert_eq!(is_this_machine(&server.parse().unwrap()), expected, "{server}");
        }
    }
}
