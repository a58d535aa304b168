//! The maps in the kernel, written.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use lb_common::layout::{EPOCH, Epoch, MARKS4, Marks, RegionEntry4};

use crate::plan::{Capacity, MapOp, Maps, Observed, ReadError, WriteError};

use super::bloom::Marked;
use super::pinned::{Counters, OpenError, PinnedMaps};

/// The pinned maps with the writer's epoch in hand. One per pin root: the lock sees to that.
#[derive(Debug)]
pub struct Bpf {
    maps: PinnedMaps,
    marked: Marked,
    epoch: EpochPage,
}

impl Bpf {
    /// Opens the maps in `folder` for writing.
    ///
    /// # Errors
    /// When one is missing, is not the catalogue's, or cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let maps = PinnedMaps::open(folder)?;
        let failed = |pin: &str, source| OpenError::Syscall { path: folder.join(pin), source };
        let marks = maps.marks.all().map_err(|error| failed(MARKS4.pin, error.source))?;
        let page = maps.epoch.mmap().map_err(|source| failed(EPOCH.pin, source))?;
        Ok(Self { maps, marked: Marked::new(marks), epoch: EpochPage { page } })
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.maps.capacity()
    }

    /// The lowest service id that was never used within this boot.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.epoch.next_id().load(Ordering::Relaxed)
    }

    /// Reads the programs' counters.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self) -> Result<Counters, ReadError> {
        self.maps.counters()
    }

    fn carry_out(&mut self, op: &MapOp) -> Result<(), WriteError> {
        match op {
            MapOp::NextId(id) => {
                self.epoch.next_id().store(*id, Ordering::Relaxed);
                Ok(())
            }
            MapOp::Name { id, name } => self.maps.names.put(id, name),
            MapOp::Unname { id } => self.maps.names.remove(id),
            MapOp::Fill { at, entries } => self.fill(*at, entries),
            MapOp::Put { frontend, service } => {
                self.write_marks(self.marked.lacks(frontend))?;
                self.epoch.while_odd(|| self.maps.services.put(frontend, service))
            }
            MapOp::Remove { frontend } => self.epoch.while_odd(|| self.maps.services.remove(frontend)),
        }
    }

    fn write_marks(&mut self, writes: impl IntoIterator<Item = (u32, Marks)>) -> Result<(), WriteError> {
        for (index, marks) in writes {
            self.maps.marks.put(&index, &marks)?;
            self.marked.wrote(index, marks);
        }
        Ok(())
    }

    /// Brings the marks to the front end as it was read.
    fn mend_marks(&mut self, observed: &Observed) -> Result<(), ReadError> {
        self.marked = Marked::new(self.maps.marks.all()?);
        let (writes, unmarked) = self.marked.differences(observed.services.keys());
        if unmarked {
            tracing::warn!("a service's marks were missing from map marks4: someone else writes it");
        }
        if let Err(error) = self.write_marks(writes) {
            tracing::warn!(%error, "could not mend the marks; the next audit tries again");
        }
        Ok(())
    }

    fn fill(&self, at: u32, entries: &[RegionEntry4]) -> Result<(), WriteError> {
        let keys: Vec<u32> = (at..).take(entries.len()).collect();
        self.maps.backends.put_all(&keys, entries)
    }
}

impl Maps for Bpf {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        self.carry_out(op)
    }

    /// Brings the marks to the front end that it finds, as well.
    fn dump(&mut self) -> Result<Observed, ReadError> {
        let observed = self.maps.dump()?;
        self.mend_marks(&observed)?;
        Ok(observed)
    }
}

/// The writer's words, mapped into this process.
#[derive(Debug)]
struct EpochPage {
    page: *mut Epoch,
}

// SAFETY: the page is shared memory that is only ever touched through atomics.
unsafe impl Send for EpochPage {}

impl EpochPage {
    /// Makes the epoch odd, writes, makes it even. One that a killed agent left odd is made even
    /// by the first write.
    fn while_odd<T>(&self, write: impl FnOnce() -> T) -> T {
        let writes = self.writes();
        let odd = writes.load(Ordering::Relaxed).wrapping_add(1) | 1;
        writes.store(odd, Ordering::Relaxed);
        // The write itself is a system call, whose bucket lock is an acquire: it could move up
        // before the store without this.
        fence(Ordering::SeqCst);
        let result = write();
        writes.store(odd.wrapping_add(1), Ordering::Release);
        result
    }

    fn writes(&self) -> &AtomicU32 {
        // SAFETY: the mapping lives as long as `self`, is aligned to a page, and begins with `writes`.
        unsafe { AtomicU32::from_ptr(self.page.cast()) }
    }

    fn next_id(&self) -> &AtomicU32 {
        let words = self.page.cast::<u32>();
        // SAFETY: the element is two words long.
        let next_id = unsafe { words.add(1) };
        // SAFETY: as for `writes`; `next_id` is the second word.
        unsafe { AtomicU32::from_ptr(next_id) }
    }
}

impl Drop for EpochPage {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `Map::mmap` with this size, and nothing refers to it any more.
        let result = unsafe { libc::munmap(self.page.cast(), 4096) };
        debug_assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }
}
