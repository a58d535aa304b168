//! What the publisher and the clients share: which sets the Service may have at this moment.
//!
//! A publication is announced before the kernel has it, and is done when the kernel has it. So a client that
//! saw publication `n` done before it dialled can have met the set of `n` and of every later one that was
//! announced by the time it was through, and no other: exact, and without a clock.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use super::world::Set;

/// How many publications a client can look back.
const KEPT: usize = 1 << 20;

#[repr(C)]
struct Shared {
    /// Publications that were announced.
    announced: AtomicU64,
    /// Publications that the kernel has.
    done: AtomicU64,
    stop: AtomicBool,
    /// The announced sets, each in the place of the one that was [`KEPT`] before it.
    sets: [AtomicU32; KEPT],
}

pub struct History(NonNull<Shared>);

// SAFETY: what lies behind the pointer is atomics alone.
unsafe impl Send for History {}
// SAFETY: as above.
unsafe impl Sync for History {}

impl History {
    /// A fresh one in a file of this name.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Self::map(path, true)
    }

    /// For clients: the one that the publisher made.
    pub fn open(path: &Path) -> Result<Self> {
        Self::map(path, false)
    }

    /// Before the kernel has it.
    pub(super) fn announce(&self, set: Set) {
        let number = self.shared().announced.load(Ordering::SeqCst);
        self.slot(number).store(set, Ordering::SeqCst);
        self.shared().announced.store(number + 1, Ordering::SeqCst);
    }

    /// The kernel has what was announced last.
    pub(super) fn done(&self) {
        self.shared().done.store(self.shared().announced.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// For [`allowed_since`](Self::allowed_since); to be called before dialling.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.shared().done.load(Ordering::SeqCst)
    }

    /// Every backend that was in a set which was live at or after `moment`. `None`: that is too long ago, or
    /// nothing was published by then.
    #[must_use]
    pub fn allowed_since(&self, moment: u64) -> Option<Set> {
        let first = moment.checked_sub(1)?;
        let announced = self.shared().announced.load(Ordering::SeqCst);
        let union =
            (first..announced).fold(0, |union, number| union | self.slot(number).load(Ordering::SeqCst));
        // One that was announced while we read may have taken the place of one that we needed.
        let last = self.shared().announced.load(Ordering::SeqCst);
        (last - first < KEPT as u64).then_some(union)
    }

    /// Every backend that was in all sets which were live at or after `moment`. None of those if that is too long ago, or
    /// nothing was published by then.
    #[must_use]
    pub fn staying_since(&self, moment: u64) -> Set {
        let Some(first) = moment.checked_sub(1) else { return 0 };
        let announced = self.shared().announced.load(Ordering::SeqCst);
        let in_all = (first..announced)
            .fold(Set::MAX, |in_all, number| in_all & self.slot(number).load(Ordering::SeqCst));
        let last = self.shared().announced.load(Ordering::SeqCst);
        if last - first < KEPT as u64 { in_all } else { 0 }
    }

    /// Everyone is to end.
    pub fn stop(&self) {
        self.shared().stop.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared().stop.load(Ordering::Relaxed)
    }

    fn map(path: &Path, fresh: bool) -> Result<Self> {
        let opening = || format!("could not open {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(fresh).truncate(fresh);
        let file = options.open(path).with_context(opening)?;
        if fresh {
            file.set_len(size_of::<Shared>() as u64).with_context(opening)?;
        }
        ensure!(
            file.metadata()?.len() == size_of::<Shared>() as u64,
            "{} is not a history of publications",
            path.display()
        );
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (length, fd) = (size_of::<Shared>(), file.as_raw_fd());
        // SAFETY: a new mapping at a place of the kernel's choice, of a file that is that long.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, 0) };
        ensure!(page != libc::MAP_FAILED, "could not map {}: {}", path.display(), io::Error::last_os_error());
        Ok(Self(NonNull::new(page.cast()).context("mapped at address 0")?))
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping is as large and as aligned as the type, all its bytes are valid for atomics, and
        // it lives as long as `self`.
        unsafe { self.0.as_ref() }
    }

    fn slot(&self, number: u64) -> &AtomicU32 {
        &self.shared().sets[number as usize % KEPT]
    }
}

impl Drop for History {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and nothing refers to it any more.
        let result = unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Shared>()) };
        debug_assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }
}

/// One history for each address that is dialled.
#[derive(Clone)]
pub(super) struct Histories(Arc<[(PathBuf, Arc<History>)]>);

impl Histories {
    /// Fresh ones in this folder.
    pub(super) fn create(folder: &Path, addresses: u8) -> Result<Self> {
        let paths = (0..addresses).map(|number| folder.join(format!("history{number}")));
        let histories = paths.map(|path| {
            let history = Arc::new(History::create(&path)?);
            Ok((path, history))
        });
        histories.collect::<Result<Vec<_>>>().map(|all| Self(all.into()))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    pub(super) fn first(&self) -> Arc<History> {
        Arc::clone(&self.0[0].1)
    }

    pub(super) fn announce(&self, address: u8, set: Set) {
        self.0[usize::from(address)].1.announce(set);
    }

    pub(super) fn done(&self, address: u8) {
        self.0[usize::from(address)].1.done();
    }

    /// Ends the clients: they look at the first.
    pub(super) fn stop(&self) {
        self.0[0].1.stop();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0[0].1.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let history = History::create(&folder.path().join("history")).unwrap();
        (folder, history)
    }

    #[test]
    fn a_set_is_allowed_from_its_announcement_until_the_next_one_is_done() {
        let (_folder, history) = history();
        assert_eq!(history.allowed_since(history.moment()), None, "nothing was published");
        history.announce(0b001);
        history.done();
        let before = history.moment();
        assert_eq!(history.allowed_since(before), Some(0b001));
        history.announce(0b010);
        assert_eq!(history.allowed_since(before), Some(0b011));
        assert_eq!(history.allowed_since(history.moment()), Some(0b011), "the kernel may have either");
        history.done();
        assert_eq!(history.allowed_since(history.moment()), Some(0b010));
        assert_eq!(history.allowed_since(before), Some(0b011));
    }

    #[test]
    fn a_backend_stays_as_long_as_every_set_has_it() {
        let (_folder, history) = history();
        assert_eq!(history.staying_since(history.moment()), 0, "nothing was published");
        history.announce(0b011);
        history.done();
        let before = history.moment();
        assert_eq!(history.staying_since(before), 0b011);
        history.announce(0b110);
        assert_eq!(history.staying_since(before), 0b010);
        history.done();
        assert_eq!(history.staying_since(history.moment()), 0b110);
        assert_eq!(history.staying_since(before), 0b010);
    }

    #[test]
    fn what_is_forgotten_is_not_judged() {
        let (_folder, history) = history();
        history.announce(1);
        history.done();
        let before = history.moment();
        for _ in 0..KEPT {
            history.announce(2);
        }
        assert_eq!(history.allowed_since(before), None);
    }

    #[test]
    fn a_client_sees_what_the_publisher_writes() {
        let (folder, history) = history();
        let client = History::open(&folder.path().join("history")).unwrap();
        history.announce(5);
        history.done();
        history.stop();
        assert_eq!(client.allowed_since(client.moment()), Some(5));
        assert!(client.is_stopped());
    }
}
