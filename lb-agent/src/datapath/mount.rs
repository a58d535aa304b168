//! Mounts that have to be there before an agent starts: a bpf file system, and cgroup2.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cgroup::{self, CgroupError};
use super::probe::is_bpffs;

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("could not make the folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not look at {}", path.display())]
    Look {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not mount {kind} at {} (it takes CAP_SYS_ADMIN, in a container a privileged one)", path.display())]
    Mount {
        kind: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cgroup2 is mounted at {}, and is not the root of the hierarchy: this is a cgroup namespace of its own; run where the host's is seen", path.display())]
    NotTheRoot { path: PathBuf },
}

/// What was there, or was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mounted {
    Before { path: PathBuf },
    Now { path: PathBuf },
}

/// A bpf file system at `path`, for root alone.
///
/// # Errors
/// When it is missing and cannot be mounted.
pub fn bpffs(path: &Path) -> Result<Mounted, MountError> {
    make(path)?;
    let look = |source| MountError::Look { path: path.to_owned(), source };
    if is_bpffs(path).map_err(look)? {
        return Ok(Mounted::Before { path: path.to_owned() });
    }
    mount("bpf", path, Some("mode=0700"))?;
    Ok(Mounted::Now { path: path.to_owned() })
}

/// The root of the cgroup2 hierarchy: where it usually is, at `path`, or mounted there.
///
/// # Errors
/// When it is seen nowhere, and cannot be mounted.
pub fn cgroup2(path: &Path) -> Result<Mounted, MountError> {
    match cgroup::find(None) {
        Ok(found) => return Ok(Mounted::Before { path: found.path }),
        Err(CgroupError::NoCgroup2 | CgroupError::NotTheRoot { .. }) => {}
        Err(error) => {
            let source = io::Error::other(error);
            return Err(MountError::Look { path: path.to_owned(), source });
        }
    }
    if is_root(path) {
        return Ok(Mounted::Before { path: path.to_owned() });
    }
    make(path)?;
    mount("cgroup2", path, None)?;
    if is_root(path) {
        return Ok(Mounted::Now { path: path.to_owned() });
    }
    // A namespace of its own shows its own part of the hierarchy: of no use.
    unmount(path);
    Err(MountError::NotTheRoot { path: path.to_owned() })
}

fn is_root(path: &Path) -> bool {
    cgroup::find(Some(path)).is_ok_and(|found| found.is_root())
}

fn make(path: &Path) -> Result<(), MountError> {
    fs::create_dir_all(path).map_err(|source| MountError::Folder { path: path.to_owned(), source })
}

fn mount(kind: &'static str, path: &Path, options: Option<&str>) -> Result<(), MountError> {
    let failed = |source| MountError::Mount { kind, path: path.to_owned(), source };
    let text = |text: &[u8]| CString::new(text).map_err(|error| failed(error.into()));
    let (name, target) = (text(kind.as_bytes())?, text(path.as_os_str().as_bytes())?);
    let options = options.map(|options| text(options.as_bytes())).transpose()?;
    let data = options.as_ref().map_or(std::ptr::null(), |options| options.as_ptr());
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: all pointers are to texts that end with a zero and live until the call returns, or null.
    let result = unsafe { libc::mount(name.as_ptr(), target.as_ptr(), name.as_ptr(), flags, data.cast()) };
    if result == 0 { Ok(()) } else { Err(failed(io::Error::last_os_error())) }
}

/// What stays mounted is seen by the next start.
fn unmount(path: &Path) {
    let Ok(target) = CString::new(path.as_os_str().as_bytes()) else { return };
    // SAFETY: the pointer is to a text that ends with a zero and lives until the call returns.
    let result = unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    if result != 0 {
        tracing::warn!(path = %path.display(), error = %io::Error::last_os_error(), "could not unmount");
    }
}
