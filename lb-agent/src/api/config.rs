//! Which API server, and as whom.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Where a pod finds its token and the cluster's CA.
const POD_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Set in every pod.
const POD_SIGN: &str = "KUBERNETES_SERVICE_HOST";

/// Which API server to follow, and with whose credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("--api-server {server:?} is not an address: write it as http://HOST:PORT or https://HOST:PORT")]
    Address { server: String },

    #[error(
        "this is no pod, and there is no usable kubeconfig: name one with --kubeconfig, or an address with --api-server"
    )]
    Nothing(#[source] KubeconfigError),

    #[error("could not use the kubeconfig {file}")]
    Kubeconfig {
        file: String,
        #[source]
        source: KubeconfigError,
    },

    #[error("could not use the credentials of this pod")]
    Pod(#[source] kube::config::InClusterError),

    #[error(
        "the kubeconfig asks for a proxy ({proxy}), which is not supported: name an address that can be dialled with --api-server"
    )]
    Proxy { proxy: String },

    #[error("could not set up the connection")]
    Client(#[source] kube::Error),
}

impl KubeConfig {
    /// Reads everything anew: certificates and kubeconfigs are rotated while an agent runs.
    pub(crate) async fn read(&self) -> Result<kube::Config, ConnectError> {
        let server = self.server.as_deref().map(address).transpose()?;
        let mut config = match (&self.credentials, &server) {
            (Credentials::Kubeconfig { file, context }, _) => {
                kubeconfig(file.as_ref(), context.as_ref()).await?
            }
            (Credentials::Ambient, Some(server)) => of_address(server)?,
            (Credentials::Ambient, None) if std::env::var_os(POD_SIGN).is_some() => {
                kube::Config::incluster().map_err(ConnectError::Pod)?
            }
            (Credentials::Ambient, None) => match kubeconfig(None, None).await {
                Err(ConnectError::Kubeconfig { source, .. }) => return Err(ConnectError::Nothing(source)),
                other => other?,
            },
        };
        let is_named = server.is_some();
        if let Some(server) = server {
            config.cluster_url = server;
        }
        // It may hold a password.
        match config.proxy_url.take().filter(|_| !is_named) {
            Some(proxy) => Err(ConnectError::Proxy { proxy: proxy.host().unwrap_or_default().to_owned() }),
            None => Ok(config),
        }
    }
}

/// Takes out what could be stolen on the way. Returns whether there was any: over plain http a
/// token or a password never leaves this machine, wherever it came from. (kubectl sends none over
/// http at all.)
pub(crate) fn hold_secrets_back(config: &mut kube::Config) -> bool {
    let server = &config.cluster_url;
    if server.scheme_str() == Some("https") || is_this_machine(server) {
        return false;
    }
    let auth = std::mem::take(&mut config.auth_info);
    auth.token.is_some()
        || auth.token_file.is_some()
        || auth.password.is_some()
        || auth.exec.is_some()
        || auth.auth_provider.is_some()
}

fn address(server: &str) -> Result<http::Uri, ConnectError> {
    let wrong = || ConnectError::Address { server: server.to_owned() };
    let uri: http::Uri = server.parse().map_err(|_not_a_uri| wrong())?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_known && uri.host().is_some_and(|host| !host.is_empty()) { Ok(uri) } else { Err(wrong()) }
}

/// A server that was named alone gets the pod's token if there is one.
fn of_address(server: &http::Uri) -> Result<kube::Config, ConnectError> {
    let in_pod = std::path::Path::new(POD_FOLDER).join("token").is_file();
    if !in_pod {
        return Ok(kube::Config::new(server.clone()));
    }
    // The URL that comes with it is replaced.
    let pod = kube::Config::incluster_dns().map_err(ConnectError::Pod)?;
    Ok(pod)
}

fn is_this_machine(server: &http::Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn kubeconfig(file: Option<&PathBuf>, context: Option<&String>) -> Result<kube::Config, ConnectError> {
    let failed = |source| ConnectError::Kubeconfig {
        file: file.map_or_else(|| "of the user".to_owned(), |file| file.display().to_string()),
        source,
    };
    let read = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from).map_err(failed)?;
    let options = KubeConfigOptions { context: context.cloned(), ..KubeConfigOptions::default() };
    let has_proxy = has_proxy(&read, context);
    let mut config = kube::Config::from_custom_kubeconfig(read, &options).await.map_err(failed)?;
    if !has_proxy {
        // It came from `https_proxy`, which is there for other programs of this machine.
        config.proxy_url = None;
    }
    Ok(config)
}

/// Whether the context's cluster itself asks for a proxy.
fn has_proxy(kubeconfig: &Kubeconfig, context: Option<&String>) -> bool {
    let context = context.or(kubeconfig.current_context.as_ref());
    let context = kubeconfig.contexts.iter().find(|named| Some(&named.name) == context);
    let cluster = context.and_then(|named| Some(&named.context.as_ref()?.cluster));
    let cluster = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    let proxy = cluster.and_then(|named| named.cluster.as_ref()?.proxy_url.as_ref());
    proxy.is_some_and(|proxy| !proxy.is_empty())
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
            ("", false),
        ] {
            assert_eq!(address(server).is_ok(), is_good, "{server}");
        }
    }

    #[test]
    fn in_the_clear_a_token_stays_on_this_machine() {
        for (server, is_held_back) in [
            ("https://10.0.0.1:6443", false),
            ("http://127.0.0.1:10261", false),
            ("http://10.0.0.1:6443", true),
            ("http://api.example.com", true),
        ] {
            let mut config = kube::Config::new(server.parse().unwrap());
            assert!(!hold_secrets_back(&mut config), "{server}: there is nothing to hold back");
            config.auth_info.token = Some("secret".to_owned().into());
            assert_eq!(hold_secrets_back(&mut config), is_held_back, "{server}");
            assert_eq!(config.auth_info.token.is_none(), is_held_back, "{server}");
        }
    }

    #[test]
    fn a_proxy_is_the_kubeconfigs_own_or_none() {
        let text = r#"{"current-context": "b",
            "clusters": [{"name": "one", "cluster": {"server": "https://one"}},
                {"name": "two", "cluster": {"server": "https://two", "proxy-url": "http://proxy"}}],
            "contexts": [{"name": "a", "context": {"cluster": "one", "user": "u"}},
                {"name": "b", "context": {"cluster": "two", "user": "u"}}]}"#;
        let kubeconfig = Kubeconfig::from_yaml(text).unwrap();
        for (context, expected) in [(None, true), (Some("a"), false), (Some("b"), true), (Some("c"), false)] {
            let context = context.map(str::to_owned);
            assert_eq!(has_proxy(&kubeconfig, context.as_ref()), expected, "{context:?}");
        }
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
