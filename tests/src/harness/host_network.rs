//! A node's own network: a link to each of its pods, for which it routes, as on a real node.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::Result;

use crate::harness::helper;
use crate::harness::netns::Netns;
use crate::harness::node::Node;
use crate::harness::pod::Pod;

/// The way out of every pod.
const GATEWAY: &str = "169.254.1.1";

/// Nothing leads out of it but the links to its pods.
pub struct HostNetwork {
    pub(crate) netns: Netns,
    node: Node,
}

impl HostNetwork {
    pub fn new(node: &Node) -> Result<Self> {
        let netns = Netns::new()?;
        netns.ip("link set lo up\n")?;
        netns.set("ipv4/ip_forward", "1")?;
        Ok(Self { netns, node: node.clone() })
    }

    /// A pod whose packets all come here first, those to other pods of this network too.
    pub fn pod(&self, name: &str, address: Ipv4Addr) -> Result<Pod> {
        let inside = Netns::new()?;
        let port = format!("pod{}", self.node.world.next_number());
        self.netns.ip(&format!(
            "link add {port} type veth peer name eth0 netns {}\n\
             link set {port} up\n\
             address add {GATEWAY}/32 dev {port}\n\
             route add {address}/32 dev {port}\n",
            inside.path().display()
        ))?;
        inside.ip(&format!(
            "link set lo up\n\
             link set eth0 up\n\
             address add {address}/32 dev eth0\n\
             route add {GATEWAY} dev eth0\n\
             route add default via {GATEWAY}\n"
        ))?;
        Ok(Pod::within_network(inside, self.node.clone(), name, address.into()))
    }

    /// More addresses of a pod of this network.
    pub fn add_pod_addresses(&self, pod: &Pod, addresses: &[Ipv4Addr]) -> Result<()> {
        pod.add_addresses(&addresses.iter().copied().map(IpAddr::V4).collect::<Vec<_>>())?;
        let routes =
            addresses.iter().map(|address| format!("route add {address}/32 via {}\n", pod.address()));
        self.netns.ip(&routes.collect::<String>())
    }

    /// Addresses that the node answers for itself, such as a cluster IP for a decoy.
    pub fn add_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        self.netns.add_addresses(addresses)
    }

    /// A program that will run in this network and in the node's cgroup. It is killed when the thread that spawned it
    /// ends.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        helper::program(&self.node.world.helper, self.node.cgroup(), Some(&self.netns), program.as_ref())
    }
}
