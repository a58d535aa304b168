//! What a node's pods see of their host: its file system, its network, and the API server nearby.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use tokio::runtime::Runtime;

use crate::cluster::parts::API_SERVER_PORT;
use crate::cluster::{Cluster, Inside, forward};
use crate::harness::netns::Netns;
use crate::harness::node::Node;

const SOON: Duration = Duration::from_secs(5);

/// These are the machine's own on every host; all else is the host's.
const SHARED: [&str; 2] = ["/proc", "/sys/fs/cgroup"];

pub(super) struct Host {
    pub(super) node: Node,
    pub(super) netns: Arc<Netns>,
    /// Threads in the host's network.
    pub(super) inside: Inside,
    root: PathBuf,
    _to_the_server: Runtime,
}

impl Host {
    /// In the host's network the API server is at 127.0.0.1, as a proxy of k3s or RKE2 has it there.
    pub(super) fn new(cluster: &Cluster, node: Node) -> Result<Self> {
        let root = node.file("host");
        fs::create_dir(&root).with_context(|| format!("could not make {}", root.display()))?;
        share(&root)?;
        let netns = Arc::new(Netns::new()?);
        netns.ip("link set lo up\n")?;
        let inside = Inside::new(&netns)?;
        let listener = inside
            .run(SOON, async { TcpListener::bind((Ipv4Addr::LOCALHOST, API_SERVER_PORT)) })?
            .context("could not listen on a node")?;
        let to_the_server = forward::pass_on(&cluster.netns, listener)?;
        Ok(Self { node, netns, inside, root, _to_the_server: to_the_server })
    }

    /// Where a path of the host lies on this machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let is_shared = SHARED.iter().any(|shared| Path::new(path).starts_with(shared));
        if is_shared { PathBuf::from(path) } else { self.root.join(path.trim_start_matches('/')) }
    }
}

/// Makes it a mount whose mounts pass to and from copies of it, as those of a host's root do.
fn share(folder: &Path) -> Result<()> {
    let failed = || format!("could not share the mounts of {}", folder.display());
    let none = None::<&str>;
    mount(Some(folder), folder, none, MsFlags::MS_BIND, none).with_context(failed)?;
    mount(none, folder, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none).with_context(failed)
}
