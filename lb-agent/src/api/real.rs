//! Whether the API server's address is one that no Service has: without kube-proxy no other leads to it.

use std::net::IpAddr;

use super::config::{ConnectError, KubeConfig, POD_HOST};
use crate::shown::shown;

/// Why an agent without kube-proxy cannot follow this API server.
#[derive(Debug, thiserror::Error)]
pub enum NotReal {
    #[error(transparent)]
    Config(#[from] ConnectError),
    #[error(
        "--mode replace needs an address of the API server that is no Service's, and {host} is one ({why}): name the API server's \
         own address, or that of a proxy on this node, with --api-server (EDGELOOP_API_SERVER)"
    )]
    OfAService { host: String, why: &'static str },
}

impl KubeConfig {
    /// Whether the agent can reach this API server although no Service is served yet.
    ///
    /// # Errors
    /// The address is a Service's, or nothing names one.
    pub fn has_real_address(&self) -> Result<(), NotReal> {
        let found = self.find()?;
        let host = found.access.server.host().unwrap_or_default();
        let pods = std::env::var(POD_HOST).ok();
        match of_a_service(host, pods.as_deref()) {
            None => Ok(()),
            Some(why) => Err(NotReal::OfAService { host: shown(host), why }),
        }
    }
}

/// Why `host` is a Service's address, if so. `pods` is where pods are sent to find the API server.
fn of_a_service(host: &str, pods: Option<&str>) -> Option<&'static str> {
    let ip = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    match (ip(host), pods.and_then(ip)) {
        (Some(host), Some(pods)) if host == pods && !host.is_loopback() => {
            Some("it is the one of $KUBERNETES_SERVICE_HOST")
        }
        (None, _) if matches!(labels[..], ["kubernetes"] | ["kubernetes", "default"] | [_, _, "svc", ..]) => {
            Some("it is the name of one")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Credentials;

    #[test]
    fn the_address_that_pods_are_given_and_names_of_services_are_services() {
        let pods = Some("10.96.0.1");
        for (host, pods, is_service) in [
            ("10.96.0.1", pods, true),
            ("192.0.2.10", pods, false),
            ("127.0.0.1", Some("127.0.0.1"), false),
            ("[fd00:96::1]", Some("fd00:96::1"), true),
            ("[fd00::1]", Some("fd00:96::1"), false),
            ("10.96.0.1", None, false),
            ("kubernetes", None, true),
            ("kubernetes.default", None, true),
            ("Kubernetes.default.svc", None, true),
            ("kubernetes.default.svc.cluster.local.", None, true),
            ("api.example.com", pods, false),
            ("svc.example.com", pods, false),
        ] {
            assert_eq!(of_a_service(host, pods).is_some(), is_service, "{host} {pods:?}");
        }
    }

    #[test]
    fn an_address_that_is_named_is_looked_at() {
        let named =
            |server: &str| KubeConfig { credentials: Credentials::Ambient, server: Some(server.to_owned()) };
        assert!(named("https://192.0.2.10:6443").has_real_address().is_ok());
        let refused = named("https://kubernetes.default.svc:443").has_real_address().unwrap_err();
        assert!(refused.to_string().contains("--api-server"), "{refused}");
    }
}
