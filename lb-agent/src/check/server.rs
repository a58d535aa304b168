//! The API server: every address that an agent on this node may use, the clock, and what runs pods elsewhere
//! than in this kernel.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::{ApiClient, Credentials, KubeConfig};
use crate::model::Mode;
use crate::shown::{chain, line, shown};

use super::finding::Finding;

/// For all that is asked of the server.
const PATIENCE: Duration = Duration::from_millis(1500);
/// For a port of this node.
const NEAR: Duration = Duration::from_millis(300);

/// Proxies to the API server that distributions run on each node.
const PROXIES: [(u16, &str); 6] = [
    (6444, "k3s"),
    (6443, "RKE2, kubeadm"),
    (7443, "k0s"),
    (7445, "Talos"),
    (10_550, "KubeEdge"),
    (10_261, "YurtHub"),
];

/// Handlers of runtime classes whose sockets are not this kernel's.
const ELSEWHERE: [&str; 5] = ["kata", "gvisor", "runsc", "firecracker", "wasm"];

/// The middle of 2025, and of 2100: no clock that is right shows less or more.
const PLAUSIBLE: std::ops::Range<u64> = 1_750_000_000..4_118_000_000;

#[derive(Deserialize)]
struct RuntimeClasses {
    items: Vec<RuntimeClass>,
}

#[derive(Deserialize)]
struct RuntimeClass {
    #[serde(default)]
    handler: String,
    metadata: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

pub(super) async fn findings(server: Option<KubeConfig>, mode: Mode) -> Vec<Finding> {
    let mut findings = vec![clock(SystemTime::now())];
    let Some(config) = server else { return findings };
    findings.extend(of_address(&config, mode));
    let what = called(&config);
    let (asked, near) = tokio::join!(timeout(PATIENCE, ask(config)), near());
    let asked = asked.unwrap_or_else(|_elapsed| Err(format!("says nothing within {PATIENCE:?}")));
    match asked {
        Ok(Asked { is, classes }) => {
            findings.push(Finding::ok(what, is));
            findings.extend(classes);
        }
        Err(why) => findings.push(unreachable(&what, &why, !near.is_empty())),
    }
    findings.push(proxies(&near));
    findings
}

/// Without kube-proxy nothing leads to a Service before the agent has heard of it.
fn of_address(config: &KubeConfig, mode: Mode) -> Option<Finding> {
    let wrong = match mode {
        Mode::Beside => return None,
        Mode::Replace => config.has_real_address().err()?,
    };
    Some(Finding::missing(
        "address of the API server",
        line(&chain(&wrong)),
        "an agent with --mode replace does not start",
        "give --api-server",
    ))
}

fn clock(now: SystemTime) -> Finding {
    let what = "clock";
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if PLAUSIBLE.contains(&seconds) {
        return Finding::ok(what, "plausible");
    }
    Finding::degraded(
        what,
        format!("{seconds} s since 1970 is not today"),
        "certificates of the API server look expired or not valid yet",
        "set the clock, or wait for NTP",
    )
}

/// The server that an agent with these flags follows.
fn called(config: &KubeConfig) -> String {
    let by = match (&config.server, &config.credentials) {
        (Some(_), _) => "named by --api-server",
        (None, Credentials::Kubeconfig { .. }) => "of the kubeconfig",
        (None, Credentials::Ambient) => "of the pod or the kubeconfig",
    };
    format!("API server {by}")
}

/// What a server says that can be reached.
struct Asked {
    is: String,
    /// Where they may be listed.
    classes: Option<Finding>,
}

async fn ask(config: KubeConfig) -> Result<Asked, String> {
    let client = ApiClient::new(config, None).await.map_err(|error| line(&chain(&error)))?;
    let server = client.server();
    let version = client.text("/version", PATIENCE).await;
    let version = version.map_err(|error| line(&format!("{server}: {error}")))?;
    let classes = client.text("/apis/node.k8s.io/v1/runtimeclasses", PATIENCE).await;
    let classes = classes.ok().and_then(|text| runtime_classes(&text));
    Ok(Asked { is: format!("{server} is {}", version_of(&version)), classes })
}

fn unreachable(what: &str, found: &str, has_proxy: bool) -> Finding {
    let todo = if has_proxy {
        "name the proxy on this node with --api-server, see the next line"
    } else {
        "check address, network and credentials; over a cluster IP the agent depends on kube-proxy"
    };
    Finding::degraded(
        what,
        found,
        "an agent that starts now serves what its maps hold, and learns nothing",
        todo,
    )
}

fn version_of(text: &str) -> String {
    let version = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    match version.get("gitVersion").and_then(serde_json::Value::as_str) {
        Some(version) => shown(version),
        None => "an API server that does not say its version".to_owned(),
    }
}

/// Those of [`PROXIES`] that accept a connection.
async fn near() -> Vec<(u16, &'static str)> {
    let tries = PROXIES.map(|(port, of)| {
        tokio::spawn(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let connected = timeout(NEAR, TcpStream::connect(address)).await;
            matches!(connected, Ok(Ok(_))).then_some((port, of))
        })
    });
    let mut found = Vec::new();
    for tried in tries {
        found.extend(tried.await.ok().flatten());
    }
    found
}

