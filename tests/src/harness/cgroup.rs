//! Control groups: where the hierarchy is, who is in it, and taking a part of it away.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where cgroup2 is mounted: alone, or beside version 1 on hybrid hosts.
pub(crate) fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("could not read the list of mounts")?;
    mounts.lines().find_map(cgroup2_mount).context(
        "no cgroup2 is mounted: mount it with `mount -t cgroup2 none /sys/fs/cgroup/unified`, or boot with \
         systemd.unified_cgroup_hierarchy=1",
    )
}

/// Where any hierarchy is mounted: cgroup2's, and on hybrid hosts those of version 1, which container runtimes use.
pub(crate) fn roots() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("could not read the list of mounts")?;
    Ok(mounts.lines().filter_map(cgroup_mount).collect())
}

pub(crate) fn create(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("could not make the cgroup {}", path.display()))
}

/// Kills what runs in `top` and below, and removes these cgroups. No such cgroup is success.
pub(crate) fn remove(top: &Path) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        let groups = with_descendants(top);
        if groups.is_empty() {
            return Ok(());
        }
        for pid in groups.iter().flat_map(|group| members(group)) {
            // Already gone is what is wanted here.
            kill(pid, Signal::SIGKILL).ok();
        }
        // Deepest first. Busy until its last process is gone, which takes a moment.
        let failures: Vec<_> = groups.iter().rev().filter_map(|group| fs::remove_dir(group).err()).collect();
        if let Some(error) = failures.into_iter().find(|error| error.kind() != ErrorKind::NotFound) {
            ensure!(Instant::now() < give_up, "could not remove the cgroup {}: {error}", top.display());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The processes in `top` and below that run this program.
#[must_use]
pub fn processes_of(top: &Path, program: &str) -> Vec<i32> {
    let pids = with_descendants(top).into_iter().flat_map(|group| members(&group)).map(Pid::as_raw);
    let runs = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with(program));
    pids.filter(runs).collect()
}

/// `top` and all below it, parents first. Empty when there is no `top`.
fn with_descendants(top: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(top) else { return Vec::new() };
    let mut groups = vec![top.to_owned()];
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            groups.extend(with_descendants(&entry.path()));
        }
    }
    groups
}

fn members(group: &Path) -> Vec<Pid> {
    let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace; to kill it would be to kill ourselves.
    procs.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect()
}

/// The mount point in a line of `mountinfo`, if it is a cgroup2.
fn cgroup2_mount(line: &str) -> Option<PathBuf> {
    let (_, kind) = line.split_once(" - ")?;
    kind.starts_with("cgroup2 ").then(|| cgroup_mount(line))?
}

/// The same for either version.
fn cgroup_mount(line: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    let is_cgroup = kind.starts_with("cgroup2 ") || kind.starts_with("cgroup ");
    is_cgroup.then(|| mount.split(' ').nth(4).map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup2_mount_is_told_from_the_first_version() {
        for (line, mount) in [
            (
                "31 24 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
                Some("/sys/fs/cgroup/unified"),
            ),
            ("30 23 0:25 / /sys/fs/cgroup rw shared:9 - cgroup2 none rw,nsdelegate", Some("/sys/fs/cgroup")),
            ("32 24 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu", None),
        ] {
            assert_eq!(cgroup2_mount(line), mount.map(PathBuf::from), "{line}");
            assert!(cgroup_mount(line).is_some(), "{line}");
        }
    }
}
