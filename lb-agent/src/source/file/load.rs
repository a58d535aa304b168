//! Folders of manifests, read once.

use std::io;
use std::path::PathBuf;

use crate::model::{FileReport, Object};

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

/// Reads all manifests of some folders. Of several definitions of one object the first is
/// used, by order of the folders, then by file name.
///
/// # Errors
/// A folder cannot be listed. A file that cannot be used is no error: the report names it.
pub fn load(folders: &[PathBuf]) -> Result<(Vec<Object>, FileReport), FolderError> {
    let mut seen = Vec::new();
    for (index, path) in folders.iter().enumerate() {
        let found = Disk::new(index, path.clone()).scan(Scan::All);
        seen.extend(found.map_err(|error| FolderError::new(path.clone(), error))?.0);
    }
    let mut folder = Folder::new(folders.to_vec());
    folder.take(seen);
    Ok((folder.objects().cloned().collect(), folder.report()))
}