fn proxies(near: &[(u16, &str)]) -> Finding {
    let what = "node-local proxies to it";
    if near.is_empty() {
        let ports: Vec<String> = PROXIES.iter().map(|(port, of)| format!("{port} ({of})")).collect();
        return Finding::ok(what, format!("none: 127.0.0.1 refuses ports {}", ports.join(", ")));
    }
    let near: Vec<String> = near.iter().map(|(port, of)| format!("127.0.0.1:{port} (as in {of})")).collect();
    Finding::ok(what, near.join(", "))
}

/// Those whose pods have sockets elsewhere.
fn runtime_classes(text: &str) -> Option<Finding> {
    let what = "runtime classes";
    let classes: RuntimeClasses = serde_json::from_str(text).ok()?;
    let elsewhere: Vec<String> = classes
        .items
        .iter()
        .filter(|class| ELSEWHERE.iter().any(|name| class.handler.contains(name)))
        .map(|class| format!("{} ({})", shown(&class.metadata.name), shown(&class.handler)))
        .collect();
    if elsewhere.is_empty() {
        return Some(Finding::ok(what, "all of them run pods in this kernel"));
    }
    Some(Finding::degraded(
        what,
        elsewhere.join(", "),
        "connections of their pods are made by another kernel: kube-proxy alone decides for them",
        "run clients that must stay in their pool with another runtime class",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn a_clock_of_1970_is_not_plausible() {
        for (seconds, state) in
            [(0, State::Degraded), (1_764_000_000, State::Ok), (9_000_000_000, State::Degraded)]
        {
            assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(seconds)).state, state, "{seconds}");
        }
    }

    #[test]
    fn runtime_classes_of_other_kernels_are_named() {
        let list =
            |handler: &str| format!(r#"{{"items":[{{"metadata":{{"name":"x"}},"handler":"{handler}"}}]}}"#);
        for (handler, state) in
            [("runc", State::Ok), ("kata-qemu", State::Degraded), ("runsc", State::Degraded)]
        {
            assert_eq!(runtime_classes(&list(handler)).unwrap().state, state, "{handler}");
        }
        assert!(runtime_classes("<html>").is_none());
    }

    #[test]
    fn a_version_is_shown_on_one_line() {
        assert_eq!(version_of(r#"{"gitVersion":"v1.36.3"}"#), "v1.36.3");
        assert_eq!(version_of("odd"), "an API server that does not say its version");
        assert!(!version_of("{\"gitVersion\":\"v1\\n\\u001b[31m\"}").contains('\n'));
    }
}
