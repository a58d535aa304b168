//! The tutorial's cluster: control plane, nodes, workloads and one agent per node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kubelet, Yurt, patiently};
use crate::demo;
use crate::demo::cast::{Cast, Members, Pools};
use crate::demo::names::{self, Names};
use crate::demo::screen::Screen;
use crate::demo::truth::{EDGE2, PLACES, SERVERS_IN_A_POOL, SERVING, pool_of};
use crate::ours::agent::Agent;
use crate::{Site, now};

use super::Agents;
use super::installed::{self, Installation};

/// As a user writes them, in the order that a user applies them.
const NODE_POOLS: &str = "examples/tutorial/nodepools.yaml";
const WORKLOADS: &str = "examples/tutorial/workloads.yaml";
const SERVICES: [&str; 2] =
    ["examples/tutorial/service-svc-ud1.yaml", "examples/tutorial/service-svc-ud1-without-topology.yaml"];

/// What the names of the workload's pods begin with.
const SERVER: &str = "united-deployment1-";

/// For pods to be made, bound and run.
const SOON: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    // Dropped in this order: who asks goes before who answers.
    _agents: Vec<Agent>,
    /// Where each node has its pins, if the chart is installed.
    pub(super) pins: Vec<PathBuf>,
    cast: Cast,
    names: Names,
    kubelet: Arc<Kubelet>,
    _yurt: Yurt,
    pub(super) cluster: Cluster,
    pub(super) kubeconfig: PathBuf,
    site: Site,
}

impl Stage {
    pub(super) fn new(screen: &Screen, agents: Agents) -> Result<Self> {
        let started = Instant::now();
        let site = Site::new()?;
        let mut cluster = Cluster::with_controllers(&site)?;
        let yurt = Yurt::start(&mut cluster)?;
        screen.measured(started.elapsed(), "until the control plane and yurt-manager are ready")?;

        let started = Instant::now();
        cluster.apply_file(NODE_POOLS)?;
        let nodes = demo::nodes(&site)?;
        let runtime = match agents {
            Agents::AsProcesses => None,
            Agents::ByHelm => Some(installed::runtime(&cluster, &nodes)?),
        };
        let by_name = PLACES.iter().zip(&nodes).map(|(place, (node, _))| (place.node, node.clone()));
        let names = Names::new(&by_name.collect())?;
        let installation = runtime.as_ref().map(|of| Installation::on(of, &nodes)).transpose()?;
        let kubelet = Arc::new(Kubelet::start_with(&cluster, &nodes, runtime)?);
        // Its pool is to change under its client: it takes no servers.
        let cordon = json!({"spec": {"unschedulable": true}});
        cluster.api().merge(&format!("/api/v1/nodes/{EDGE2}"), &cordon)?;
        cluster.apply_file(WORKLOADS)?;
        for file in SERVICES {
            cluster.apply_file(file)?;
        }
        cluster.apply_text(names::MANIFESTS)?;
        for place in &PLACES {
            patiently(403, || cluster.api().create(&client_pod(place.node)))?;
        }
        let cast = wait_for_pods(&kubelet)?;
        screen.measured(
            started.elapsed(),
            "until NodePools, nodes, YurtAppSets and Services are, and pods run",
        )?;

        let started = Instant::now();
        let (kubeconfig, agents, pins) = match installation {
            None => {
                let kubeconfig = cluster.agent_kubeconfig()?;
                let agents = processes(&cluster, &cast, &kubeconfig)?;
                screen.measured(
                    started.elapsed(),
                    "until five agents are ready, with the rights of deploy/rbac.yaml",
                )?;
                (kubeconfig, agents, Vec::new())
            }
            Some(installation) => {
                let kubeconfig = installation.install(screen, &site, &cluster)?;
                screen.measured(started.elapsed(), "until all five pods are ready")?;
                (kubeconfig, Vec::new(), installation.pins)
            }
        };
        Ok(Self { _agents: agents, pins, cast, names, kubelet, _yurt: yurt, cluster, kubeconfig, site })
    }

    pub(super) fn cast(&self) -> &Cast {
        &self.cast
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn name(&self) -> String {
        self.site.name().to_owned()
    }

    /// Changes parts of an object; gives the time at which the API server had answered.
    pub(super) fn merge(&self, path: &str, patch: &Value) -> Result<Duration> {
        self.cluster.api().merge(path, patch)?;
        Ok(now())
    }

    /// Where each server is, as the backends of a Service are written.
    pub(super) fn addresses(&self) -> Result<BTreeMap<String, String>> {
        let servers =
            self.kubelet.seen().into_iter().filter(|seen| seen.runs && seen.name.starts_with(SERVER));
        servers
            .map(|seen| {
                let address = self.kubelet.pod(&seen.name)?.address();
                Ok((seen.name, format!("{address}:9376")))
            })
            .collect()
    }
}

/// One agent a node, until all are ready.
fn processes(cluster: &Cluster, cast: &Cast, kubeconfig: &Path) -> Result<Vec<Agent>> {
    let flags = ["--kubeconfig", kubeconfig.to_str().context("a path that is no text")?];
    let nodes = cast.clients().values().map(|client| client.node());
    let agents = nodes.map(|node| Agent::follow(cluster, node, &flags)).collect::<Result<Vec<_>>>()?;
    for agent in &agents {
        agent.wait_until("the agent is ready", |view| view.ready)?;
    }
    Ok(agents)
}

/// A client is a pod too; it asks for its node by itself, as a DaemonSet's does.
fn client_pod(node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": client(node), "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "client", "image": "agnhost", "args": ["pause"]}]},
    })
}

fn client(node: &str) -> String {
    format!("client-on-{node}")
}

fn wait_for_pods(kubelet: &Arc<Kubelet>) -> Result<Cast> {
    let give_up = Instant::now() + SOON;
    let all_servers = SERVING.map(|pool| (pool, SERVERS_IN_A_POOL));
    loop {
        let clients: Result<BTreeMap<_, _>> =
            PLACES.iter().map(|place| Ok((place.node, kubelet.pod(&client(place.node))?))).collect();
        let servers = servers(kubelet).counts();
        match clients {
            Ok(clients) if servers == all_servers => {
                let kubelet = Arc::clone(kubelet);
                return Ok(Cast::new(clients, Pools::new(move || self::servers(&kubelet))));
            }
            _ => ensure!(Instant::now() < give_up, "after {SOON:?} these pods run: {:?}", kubelet.names()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pod is in the pool that its node is in at first: the one node that moves takes no servers.
fn servers(kubelet: &Kubelet) -> Members {
    let mut members = Members::default();
    for seen in kubelet.seen().iter().filter(|seen| seen.name.starts_with(SERVER)) {
        if let Ok(pool) = pool_of(&seen.node) {
            members.add(pool, &seen.name, seen.runs);
        }
    }
    members
}
