//! A network of its own for an agent, joined to the control plane's by an uplink that can be cut.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;

use crate::harness::helper;
use crate::harness::netns::Netns;
use crate::harness::node::Node;

use super::Cluster;

/// The control plane's end. What listens on every address there listens here, too.
pub(super) const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";

/// There is one for each cluster at most.
pub struct Uplink {
    netns: Arc<Netns>,
    control_plane: Arc<Netns>,
}

impl Uplink {
    pub fn new(cluster: &Cluster) -> Result<Self> {
        let (netns, control_plane) = (Arc::new(Netns::new()?), Arc::clone(&cluster.netns));
        control_plane.ip(&format!(
            "link add uplink type veth peer name eth0 netns {}\n\
             address add {NEAR}/30 dev uplink\n\
             link set uplink up\n",
            netns.path().display()
        ))?;
        netns.ip(&format!("link set lo up\naddress add {FAR}/30 dev eth0\nlink set eth0 up\n"))?;
        Ok(Self { netns, control_plane })
    }

    /// The control plane's address, as it is seen from the far end.
    #[must_use]
    pub fn host(&self) -> &str {
        NEAR
    }

    /// No packet passes any more, and neither end sees a reset.
    pub fn cut(&self) -> Result<()> {
        self.control_plane.ip("link set uplink down\n")
    }

    pub fn restore(&self) -> Result<()> {
        self.control_plane.ip("link set uplink up\n")
    }

    /// A program that will run at the far end, in the node's cgroup.
    #[must_use]
    pub fn command_on(&self, node: &Node, program: impl AsRef<OsStr>) -> Command {
        helper::program(&node.world.helper, node.cgroup(), Some(&self.netns), program.as_ref())
    }
}
