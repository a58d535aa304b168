//! Pins as files of the bpf file system.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::sys;

/// What a folder of pins was like when they were all found in their places. While it is the same they are not looked at one
/// by one: the bpf file system changes a folder's change time with each name that comes, goes or is put over another.
#[derive(Debug, Default)]
pub(super) struct Settled(Cell<Option<Seen>>);

/// The kernel's clock for change times steps by up to 10 ms: a folder that was the same for longer shows each change from then
/// on.
const STEP: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Seen {
    folder: Stamp,
    /// Before the first look that found it so.
    since: Instant,
    /// All pins were found in their places when it had been the same for long enough.
    is_settled: bool,
}

/// The file system and the inode of a folder, and when it changed last, in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

impl Settled {
    /// Whether all pins in `folder` are in their places, which `look` finds out where the folder does not say it.
    pub(super) fn holds(&self, folder: &Path, look: impl FnOnce() -> bool) -> bool {
        let stamp = |found: fs::Metadata| (found.dev(), found.ino(), found.ctime(), found.ctime_nsec());
        let folder = fs::metadata(folder).ok().map(stamp);
        let now = Instant::now();
        let before = self.0.get().filter(|seen| Some(seen.folder) == folder);
        if before.is_some_and(|seen| seen.is_settled) {
            return true;
        }
        let is_in_order = look();
        let since = before.map_or(now, |seen| seen.since);
        let is_settled = now.saturating_duration_since(since) > STEP;
        let seen = folder.map(|folder| Seen { folder, since, is_settled });
        self.0.set(seen.filter(|_| is_in_order));
        is_in_order
    }
}

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

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn pins_are_looked_at_one_by_one_until_their_folder_stays_the_same_and_again_once_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let pin = folder.path().join("pin");
        let settled = Settled::default();
        let looks = || {
            // Longer than a step of the clock.
            sleep(Duration::from_millis(30));
            let looked = Cell::new(false);
            let holds = settled.holds(folder.path(), || {
                looked.set(true);
                pin.exists()
            });
            (holds, looked.get())
        };
        assert_eq!([(); 3].map(|()| looks()), [(false, true); 3], "it is not there");

        fs::write(&pin, "").unwrap();
        let settles = [(true, true), (true, true), (true, false), (true, false)];
        assert_eq!([(); 4].map(|()| looks()), settles, "it is there");

        let other = folder.path().join("other");
        fs::write(&other, "").unwrap();
        sleep(Duration::from_millis(30));
        fs::rename(&other, &pin).unwrap();
        assert_eq!([(); 4].map(|()| looks()), settles, "another one is in its place");

        fs::remove_file(&pin).unwrap();
        assert_eq!([(); 3].map(|()| looks()), [(false, true); 3], "it is gone");
        fs::remove_dir(folder.path()).unwrap();
        assert_eq!(looks(), (false, true), "the folder is gone");
    }
}
