//! One cluster, and two nodes of one pool: one served by yurthub and kube-proxy, one by us.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cluster::{Cluster, Hub, Yurt, tool};
use crate::harness::child::Child;
use crate::ours::agent::Agent;
use crate::{Node, Pod, Site};

/// Names, pools and pods of the nodes. The pods' addresses follow from their place: 10.244.N.1.
pub(super) const THEIRS: &str = "kind-worker";
pub(super) const OURS: &str = "edge-node2";
pub(super) const LEAVES: &str = "edge-node3";
pub(super) const FAR: &str = "kind-worker2";
const NODES: [(&str, &str); 4] =
    [(THEIRS, "hangzhou"), (OURS, "hangzhou"), (LEAVES, "hangzhou"), (FAR, "shanghai")];

pub(super) const POOL_LABEL: &str = "apps.openyurt.io/nodepool";

/// What every pod serves on.
const PORT: u16 = 9376;

/// A Service and its slice in one instant are more than a running watch of yurthub's may be given.
const APART: Duration = Duration::from_millis(300);

/// Fields end in this order.
pub(super) struct Ground {
    pub(super) agent: Agent,
    /// A pod on our node.
    pub(super) client: Pod,
    _kube_proxy: Child,
    pub(super) hub: Hub,
    _yurt: Yurt,
    pub(super) cluster: Cluster,
    /// They serve for as long as they are held.
    _servers: Vec<Pod>,
    pub(super) ours: Node,
    site: Site,
}

impl Ground {
    /// With these Services, and everyone at work; `slices` are theirs.
    pub(super) fn up(services: &str, slices: &str) -> Result<Self> {
        let site = Site::new()?;
        let mut cluster = Cluster::with_controllers(&site)?;
        let yurt = Yurt::start(&mut cluster)?;
        cluster.apply_file("examples/tutorial/nodepools.yaml")?;
        let (mut nodes, mut servers) = (Vec::new(), Vec::new());
        for (name, pool) in NODES {
            let node = site.node(name)?;
            cluster.register(name, &json!({POOL_LABEL: pool}))?;
            let pod = node.pod(&format!("on-{name}"), &address_on(name)?)?;
            pod.serve_name(PORT)?;
            servers.push(pod);
            nodes.push(node);
        }
        let [theirs, ours, ..] = nodes.as_slice() else { unreachable!("four nodes were made") };
        let hub = Hub::start(&cluster, theirs, "hangzhou")?;
        apply(&cluster, services, slices)?;
        let kube_proxy = kube_proxy(&cluster, theirs, &hub)?;
        let kubeconfig = cluster.agent_kubeconfig()?.display().to_string();
        let agent = Agent::follow(&cluster, ours, &["--kubeconfig", &kubeconfig])?;
        agent.wait_until("our agent is ready", |view| view.ready)?;
        let client = ours.pod("client", "10.244.2.250")?;
        let ours = ours.clone();
        Ok(Self {
            agent,
            client,
            _kube_proxy: kube_proxy,
            hub,
            _yurt: yurt,
            cluster,
            _servers: servers,
            ours,
            site,
        })
    }

    /// More Services and their slices.
    pub(super) fn add(&self, services: &str, slices: &str) -> Result<()> {
        apply(&self.cluster, services, slices)
    }

    pub(super) fn name(&self) -> String {
        self.site.name().to_owned()
    }
}

fn apply(cluster: &Cluster, services: &str, slices: &str) -> Result<()> {
    cluster.apply_lines(services)?;
    thread::sleep(APART);
    cluster.apply_lines(slices)
}

/// The pod of a node, as slices write it.
pub(super) fn address_on(node: &str) -> Result<String> {
    let at = NODES.iter().position(|(name, _)| *name == node).context("no such node")?;
    Ok(format!("10.244.{}.1", at + 1))
}

/// The pods of these nodes, as decisions write them.
pub(super) fn pods_on(nodes: &[&str]) -> Result<super::sides::Set> {
    nodes.iter().map(|node| Ok(format!("{}:{PORT}", address_on(node)?))).collect()
}

/// A line that makes a slice of the pods on these nodes.
pub(super) fn slice(service: &str, nodes: &[&str]) -> Result<String> {
    let endpoints = nodes.iter().map(|node| Ok(format!(" {}@{node}", address_on(node)?)));
    let endpoints: String = endpoints.collect::<Result<_>>()?;
    Ok(format!("slice {service}-x of {service} {PORT}{endpoints}\n"))
}

/// As its users run it: behind yurthub, which filters for it.
fn kube_proxy(cluster: &Cluster, node: &Node, hub: &Hub) -> Result<Child> {
    let mut command = cluster.command_on(node, tool("kube-proxy")?);
    command
        .arg(format!("--master={}", hub.address()))
        .arg(format!("--hostname-override={}", node.name()))
        .args(["--proxy-mode=nftables", "--conntrack-max-per-core=0"]);
    cluster.spawn("kube-proxy", &mut command)
}
