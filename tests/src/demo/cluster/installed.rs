//! The agents as the chart installs them, and the chart's end.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, Helm, NAMESPACE, Runtime, image};
use crate::demo::screen::Screen;
use crate::{Node, Site};

use super::stage::Stage;

/// As the chart has them.
const IMAGE: &str = "edgeloop/lb-agent:0.1.0";
const ACCOUNT: &str = "edgeloop-agent";
const PIN_ROOT: &str = "/sys/fs/bpf/edgeloop";

/// What is known of the containers before there are any.
pub(super) struct Installation {
    /// One a node.
    pub(super) pins: Vec<PathBuf>,
    has_sys_resource: bool,
}

pub(super) fn runtime(cluster: &Cluster, nodes: &[(Node, Value)]) -> Result<Runtime> {
    let nodes: Vec<Node> = nodes.iter().map(|(node, _)| node.clone()).collect();
    let mut runtime = Runtime::new(cluster, &nodes)?;
    runtime.import(IMAGE, &image()?)?;
    Ok(runtime)
}

impl Installation {
    pub(super) fn on(runtime: &Runtime, nodes: &[(Node, Value)]) -> Result<Self> {
        let pins = nodes.iter().map(|(node, _)| runtime.path_on(node.name(), PIN_ROOT));
        Ok(Self { pins: pins.collect::<Result<_>>()?, has_sys_resource: runtime.may_give("SYS_RESOURCE") })
    }

    /// Gives a kubeconfig of the agents' account. Returns when every pod is ready.
    pub(super) fn install(&self, screen: &Screen, site: &Site, cluster: &Cluster) -> Result<PathBuf> {
        screen.act("helm install edgeloop charts/edgeloop", "its pods run under runc, as the chart says")?;
        let attach = format!("cgroup.path={}/$(EDGELOOP_NODE)", site.cgroup().display());
        let mut values =
            vec!["apiServer=https://127.0.0.1:6443", "updateStrategy.maxUnavailable=100%", &attach];
        if !self.has_sys_resource {
            // Held back from this machine's root; kernels since 5.11 do without.
            values.push("securityContext.sysResource=false");
        }
        Helm::of(cluster)?.install(&values)?;
        cluster.account_kubeconfig(NAMESPACE, ACCOUNT)
    }
}

/// After this nothing of it is left.
pub(super) fn remove(screen: &Screen, stage: &Stage) -> Result<()> {
    screen.heading("7. The chart is uninstalled")?;
    let started = Instant::now();
    screen.act("helm uninstall edgeloop", "each agent's pod removes programs and maps before it goes")?;
    Helm::of(&stage.cluster)?.uninstall()?;
    screen.measured(started.elapsed(), "until nothing is pinned on any node")?;
    for pins in &stage.pins {
        let left = pins.read_dir().map(Iterator::count).unwrap_or_default();
        ensure!(left == 0, "{left} things are still pinned at {}", pins.display());
    }
    let sets = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets");
    let sets = stage.cluster.api().list(&sets).context("could not list DaemonSets")?;
    ensure!(sets.is_empty(), "there is still a DaemonSet");
    Ok(())
}
