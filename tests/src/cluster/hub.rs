//! OpenYurt's own proxy of a node between its programs and the API server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::child::Child;
use crate::harness::node::Node;

use super::parts::API_SERVER_PORT;
use super::{Cluster, PATIENCE, tool, users};

const PROGRAM: &str = "yurthub";

/// Each hub takes four ports from here on.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 4;

/// How often it looks whether the API server answers, in seconds. By default it takes half a minute to notice.
const HEARTBEAT: u16 = 1;

const PAUSE: Duration = Duration::from_millis(50);

/// yurthub of one node at work, with its files in the cluster's folder. It ends when dropped.
pub struct Hub {
    process: Child,
    node: Node,
    name: String,
    arguments: Vec<String>,
    port: u16,
}

impl Hub {
    /// Starts it for a node that is registered, and waits until it serves: six seconds the first time,
    /// for yurt-manager has to approve of its certificates.
    pub fn start(cluster: &Cluster, node: &Node, pool: &str) -> Result<Self> {
        let hub = Self::spawn(cluster, node, pool)?;
        hub.wait_until_ready(cluster)?;
        Ok(hub)
    }

    /// The same without waiting.
    pub fn spawn(cluster: &Cluster, node: &Node, pool: &str) -> Result<Self> {
        grant(cluster)?;
        let name = format!("{PROGRAM}-{}", node.name());
        let folder = cluster.folder().join(&name);
        fs::create_dir(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let boot = cluster.write_kubeconfig("boot", users::token_of(&cluster.users, users::BOOTSTRAP)?)?;
        let number = u16::try_from(cluster.world.next_number()).context("too many things on one site")?;
        let port = FIRST_PORT + number * PORTS;
        let arguments = arguments(node.name(), pool, port, &folder, &boot);
        let process = run(cluster, node, &name, &arguments)?;
        Ok(Self { process, node: node.clone(), name, arguments, port })
    }

    /// Until it says that it is.
    pub fn wait_until_ready(&self, cluster: &Cluster) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while let Err(error) = cluster.ask(self.port + 1, "/v1/readyz") {
            if Instant::now() > give_up {
                bail!("{} does not become ready: {error:#}\n{}", self.name, cluster.last_words(&self.name));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// What programs of the node dial instead of the API server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it answers as its node's programs ask.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it and starts it anew over the files that it left, and does not wait. The API server need not
    /// be there.
    pub fn restart(&mut self, cluster: &Cluster) -> Result<()> {
        self.kill()?;
        self.process = run(cluster, &self.node, &self.name, &self.arguments)?;
        Ok(())
    }

    /// As a node does that loses its power.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(5))?.context("yurthub does not end")?;
        Ok(())
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.wait(Duration::ZERO)?.is_some())
    }

    /// The end of what it logged.
    #[must_use]
    pub fn last_words(&self, cluster: &Cluster) -> String {
        cluster.last_words(&self.name)
    }
}

/// What OpenYurt's charts leave to the operator: nodes may ask for certificates, and see which nodes make up
/// a pool.
fn grant(cluster: &Cluster) -> Result<()> {
    let group =
        |name: &str| json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}]);
    let binding = |name: &str, role: &str, of: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name}, "subjects": group(of),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        })
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "nodebuckets"},
        "rules": [{
            "apiGroups": ["apps.openyurt.io"], "resources": ["nodebuckets"], "verbs": ["list", "watch"],
        }],
    });
    for object in [
        binding("boot", "system:node-bootstrapper", "system:bootstrappers"),
        role,
        binding("nodebuckets", "nodebuckets", "system:nodes"),
    ] {
        cluster.api().apply(&object)?;
    }
    Ok(())
}

fn arguments(node: &str, pool: &str, port: u16, folder: &Path, boot: &Path) -> Vec<String> {
    let (serve, secure, multiplexer) = (port + 1, port + 2, port + 3);
    vec![
        format!("--server-addr=https://127.0.0.1:{API_SERVER_PORT}"),
        format!("--node-name={node}"),
        format!("--nodepool-name={pool}"),
        "--node-ip=127.0.0.1".to_owned(),
        "--bootstrap-mode=token".to_owned(),
        format!("--bootstrap-file={}", boot.display()),
        format!("--root-dir={}", folder.display()),
        format!("--disk-cache-path={}/cache/", folder.display()),
        "--enable-dummy-if=false".to_owned(),
        "--enable-pool-service-topology=true".to_owned(),
        format!("--heartbeat-interval-seconds={HEARTBEAT}"),
        format!("--proxy-port={port}"),
        format!("--serve-port={serve}"),
        format!("--proxy-secure-port={secure}"),
        format!("--multiplexer-port={multiplexer}"),
    ]
}

fn run(cluster: &Cluster, node: &Node, name: &str, arguments: &[String]) -> Result<Child> {
    let mut command: Command = cluster.command_on(node, tool(PROGRAM)?);
    cluster.spawn(name, command.args(arguments))
}
