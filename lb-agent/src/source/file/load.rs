//! Folders of manifests, read once.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::model::{Change, FileReport};

use super::disk::{Disk, Scan};
use super::folder::Folder;

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the folder {} does not exist: create it, or name another", folder.display())]
    Missing { folder: PathBuf },

    #[error("{} is not a folder: name the folder that holds the manifests", folder.display())]
    NotAFolder { folder: PathBuf },

    #[error("could not list the folder {}", folder.display())]
    Unlistable {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl FolderError {
    pub(super) fn new(folder: PathBuf, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::Missing { folder }
        } else if source.kind() == io::ErrorKind::NotADirectory {
            Self::NotAFolder { folder }
        } else {
            Self::Unlistable { folder, source }
        }
    }
}

/// A file that is being written is waited for so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Such a file is looked at again after this.
const AGAIN: Duration = Duration::from_millis(10);

/// Reads all manifests of some folders. Of several definitions of one object the first is
/// used, by order of the folders, then by file name. A file that is being written is waited for, a second at most.
///
/// # Errors
/// A folder cannot be listed. What cannot be used is no error: the report names it.
pub fn load(folders: &[PathBuf]) -> Result<(Vec<Change>, FileReport), FolderError> {
    let until = Instant::now() + PATIENCE;
    let mut folder = Folder::new(folders.to_vec());
    let mut taking = folder.begin();
    let mut disks = Vec::new();
    for (index, path) in folders.iter().enumerate() {
        let mut disk = Disk::new(index, path.clone());
        let found = disk.scan(Scan::All, |file, seen| taking.see(file, seen));
        found.map_err(|error| FolderError::new(path.clone(), error))?;
        disks.push(disk);
    }
    while disks.iter().any(|disk| disk.unfinished().next().is_some()) && Instant::now() < until {
        thread::sleep(AGAIN);
        for disk in &mut disks {
            let unfinished: Vec<_> = disk.unfinished().collect();
            for (file, seen) in unfinished.iter().filter_map(|name| disk.look_at(name)) {
                taking.see(file, seen);
            }
        }
    }
    let changes = taking.finish();
    Ok((changes, folder.report()))
}
