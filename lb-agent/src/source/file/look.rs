//! One look at one file: its whole text, or why not.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::folder::Seen;

/// Differs between a file that may have changed and one that has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// No file is read that is larger, in bytes: a dump of 10,000 Services with 100,000 endpoints has half of it.
const LARGEST: u64 = 64 << 20;

#[derive(Debug)]
pub(super) enum Look {
    /// As it was when `known` was stamped.
    Unchanged,
    /// Something else, and the stamp it was read under.
    Now(Seen, Option<Stamp>),
}

/// Looks at the file at `path`; does not read it if its stamp is `known`.
///
/// A text that may be half written is never returned: no process may have the file open for
/// writing before and after it is read, and it must not change in between.
pub(super) fn look(path: &Path, known: Option<Stamp>) -> Look {
    match try_look(path, known) {
        Ok(look) => look,
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => unreadable("is a link that leads nowhere".to_owned()),
            Err(_) => Look::Now(Seen::Gone, None),
        },
        Err(error) => unreadable(format!("could not be read: {error}")),
    }
}

fn try_look(path: &Path, known: Option<Stamp>) -> io::Result<Look> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(Look::Now(Seen::Gone, None));
    }
    if !metadata.is_file() {
        return Ok(unreadable("is not an ordinary file".to_owned()));
    }
    if known == Some(Stamp::of(&metadata)) {
        return Ok(Look::Unchanged);
    }
    if metadata.size() > LARGEST {
        return Ok(too_large(metadata.size()));
    }
    // Not blocking: the path may lead to a pipe by now.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    if has_writer(&file) {
        return Ok(Look::Now(Seen::BeingWritten, None));
    }
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Ok(too_large(file.metadata()?.size()));
    }
    if has_writer(&file) || Stamp::of(&file.metadata()?) != stamp {
        return Ok(Look::Now(Seen::BeingWritten, None));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Look::Now(Seen::Text(text), Some(stamp)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            unreadable(format!("is not UTF-8 text: the byte at {at} does not fit"))
        }
    })
}

fn too_large(size: u64) -> Look {
    unreadable(format!(
        "has {} MiB, and {} MiB are the most that is read",
        size.div_ceil(1 << 20),
        LARGEST >> 20
    ))
}

fn unreadable(why: String) -> Look {
    Look::Now(Seen::Unreadable(why), None)
}

/// `fcntl` command of Linux, the same on all its architectures that this runs on.
const F_SETSIG: libc::c_int = 10;

/// Whether a process has the file open for writing. A read lease is refused then. Where there
/// are no leases (another owner's file, a network file system) this is false: the watch and the
/// comparison of stamps have to do.
fn has_writer(file: &File) -> bool {
    let fd = file.as_raw_fd();
    // A writer that opens the file while the lease is held makes the kernel send a signal. Its
    // default, SIGIO, would end the process; SIGURG is ignored by default.
    // SAFETY: the descriptor is open, and F_SETSIG takes an int.
    if unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) } < 0 {
        return false;
    }
    // SAFETY: the descriptor is open, and F_SETLEASE takes an int.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } < 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
    }
    // SAFETY: as above. Should it fail, closing the file ends the lease as well.
    unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    false
}
