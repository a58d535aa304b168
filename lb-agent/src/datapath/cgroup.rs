//! Where the programs are attached: the root of the cgroup2 hierarchy, or a folder by flag.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where cgroup2 is mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: i64 = 0x6367_7270;
/// The inode of the root of the hierarchy. In a private cgroup namespace the mount's `/` is not it.
pub const ROOT_INODE: u64 = 1;

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no cgroup2 is mounted at {}; mount it, or name the folder with --cgroup", MOUNTS.join(" or "))]
    NoCgroup2,
    #[error(
        "{} is not the root of the cgroup2 hierarchy but a part of it: sockets elsewhere would not be covered; \
         mount the host's cgroup2, or name the folder with --cgroup",
        path.display()
    )]
    NotTheRoot { path: PathBuf },
    #[error("{} is not a folder of a cgroup2 file system; name one with --cgroup", path.display())]
    NotCgroup2 { path: PathBuf },
    #[error("could not open the cgroup {}; create it, or name another with --cgroup", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// An open cgroup folder.
#[derive(Debug)]
pub struct Cgroup {
    pub path: PathBuf,
    pub file: File,
    /// As in `struct bpf_link_info`: the folder's inode.
    pub id: u64,
}

/// Opens the folder that was asked for, or finds the root.
///
/// # Errors
/// When there is no cgroup2, or (not asked for by name) what is mounted is not its root.
pub fn find(asked: Option<&Path>) -> Result<Cgroup, CgroupError> {
    if let Some(path) = asked {
        return open(path);
    }
    let found = MOUNTS.iter().find_map(|mount| open(Path::new(mount)).ok()).ok_or(CgroupError::NoCgroup2)?;
    if found.id == ROOT_INODE { Ok(found) } else { Err(CgroupError::NotTheRoot { path: found.path }) }
}

impl Cgroup {
    /// The folder that lies at the same path now: another one, if the first was removed.
    ///
    /// # Errors
    /// When it does not exist, or is not a cgroup.
    pub fn reopened(&self) -> Result<Self, CgroupError> {
        open(&self.path)
    }
}

fn open(path: &Path) -> Result<Cgroup, CgroupError> {
    let failed = |source| CgroupError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if !is_cgroup2(&file).map_err(failed)? {
        return Err(CgroupError::NotCgroup2 { path: path.to_owned() });
    }
    let id = file.metadata().map_err(failed)?.ino();
    Ok(Cgroup { path: path.to_owned(), file, id })
}

fn is_cgroup2(file: &File) -> io::Result<bool> {
    Ok(super::sys::filesystem(file)? == CGROUP2)
}
