//! One isolated world: a network without a way out, a cgroup, a bpffs and a folder, gone on drop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::unistd::geteuid;

use crate::harness::alone::InUse;
use crate::harness::claim::Claim;
use crate::harness::netns::Netns;
use crate::harness::node::Node;
use crate::harness::{cgroup, helper};

/// Its nodes and pods keep it standing: it goes with the last of them.
pub struct Site(Arc<World>);

pub(crate) struct World {
    pub(crate) cgroup: PathBuf,
    /// The namespace with the bridge that every pod hangs on.
    pub(crate) fabric: Netns,
    pub(crate) helper: PathBuf,
    numbers: AtomicU32,
    claim: Claim,
    _in_use: InUse,
}

impl Site {
    /// Needs root, cgroup2, bpffs and `ip`; the error says which is missing and what to do.
    pub fn new() -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "not root: network namespaces, cgroups and BPF need it; run this with sudo"
        );
        let helper = helper::find()?;
        let root = cgroup::root()?;

        let in_use = InUse::begin();
        let claim = Claim::new()?;
        let cgroup = root.join(claim.name());
        cgroup::create(&cgroup)?;
        mount_bpffs(&claim.folder().join("bpf"))?;
        let fabric = Netns::new()?;
        fabric.ip("link add fabric type bridge\nlink set fabric up\nlink set lo up\n")?;
        Ok(Self(Arc::new(World {
            cgroup,
            fabric,
            helper,
            numbers: AtomicU32::new(0),
            claim,
            _in_use: in_use,
        })))
    }

    pub fn node(&self, name: &str) -> Result<Node> {
        Node::new(Arc::clone(&self.0), name)
    }

    /// What everything of this site on the machine is named by; see [`leftovers`](crate::leftovers).
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.claim.name()
    }

    /// For manifests, logs and the like.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.0.claim.folder()
    }

    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.0)
    }

    /// The parent of the nodes' cgroups.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.0.cgroup
    }
}

impl World {
    pub(crate) fn bpffs(&self) -> PathBuf {
        self.claim.folder().join("bpf")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.claim.folder()
    }

    /// A number that no other caller gets.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

fn mount_bpffs(at: &Path) -> Result<()> {
    fs::create_dir(at).with_context(|| format!("could not make {}", at.display()))?;
    mount(Some("edgeloop"), at, Some("bpf"), MsFlags::empty(), None::<&str>).with_context(|| {
        format!("could not mount a bpffs at {}: the kernel needs CONFIG_BPF_SYSCALL", at.display())
    })
}
