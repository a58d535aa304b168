//! A site's name, and taking away everything that carries it.
//!
//! All that a site leaves on the machine is found from its name alone, which holds the pid of its owner.
//! So a drop, a signal and a later run that finds a dead owner's site all do the same thing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::harness::{cgroup, signals};

/// What the names of all sites begin with; the owner's pid and a number follow.
pub const PREFIX: &str = "edgeloop-test-";

const RUN: &str = "/run";

/// The names of this process's sites.
static STANDING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A name, and the right to everything that carries it, until dropped.
pub(crate) struct Claim(String);

impl Claim {
    /// Takes a fresh name and makes its folder, after the sites of dead owners are swept.
    pub(crate) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        signals::undo_when_told_to_end()?;

        let mut standing = standing();
        sweep();
        let name = format!("{PREFIX}{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        demolish(&name)?; // of a killed process that had our pid before us
        standing.insert(name.clone());
        let claim = Self(name);
        drop(standing); // a failure from here on drops the claim, which locks again

        // The folder comes first and goes last: a sweep finds sites by their folders.
        fs::create_dir(claim.folder())
            .with_context(|| format!("could not make {}", claim.folder().display()))?;
        Ok(claim)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn folder(&self) -> PathBuf {
        folder(&self.0)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut standing = standing();
        if let Err(error) = demolish(&self.0) {
            eprintln!("could not remove all of {}: {error:#}", self.0);
        }
        standing.remove(&self.0);
    }
}

/// Takes away this process's sites and keeps others from being made or dropped meanwhile, for as long as
/// what is returned lives: the process is about to end, and must not do so halfway through a removal.
pub(crate) fn demolish_all() -> MutexGuard<'static, BTreeSet<String>> {
    let standing = standing();
    for name in standing.iter() {
        if let Err(error) = demolish(name) {
            eprintln!("could not remove all of {name}: {error:#}");
        }
    }
    standing
}

/// What is on the machine of the sites whose names begin with `prefix`: a site's name, or `PREFIX` with an
/// owner's pid and a dash. Network namespaces and their devices have no place here: they are held by
/// descriptors of the owner and of processes in the site's cgroups, and go with the last of them.
#[must_use]
pub fn leftovers(prefix: &str) -> Vec<String> {
    let carries = |path: &Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
    };
    let named = |kind: &str, parent: &Path| -> Vec<String> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| carries(path)).map(|path| format!("{kind} {}", path.display())).collect()
    };
    let mut found = named("folder", Path::new(RUN));
    found.extend(cgroup::roots().into_iter().flatten().flat_map(|root| named("cgroup", &root)));
    found.extend(
        mounts()
            .into_iter()
            .filter(|at| at.ancestors().any(carries))
            .map(|at| format!("mount {}", at.display())),
    );
    found.extend(processes(prefix).into_iter().map(|pid| format!("process {pid}")));
    found
}

fn standing() -> MutexGuard<'static, BTreeSet<String>> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder(name: &str) -> PathBuf {
    Path::new(RUN).join(name)
}

/// Takes away the sites whose owner is gone. Another run may be doing the same.
fn sweep() {
    for entry in fs::read_dir(RUN).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = owner(&name) else { continue };
        // One that has ended and was not waited for runs no program any more.
        if fs::read_link(format!("/proc/{owner}/exe")).is_ok() {
            continue;
        }
        if let Err(error) = demolish(&name) {
            eprintln!("could not remove all of {name}, which a killed run left: {error:#}");
        }
    }
}

/// The pid in a site's name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

/// Ends the site's processes and removes its mounts, cgroups and folder. What is already gone is success.
fn demolish(name: &str) -> Result<()> {
    let folder = folder(name);
    // Mounts go even if a process will not, and the pins in them with them.
    let unmounted = unmount_below(&folder);
    // cgroup2's, and those that a container runtime makes in the hierarchies of version 1.
    for root in cgroup::roots()? {
        cgroup::remove(&root.join(name))?;
    }
    unmounted?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn unmount_below(folder: &Path) -> Result<()> {
    for at in mounts().into_iter().rev().filter(|at| at.starts_with(folder)) {
        match umount2(&at, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("could not unmount {}", at.display())),
        }
    }
    Ok(())
}

/// Mount points, in order of mounting.
fn mounts() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// Processes in a cgroup of a site whose name begins with `prefix`.
fn processes(prefix: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // "(deleted)": a process that has ended and that its parent has not asked about yet.
        groups.lines().any(|line| line.contains(&format!("/{prefix}")) && !line.ends_with(" (deleted)"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        for (name, pid) in [
            ("edgeloop-test-4711-0", Some(4711)),
            ("edgeloop-test-4711", None),
            ("edgeloop-test-x-0", None),
            ("edgeloop", None),
        ] {
            assert_eq!(owner(name), pid, "{name}");
        }
    }
}
