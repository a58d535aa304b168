//! A simulated node: a cgroup to attach to, a place for pins, and pods.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;

use crate::harness::pod::Pod;
use crate::harness::site::World;
use crate::harness::{cgroup, helper};

#[derive(Clone)]
pub struct Node {
    pub(crate) world: Arc<World>,
    name: String,
    cgroup: PathBuf,
}

impl Node {
    pub(crate) fn new(world: Arc<World>, name: &str) -> Result<Self> {
        let cgroup = world.cgroup.join(name);
        cgroup::create(&cgroup)?;
        Ok(Self { world, name: name.to_owned(), cgroup })
    }

    /// A pod of this node. All pods of a site reach each other by address, and nothing else.
    pub fn pod(&self, name: &str, address: &str) -> Result<Pod> {
        Pod::new(self.clone(), name, address)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Holds every process of the node and of its pods.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// On the site's own bpffs. It is not made here: that is the agent's work.
    #[must_use]
    pub fn pin_root(&self) -> PathBuf {
        self.world.bpffs().join(&self.name)
    }

    /// A place for a file of this node, in the site's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.world.folder().join(format!("{}-{name}", self.name))
    }

    /// A program that will run on this node in the host's network, as an agent does. The pid that spawning
    /// gives is the program's own; it is killed when the thread that spawned it ends.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        helper::program(&self.world.helper, &self.cgroup, None, program.as_ref())
    }
}
