//! Memory cgroups with limits, of either version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::harness::cgroup;
use crate::harness::node::Node;

/// Where version 1 has its memory controller.
const V1: &str = "/sys/fs/cgroup/memory";

/// A memory cgroup without a limit at first. Maps that its programs make are charged to it, also when these have ended.
pub struct MemoryGroup {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    peak: &'static str,
}

/// What is charged to a memory cgroup, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Charged {
    pub now: u64,
    /// Of that, pages of files, which the kernel gives up first.
    pub files: u64,
    /// The most at one time; `None` where the kernel does not say.
    pub peak: Option<u64>,
}

impl MemoryGroup {
    /// Beside the cgroups of the node's site, and named after them.
    pub fn new(node: &Node) -> Result<Self> {
        let world = &node.world;
        let of_site = world.cgroup.file_name().context("a site without a cgroup")?;
        let name = format!("{}-memory{}", of_site.to_string_lossy(), world.next_number());
        let (root, limit, usage, peak) = if Path::new(V1).join("memory.limit_in_bytes").exists() {
            (PathBuf::from(V1), "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes")
        } else {
            let root = cgroup::root()?;
            let control = root.join("cgroup.subtree_control");
            fs::write(&control, "+memory")
                .with_context(|| format!("could not write {}", control.display()))?;
            (root, "memory.max", "memory.current", "memory.peak")
        };
        let folder = root.join(name);
        cgroup::create(&folder)?;
        Ok(Self { folder, limit, usage, peak })
    }

    /// A program that runs in it, and not in the node's cgroup. Its pid is the one that spawning gives.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        self.within(Command::new("sh"), program)
    }

    /// The same by way of `shell`, which runs `sh` wherever that is to be.
    #[must_use]
    pub fn within(&self, shell: Command, program: &Path) -> Command {
        let mut command = shell;
        let join = "echo $$ > \"$1\"/cgroup.procs && shift && exec \"$@\"";
        command.args(["-c", join, "sh"]).arg(&self.folder).arg(program);
        command
    }

    pub fn set_limit(&self, bytes: u64) -> Result<()> {
        let file = self.folder.join(self.limit);
        fs::write(&file, bytes.to_string()).with_context(|| format!("could not limit {}", file.display()))
    }

    pub fn usage(&self) -> Result<u64> {
        let file = self.folder.join(self.usage);
        let text = fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
        text.trim().parse().context("not a number")
    }

    pub fn charged(&self) -> Result<Charged> {
        let stat = self.folder.join("memory.stat");
        let stat = fs::read_to_string(&stat).with_context(|| format!("could not read {}", stat.display()))?;
        let of = |line: &str| {
            let value = ["inactive_file ", "active_file "].iter().find_map(|name| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        let peak = fs::read_to_string(self.folder.join(self.peak)).ok();
        let peak = peak.and_then(|text| text.trim().parse().ok());
        Ok(Charged { now: self.usage()?, files: stat.lines().filter_map(of).sum(), peak })
    }

    /// What is charged to it once pages of files are given up. No program may run in it.
    pub fn squeezed(&self) -> Result<u64> {
        // Version 1 refuses what it cannot reach, after it has given up all that it can.
        drop(self.set_limit(4096));
        self.usage()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if let Err(error) = cgroup::remove(&self.folder) {
            eprintln!("{error:#}");
        }
    }
}
