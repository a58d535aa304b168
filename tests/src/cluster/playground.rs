//! The tutorial's cluster without its story: for `cargo xtask cluster up`.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::demo;
use crate::harness::site::Site;

use super::{Cluster, Forward, Kubelet, Yurt};

/// Stands until dropped.
pub struct Playground {
    _kubelet: Kubelet,
    _yurt: Yurt,
    forward: Forward,
    cluster: Cluster,
    site: Site,
}

/// What a user of it needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Of the process that holds it.
    pub pid: u32,
    /// For programs on this machine, with an administrator's rights.
    pub kubeconfig: PathBuf,
    /// For programs in the control plane's own network namespace, with the rights of an agent.
    pub agent_kubeconfig: PathBuf,
    /// Opens to that namespace.
    pub netns: PathBuf,
    /// Holds a cgroup for each node.
    pub cgroup: PathBuf,
}

impl Playground {
    /// A control plane, OpenYurt, the tutorial's pools and nodes. Pods run; there are none yet.
    pub fn up() -> Result<Self> {
        let site = Site::new()?;
        let mut cluster = Cluster::with_controllers(&site)?;
        let yurt = Yurt::start(&mut cluster)?;
        cluster.apply_file("examples/tutorial/nodepools.yaml")?;
        let kubelet = Kubelet::start(&cluster, &demo::nodes(&site)?)?;
        let forward = Forward::open(&cluster)?;
        Ok(Self { _kubelet: kubelet, _yurt: yurt, forward, cluster, site })
    }

    pub fn whereabouts(&self) -> Result<Whereabouts> {
        Ok(Whereabouts {
            pid: std::process::id(),
            kubeconfig: self.forward.kubeconfig().to_owned(),
            agent_kubeconfig: self.cluster.agent_kubeconfig()?,
            netns: self.cluster.netns(),
            cgroup: self.site.cgroup().to_owned(),
        })
    }
}
