//! The flags that say where objects come from.

use std::path::PathBuf;

use crate::api::{Credentials, KubeConfig};

/// An API server: a pod's own unless one is named.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiArgs {
    /// Read address and credentials of the API server from this file; in a pod its own are used,
    /// elsewhere those in $KUBECONFIG or the home directory
    #[arg(long, value_name = "FILE", env = "EDGELOOP_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,

    /// Use this context of the kubeconfig instead of its current one
    #[arg(long, value_name = "NAME", env = "EDGELOOP_CONTEXT")]
    context: Option<String>,

    /// Dial the API server, or a proxy on this node, at this address; credentials are those of
    /// the kubeconfig if one is named, else the pod's own; neither leaves the node over http
    #[arg(long, value_name = "URL", env = "EDGELOOP_API_SERVER")]
    api_server: Option<String>,
}

/// Two flags that name different sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{files} and {api} name different sources: give one of them")]
pub struct TwoSources {
    files: &'static str,
    api: &'static str,
}

impl ApiArgs {
    /// An empty value counts as not given: an environment variable cannot be given without a value.
    ///
    /// # Errors
    /// The flag `files`, where it was given, names another source.
    pub fn settle(self, files: Option<&'static str>) -> Result<KubeConfig, TwoSources> {
        let Self { kubeconfig, context, api_server } = self;
        let kubeconfig = kubeconfig.filter(|file| !file.as_os_str().is_empty());
        let context = context.filter(|name| !name.is_empty());
        let server = api_server.filter(|url| !url.is_empty());
        let given = [
            ("--kubeconfig", kubeconfig.is_some()),
            ("--context", context.is_some()),
            ("--api-server", server.is_some()),
        ];
        if let (Some(files), Some((api, _))) = (files, given.into_iter().find(|(_, given)| *given)) {
            return Err(TwoSources { files, api });
        }
        let credentials = if kubeconfig.is_none() && context.is_none() {
            Credentials::Ambient
        } else {
            Credentials::Kubeconfig { file: kubeconfig, context }
        };
        Ok(KubeConfig { credentials, server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_an_api_server_exclude_one_another() {
        let none = ApiArgs { kubeconfig: None, context: None, api_server: None };
        let url = || ApiArgs { api_server: Some("http://127.0.0.1:1".to_owned()), ..none.clone() };
        assert!(none.clone().settle(Some("--source")).is_ok());
        assert!(url().settle(None).is_ok());
        let error = url().settle(Some("--source")).unwrap_err().to_string();
        assert_eq!(error, "--source and --api-server name different sources: give one of them");
        let empty = ApiArgs { context: Some(String::new()), ..none.clone() };
        assert!(empty.settle(Some("--source")).is_ok(), "an empty variable counts as not given");
    }

    #[test]
    fn an_address_takes_its_credentials_from_the_file_that_is_named() {
        let args = |kubeconfig: Option<&str>, context: Option<&str>| ApiArgs {
            kubeconfig: kubeconfig.map(PathBuf::from),
            context: context.map(str::to_owned),
            api_server: Some("https://10.0.0.1:6443".to_owned()),
        };
        for (args, credentials) in [
            (args(None, None), Credentials::Ambient),
            (args(Some("f"), None), Credentials::Kubeconfig { file: Some("f".into()), context: None }),
            (args(None, Some("c")), Credentials::Kubeconfig { file: None, context: Some("c".to_owned()) }),
        ] {
            let server = Some("https://10.0.0.1:6443".to_owned());
            assert_eq!(args.settle(None).unwrap(), KubeConfig { credentials, server });
        }
    }
}
