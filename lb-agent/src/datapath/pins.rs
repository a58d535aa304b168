//! Pins as files of the bpf file system.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::sys;

/// Pins `object` at `path`, in the place of what lies there, without a moment in which nothing does.
pub(super) fn pin_over(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    match sys::pin(object, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => return done,
    }
    let new = with_suffix(path, "-new");
    remove_file(&new)?;
    sys::pin(object, &new)?;
    fs::rename(&new, path)
}

/// Removes a file; a missing one is success.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// `path` with `suffix` at its end.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
