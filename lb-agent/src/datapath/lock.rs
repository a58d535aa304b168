//! One agent for one pin root: an exclusive `flock` for the agent's life.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: i64 = 0xcafe_4a11;

/// Who holds a pin root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `None` where the holder lives in a process namespace that we do not see.
    pub pid: Option<i32>,
    /// Its command line.
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} ({})", self.command),
            None => write!(f, "a process of another container"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the pin root {} is held by {holder}: one agent serves a pin root; stop it first", path.display())]
    Held { path: PathBuf, holder: Holder },
    #[error(
        "the pin root {} does not lie on a bpf file system; run `mount -t bpf bpf /sys/fs/bpf`, or name another with \
         --pin-root",
        path.display()
    )]
    NotBpf { path: PathBuf },
    #[error("nothing of Edgeloop is pinned at {}", path.display())]
    Absent { path: PathBuf },
    #[error("could not open the pin root {} (it takes root)", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Held until dropped; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

/// Makes the pin root if need be, and takes hold of it.
///
/// # Errors
/// When another process holds it, or it cannot be a pin root.
pub fn acquire(pin_root: &Path) -> Result<Lock, LockError> {
    let failed = |source| LockError::Open { path: pin_root.to_owned(), source };
    let parent = pin_root.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    if !is_bpf(parent).map_err(failed)? {
        return Err(LockError::NotBpf { path: pin_root.to_owned() });
    }
    fs::create_dir_all(pin_root).map_err(failed)?;
    take(pin_root)
}

/// Takes hold of a pin root that exists.
///
/// # Errors
/// As [`acquire`], and when there is none.
pub fn acquire_existing(pin_root: &Path) -> Result<Lock, LockError> {
    if !pin_root.is_dir() {
        return Err(LockError::Absent { path: pin_root.to_owned() });
    }
    // Who holds a pin root may remove what lies in it.
    if !is_bpf(pin_root).map_err(|source| LockError::Open { path: pin_root.to_owned(), source })? {
        return Err(LockError::NotBpf { path: pin_root.to_owned() });
    }
    take(pin_root)
}

/// Who holds the pin root now.
#[must_use]
pub fn holder(pin_root: &Path) -> Option<Holder> {
    match acquire_existing(pin_root) {
        Err(LockError::Held { holder, .. }) => Some(holder),
        Ok(_) | Err(_) => None,
    }
}

fn take(pin_root: &Path) -> Result<Lock, LockError> {
    let failed = |source| LockError::Open { path: pin_root.to_owned(), source };
    let folder = File::open(pin_root).map_err(failed)?;
    // SAFETY: the descriptor is open, and the call takes no pointers.
    let result = unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 {
        return Ok(Lock { _folder: folder });
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock {
        let holder = holder_of(&folder).map_err(failed)?;
        return Err(LockError::Held { path: pin_root.to_owned(), holder });
    }
    Err(failed(error))
}

/// Looks the lock up in `/proc/locks`: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`.
fn holder_of(folder: &File) -> io::Result<Holder> {
    let inode = folder.metadata()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks")?;
    let pid = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let held =
            fields.get(1) == Some(&"FLOCK") && fields.get(5)?.rsplit(':').next() == Some(inode.as_str());
        if held { fields.get(4)?.parse::<i32>().ok().filter(|pid| *pid > 0) } else { None }
    });
    let command = pid.and_then(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok()).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    Ok(Holder { pid, command })
}

fn is_bpf(folder: &Path) -> io::Result<bool> {
    Ok(super::sys::filesystem(&File::open(folder)?)? == BPF_FS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_folder_is_no_pin_root() {
        let folder = tempfile::tempdir().unwrap();
        for taken in
            [acquire(folder.path()), acquire_existing(folder.path()), acquire(&folder.path().join("new"))]
        {
            assert!(matches!(taken, Err(LockError::NotBpf { .. })), "{taken:?}");
        }
        assert!(!folder.path().join("new").exists());
    }
}
