//! The file of a saved state: read at a start, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::format::{self, Header, Unusable};
use super::saver::Held;
use super::{Owner, Place, Saved};
use crate::model::Moment;

/// For the agent alone: the file names every Service of the cluster.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// No state that a node can hold takes more bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What was found at a place.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Saved(Box<Saved>),
    /// Not used; kept under another name, where it is a file of its own.
    Refused {
        why: Refusal,
        aside: Option<PathBuf>,
    },
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    #[error("it is not a regular file")]
    OtherKind,
    #[error("it has more than {MOST_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// This moment.
#[must_use]
pub fn now(since_boot: std::time::Duration) -> Moment {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Moment {
        boot: boot.trim().to_owned(),
        since_boot,
        clock: Timestamp::now().strftime("%FT%TZ").to_string(),
    }
}

/// Reads the state at `place`. A file that is not one is renamed, so that the next write does not take it away; what is
/// no file, or cannot be read, is left as it is.
#[must_use]
pub fn load(place: &Place) -> Found {
    let why = match read(&place.file) {
        Ok(None) => return Found::Nothing,
        Ok(Some(bytes)) => match format::read(&bytes, &place.owner) {
            Ok(saved) => return Found::Saved(Box::new(saved)),
            Err(error) => error.into(),
        },
        Err(error) => error,
    };
    let aside = match why {
        Refusal::Read(_) | Refusal::OtherKind => None,
        Refusal::TooLong | Refusal::Unusable(_) => Some(beside(&place.file, ".refused")),
    };
    // Where it cannot be renamed it cannot be replaced either, and that is said when it is tried.
    let aside = aside.filter(|aside| fs::rename(&place.file, aside).is_ok());
    Found::Refused { why, aside }
}

/// Whose state the file holds, and its digest; `None` where it cannot be read, or lacks what is saved by now.
pub(super) fn digest(file: &Path) -> Option<Held> {
    let (Header { node, server, namespaces, .. }, digest) = format::digest(&read(file).ok()??).ok()?;
    namespaces.then_some((Owner { node, server }, digest))
}

/// The header of the file, which may yet turn out to be damaged behind it.
#[must_use]
pub fn header(file: &Path) -> Option<Header> {
    format::peek(&open(file).ok()??)
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(opened) = open(file)? else { return Ok(None) };
    let mut bytes = Vec::new();
    opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Refusal::Read)?;
    if bytes.len() as u64 > MOST_BYTES { Err(Refusal::TooLong) } else { Ok(Some(bytes)) }
}

/// Opens a regular file. At a pipe it does not wait for a writer.
fn open(file: &Path) -> Result<Option<File>, Refusal> {
    let opened = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Refusal::Read(error)),
    };
    let is_file = opened.metadata().map_err(Refusal::Read)?.is_file();
    if is_file { Ok(Some(opened)) } else { Err(Refusal::OtherKind) }
}

/// Puts `bytes` in the place of the file in one step: a machine that loses its power has the old file or the new one.
///
/// # Errors
/// When the folder cannot be made, or the file not written; the old file stays then. So does what is no regular file, such
/// as a device or a link.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("there is something that is not a regular file"));
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let draft = beside(file, ".new");
    let mut opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&draft)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    fs::rename(&draft, file)?;
    File::open(folder)?.sync_all()
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
