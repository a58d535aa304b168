//! Small files that may change: read with a limit, and known again by what the file system says of them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// No kubeconfig, certificate or token is larger, in bytes.
const MOST: u64 = 16 << 20;

/// Reads all of a file. It never waits for anyone: only regular files are read.
///
/// # Errors
/// It does not exist, cannot be read, is no regular file, or is too large.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("it is larger than {} MiB", MOST >> 20)));
    }
    Ok(bytes)
}

/// As [`read`], of text.
///
/// # Errors
/// As [`read`], and the bytes are not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    // The error of std quotes nothing, and neither must ours.
    String::from_utf8(read(path)?).map_err(|_quotes_it| io::Error::other("it is not UTF-8"))
}

/// What a file looked like from outside; `None` where it could not be looked at.
type Look = Option<[u64; 5]>;

/// Files, as they looked before they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(Vec<(PathBuf, Look)>);

impl Files {
    /// To be called before the file is read: what changes meanwhile is then noticed later.
    pub(crate) fn remember(&mut self, path: &Path) {
        self.0.push((path.to_owned(), look(path)));
    }

    /// As they look now is what they are compared with from now on.
    pub(crate) fn look_again(&mut self) {
        for (path, known) in &mut self.0 {
            *known = look(path);
        }
    }

    /// Whether one of them looks otherwise than it did.
    pub(crate) fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, known)| look(path) != *known)
    }
}

fn look(path: &Path) -> Look {
    let data = path.metadata().ok()?;
    let time = |seconds: i64, nanos: i64| (seconds.cast_unsigned() << 30) ^ nanos.cast_unsigned();
    Some([
        data.dev(),
        data.ino(),
        data.len(),
        time(data.mtime(), data.mtime_nsec()),
        time(data.ctime(), data.ctime_nsec()),
    ])
}
