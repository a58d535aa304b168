//! Where the programs are attached: the root of the cgroup2 hierarchy, or a folder by flag.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `lb-agent init` mounts cgroup2 if its root is seen nowhere.
pub const OWN_MOUNT: &str = "/run/edgeloop/cgroup";
/// Where cgroup2 is mounted: alone, next to version 1, or by `lb-agent init`.
const MOUNTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", OWN_MOUNT];
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: i64 = 0x6367_7270;
/// The inode of the root of the hierarchy. In a private cgroup namespace the mount's `/` is not it.
pub(super) const ROOT_INODE: u64 = 1;

/// How many are looked through for one process: a node has some hundreds.
const MOST_CGROUPS: usize = 65_536;

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no cgroup2 is mounted at {}; run `lb-agent init`, which mounts it, or name the folder with --cgroup", MOUNTS.join(" or "))]
    NoCgroup2,
    #[error(
        "{} is not the root of the cgroup2 hierarchy but a part of it: sockets elsewhere would not be covered; \
         mount the host's cgroup2 or run `lb-agent init` where that is seen, or name the folder with --cgroup",
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
    let mut part = None;
    for found in MOUNTS.iter().filter_map(|mount| open(Path::new(mount)).ok()) {
        if found.is_root() {
            return Ok(found);
        }
        part.get_or_insert(found.path);
    }
    Err(part.map_or(CgroupError::NoCgroup2, |path| CgroupError::NotTheRoot { path }))
}

impl Cgroup {
    /// Whether every socket of this machine is below it.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.id == ROOT_INODE
    }

    /// The cgroup of this process, if it lies here or below; it is looked for by the processes in each, since a process in a
    /// cgroup namespace of its own is not shown where it lies. `None` as well where there are more than 65,536 cgroups.
    #[must_use]
    pub fn of_this_process(&self) -> Option<PathBuf> {
        let pid = std::process::id().to_string();
        let mut left = vec![self.path.clone()];
        for _ in 0..MOST_CGROUPS {
            let folder = left.pop()?;
            // Not shown where the cgroup is a threaded one, which no container is put into.
            let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            if processes.lines().any(|line| line == pid) {
                return Some(folder);
            }
            // One that is gone by now holds no process.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let folders = entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| entry.path()));
        }
        None
    }

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
