//! Taking everything away: first the links, then the maps.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use lb_common::hook::Hook;
use lb_common::layout::LAYOUT_VERSION;

use crate::plan::takeover::GenerationName;

use super::lock::Lock;
use super::maps::pinned::{self, folder_of};
use super::pins::remove_file;
use super::programs::attach::{PinnedLink, pinned_links};
use super::sys;

#[derive(Debug, thiserror::Error)]
#[error("could not remove {}", path.display())]
pub struct RemoveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Detaches and unpins everything below the pin root; returns what was removed. Connections that
/// exist go on. Links of cgroups go whatever their names are, for a newer version may have made
/// them; of everything else, only names that are ours. The folder goes if that leaves it empty.
///
/// # Errors
/// When a pin cannot be removed.
pub fn remove_all(held: &Lock) -> Result<Vec<PathBuf>, RemoveError> {
    let pin_root = held.pin_root();
    let mut removed = Vec::new();
    for link in pinned_links(pin_root) {
        remove_link(&link, &mut removed)?;
    }
    for name in generations(pin_root)? {
        remove_folder(&folder_of(pin_root, name), &mut removed)?;
    }
    match fs::remove_dir(pin_root) {
        Ok(()) => removed.push(pin_root.to_owned()),
        // A file system that is mounted there is not ours to remove.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy) => {}
        Err(source) => return Err(RemoveError { path: pin_root.to_owned(), source }),
    }
    Ok(removed)
}

/// Detaches and unpins the links that this version has no use for: those of hooks that only
/// another version knows or uses would go on with maps that no agent writes.
///
/// # Errors
/// When one cannot be removed. The rest is tried all the same.
pub fn remove_other_links(pin_root: &Path) -> Result<Vec<PathBuf>, RemoveError> {
    let is_ours = |link: &PinnedLink| {
        Hook::ALL.into_iter().any(|hook| link.hook() == Some(hook) && link.path.ends_with(hook.name()))
    };
    let mut removed = Vec::new();
    let mut result = Ok(());
    for link in pinned_links(pin_root).iter().filter(|link| !is_ours(link)) {
        let gone = remove_link(link, &mut removed);
        result = result.and(gone);
    }
    result.map(|()| removed)
}

/// Unpins the maps of every generation but the one in use: other layouts, and halves of
/// interrupted starts.
///
/// # Errors
/// When a pin cannot be removed.
pub fn remove_other_generations(pin_root: &Path) -> Result<Vec<PathBuf>, RemoveError> {
    let mut removed = Vec::new();
    let in_use = GenerationName::current(LAYOUT_VERSION);
    for name in generations(pin_root)?.into_iter().filter(|name| *name != in_use) {
        remove_folder(&folder_of(pin_root, name), &mut removed)?;
    }
    Ok(removed)
}

fn generations(pin_root: &Path) -> Result<Vec<GenerationName>, RemoveError> {
    pinned::generations(pin_root).map_err(|source| RemoveError { path: pin_root.to_owned(), source })
}

/// Removes the folder of a generation with all that lies in it, links detached; that there is
/// none is success.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_folder(folder: &Path, removed: &mut Vec<PathBuf>) -> Result<(), RemoveError> {
    let failed = |source| RemoveError { path: folder.to_owned(), source };
    for link in pinned_links(folder) {
        remove_link(&link, removed)?;
    }
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folder(&entry.path(), removed)?;
        } else {
            remove_pin(&entry.path(), removed)?;
        }
    }
    fs::remove_dir(folder).map_err(failed)?;
    removed.push(folder.to_owned());
    Ok(())
}

/// Without its pin alone a link goes a moment later, and not at all while another process holds it.
fn remove_link(link: &PinnedLink, removed: &mut Vec<PathBuf>) -> Result<(), RemoveError> {
    // Zero: its cgroup is gone, and the hook with it.
    if link.info.cgroup_id != 0 {
        sys::link_detach(link.link.as_fd())
            .map_err(|source| RemoveError { path: link.path.clone(), source })?;
    }
    remove_pin(&link.path, removed)
}

fn remove_pin(path: &Path, removed: &mut Vec<PathBuf>) -> Result<(), RemoveError> {
    remove_file(path).map_err(|source| RemoveError { path: path.to_owned(), source })?;
    removed.push(path.to_owned());
    Ok(())
}
