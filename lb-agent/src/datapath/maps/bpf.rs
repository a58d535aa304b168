//! The maps in the kernel, written.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use lb_common::family::V4;
use lb_common::layout::{
    BACKENDS4, BLOOM4, BloomWord, CONTROL, Control, EPOCH, Epoch, Frontend4, RegionEntry4, SERVICES4,
};

use crate::datapath::codec::{self, Codec};
use crate::datapath::memory::Left;
use crate::model::Frontend;
use crate::plan::{Backend, Capacity, MapOp, Maps, Observed, Owner, ReadError, RepairError, WriteError};

use super::bloom::Filter;
use super::budget::Budget;
use super::map::Page;
use super::pinned::{Counters, OpenError, PinnedMaps};

/// The pinned maps with the words that the writer changes in place. One per pin root: the lock sees to that.
#[derive(Debug)]
pub struct Bpf {
    maps: PinnedMaps,
    filter: Filter,
    budget: Budget,
    epoch: EpochPage,
    control: ControlPage,
}

impl Bpf {
    /// Opens the maps in `folder` for writing. A sequence counter that a killed agent left odd is
    /// made even: its last write ended with it, and lookups that find nothing are repeated no more.
    ///
    /// # Errors
    /// When one is missing, is not the catalogue's, or cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let maps = PinnedMaps::open(folder)?;
        let failed = |pin: &str, source| OpenError::Syscall { path: folder.join(pin), source };
        let words = maps.bloom.all().map_err(|error| failed(BLOOM4.pin, error.source))?;
        let epoch = EpochPage(maps.epoch.mmap().map_err(|source| failed(EPOCH.pin, source))?);
        epoch.settle();
        let control = ControlPage(maps.control.mmap().map_err(|source| failed(CONTROL.pin, source))?);
        Ok(Self { maps, filter: Filter::new(words), budget: Budget::new(), epoch, control })
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.maps.capacity()
    }

    /// The lowest service id that was never used within this boot.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.control.next_service_id().load(Ordering::Relaxed)
    }

    /// The writer's sequence counter: twice the elements written, plus one while one is.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.epoch.writes().load(Ordering::Relaxed)
    }

    /// What is left for more elements; `None` without a limit.
    #[must_use]
    pub fn memory_left(&self) -> Option<Left> {
        self.budget.left()
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
                self.control.next_service_id().store(*id, Ordering::Relaxed);
                Ok(())
            }
            MapOp::Name { id, key } => self.maps.names.put(id, &codec::name(key)),
            MapOp::Unname { id } => self.maps.names.remove(id),
            MapOp::Fill { at, owner, backends } => self.fill(*at, *owner, backends),
            MapOp::Admit { frontend } if !self.budget.allows_another() => {
                tracing::debug!(?frontend, "no memory for another element");
                Err(WriteError::NoMemory { map: SERVICES4.pin })
            }
            MapOp::Admit { frontend } => self.write_filter(self.filter.lacks(&key(frontend)?)),
            MapOp::Put { frontend, element } => {
                let key = key(frontend)?;
                let service = V4::service(&key, element);
                self.epoch.while_odd(|| self.maps.services.put(&key, &service))
            }
            MapOp::Remove { frontend } => {
                let key = key(frontend)?;
                let removed = self.epoch.while_odd(|| self.maps.services.remove(&key));
                if removed.is_ok() {
                    self.budget.removed();
                }
                removed
            }
        }
    }

    fn write_filter(&mut self, writes: impl IntoIterator<Item = (u32, BloomWord)>) -> Result<(), WriteError> {
        for (index, word) in writes {
            self.maps.bloom.put(&index, &word)?;
            self.filter.wrote(index, word);
        }
        Ok(())
    }

    fn fill(&self, at: u32, owner: Owner, backends: &[Backend]) -> Result<(), WriteError> {
        // A backend that is left out would move those after it: an element counts them.
        let entries: Option<Vec<RegionEntry4>> =
            backends.iter().map(|backend| V4::region_entry(owner, backend)).collect();
        let entries = entries.ok_or(WriteError::NoKey { map: BACKENDS4.pin })?;
        let keys: Vec<u32> = (at..).take(entries.len()).collect();
        self.maps.backends.put_all(&keys, &entries)
    }
}

/// The plan desires nothing that the maps have no key for.
fn key(frontend: &Frontend) -> Result<Frontend4, WriteError> {
    V4::frontend(frontend).ok_or(WriteError::NoKey { map: SERVICES4.pin })
}

impl Maps for Bpf {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        self.carry_out(op)
    }

    fn dump(&mut self) -> Result<Observed, ReadError> {
        self.maps.dump()
    }

    fn repair(&mut self, observed: &Observed) -> Result<(), RepairError> {
        self.filter = Filter::new(self.maps.bloom.all()?);
        let keys: Vec<Frontend4> = observed.services.keys().filter_map(V4::frontend).collect();
        let (writes, lacked) = self.filter.differences(keys.iter());
        if lacked {
            tracing::warn!("bits of a service port were missing from map bloom4: another program writes it");
        }
        Ok(self.write_filter(writes)?)
    }
}

/// The writer's sequence counter, mapped into this process.
#[derive(Debug)]
struct EpochPage(Page<Epoch>);

impl EpochPage {
    /// Makes the counter even.
    fn settle(&self) {
        let writes = self.writes();
        let now = writes.load(Ordering::Relaxed);
        writes.store(now.wrapping_add(now & 1), Ordering::Release);
    }

    /// Makes the counter odd, writes, makes it even. Also one that another program made odd is even
    /// afterwards.
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
        // SAFETY: the element begins with `writes`.
        unsafe { self.0.word(0) }
    }
}

/// The words of [`Control`], mapped into this process.
#[derive(Debug)]
struct ControlPage(Page<Control>);

impl ControlPage {
    fn next_service_id(&self) -> &AtomicU32 {
        // SAFETY: the element begins with `next_service_id`.
        unsafe { self.0.word(0) }
    }
}
