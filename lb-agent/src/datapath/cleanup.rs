//! Taking everything away: first the links, then the maps.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use lb_common::hook::Hook;

use super::lock::Lock;
use super::maps::pinned;
use super::sys;

#[derive(Debug, thiserror::Error)]
#[error("could not remove {}", path.display())]
pub struct RemoveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Detaches and unpins everything below `pin_root`; returns what was removed. Connections that
/// exist go on. Only names that are ours are touched; the folder goes if that leaves it empty.
///
/// # Errors
/// When a pin cannot be removed.
pub fn remove_all(pin_root: &Path, _held: &Lock) -> Result<Vec<PathBuf>, RemoveError> {
    let mut removed = Vec::new();
    // The reverse of attaching.
    for hook in Hook::in_use().rev() {
        let path = pin_root.join(hook.name());
        detach(&path)?;
        remove(&path, &mut removed)?;
    }
    for folder in generations(pin_root) {
        remove_generation(&folder, &mut removed)?;
    }
    match fs::remove_dir(pin_root) {
        Ok(()) => removed.push(pin_root.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(source) => return Err(RemoveError { path: pin_root.to_owned(), source }),
    }
    Ok(removed)
}

/// Unpins the maps of every generation but the one in use: older layouts, and halves of
/// interrupted starts.
///
/// # Errors
/// When a pin cannot be removed.
pub fn remove_others(pin_root: &Path) -> Result<Vec<PathBuf>, RemoveError> {
    let mut removed = Vec::new();
    let current = pinned::folder(pin_root);
    for folder in generations(pin_root).into_iter().filter(|folder| *folder != current) {
        remove_generation(&folder, &mut removed)?;
    }
    Ok(removed)
}

/// Unpins the maps in `folder`, if there is one.
///
/// # Errors
/// When a pin cannot be removed.
pub fn remove_folder(folder: &Path) -> Result<(), RemoveError> {
    if folder.is_dir() { remove_generation(folder, &mut Vec::new()) } else { Ok(()) }
}

/// Folders of maps: `v1`, `v2`, …, and `v1-new`, `v1-old` while one takes the other's place.
fn generations(pin_root: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(pin_root).into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix('v')?;
        let digits = version.strip_suffix("-new").or(version.strip_suffix("-old")).unwrap_or(version);
        let is_ours = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_ours && entry.path().is_dir()).then(|| entry.path())
    });
    let mut folders: Vec<PathBuf> = names.collect();
    folders.sort();
    folders
}

/// Without the pin alone a link goes a moment later, and not at all while somebody else holds it.
fn detach(path: &Path) -> Result<(), RemoveError> {
    let Ok(link) = sys::get_pinned(path) else { return Ok(()) };
    if sys::link_info(link.as_fd()).is_ok_and(|info| info.cgroup_id == 0) {
        return Ok(()); // its cgroup is gone, and the hook with it
    }
    sys::link_detach(link.as_fd()).map_err(|source| RemoveError { path: path.to_owned(), source })
}

fn remove_generation(folder: &Path, removed: &mut Vec<PathBuf>) -> Result<(), RemoveError> {
    let failed = |source| RemoveError { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        remove(&entry.map_err(failed)?.path(), removed)?;
    }
    fs::remove_dir(folder).map_err(failed)?;
    removed.push(folder.to_owned());
    Ok(())
}

fn remove(path: &Path, removed: &mut Vec<PathBuf>) -> Result<(), RemoveError> {
    match fs::remove_file(path) {
        Ok(()) => removed.push(path.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(RemoveError { path: path.to_owned(), source }),
    }
    Ok(())
}
