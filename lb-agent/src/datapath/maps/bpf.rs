//! The maps in the kernel, written.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use lb_common::family::{Family as _, V4, V6};
use lb_common::layout::{BloomWord, CONTROL, EPOCH, Epoch, PLACES};

use crate::datapath::codec::{self, Codec};
use crate::datapath::memory::Left;
use crate::model::{Family, Frontend};
use crate::plan::cells::Cells;
use crate::plan::{
    Backend, Capacity, Digest, Element, MapOp, Maps, Observed, Owner, ReadError, RepairError, WriteError,
};
use crate::plants::{Plant, linger_if};

use super::affinities;
use super::bloom::Filter;
use super::budget::Budget;
use super::control::ControlPage;
use super::hosts::Hosts;
use super::loops;
use super::map::Page;
use super::pinned::{Counters, FamilyMaps, OpenError, PinnedMaps};
use super::places::Places;

/// The pinned maps with the words that the writer changes in place. One per pin root: the lock sees to that.
#[derive(Debug)]
pub struct Bpf {
    maps: PinnedMaps,
    filter4: Filter<V4>,
    filter6: Filter<V6>,
    budget: Budget,
    places: Places,
    epoch: EpochPage,
    control: ControlPage,
    hosts: Hosts,
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
        let unread = |error: ReadError| failed(error.map, error.source);
        let (filter4, filter6) = (filter(&maps.v4).map_err(unread)?, filter(&maps.v6).map_err(unread)?);
        let epoch = EpochPage(maps.epoch.mmap().map_err(|source| failed(EPOCH.pin, source))?);
        epoch.settle();
        let control = ControlPage::new(maps.control.mmap().map_err(|source| failed(CONTROL.pin, source))?);
        let places = Places::of(&maps).map_err(|error| failed(PLACES.pin, error.source))?;
        let (budget, hosts) = (Budget::new(), Hosts::default());
        Ok(Self { maps, filter4, filter6, budget, places, epoch, control, hosts })
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

    pub(super) const fn maps(&self) -> &PinnedMaps {
        &self.maps
    }

    pub(super) const fn control(&self) -> &ControlPage {
        &self.control
    }

    /// Forgets the clients that are past the timeout of their service port, which `timeouts` has by service id in
    /// seconds, and those of service ports that it does not have. `now` is the time since the boot. Returns how many
    /// are left.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn forget_clients(&self, timeouts: &BTreeMap<u32, u32>, now: Duration) -> Result<usize, ReadError> {
        let all = self.maps.affinity.all()?;
        let mut left = all.len();
        for client in affinities::over(&all, timeouts, now) {
            match self.maps.affinity.remove(client) {
                Ok(()) => left -= 1,
                Err(error) => {
                    tracing::debug!(%error, "a client could not be forgotten; the next round tries again")
                }
            }
        }
        Ok(left)
    }

    /// The numbers of cells. None is given out anew that something was counted under, also where the maps do not say what
    /// it meant.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn cells(&self) -> Result<Cells, ReadError> {
        let mut cells = Cells::of(&self.maps.cells()?);
        cells.keep_clear_of(loops::highest(&self.maps.counted()?));
        Ok(cells)
    }

    /// Counts the connections of service ports that are not among the ids `in_use` in sum alone, the second time that they
    /// are not: what was counted stays, and their places are free. To be called at most once in each grace period.
    ///
    /// # Errors
    /// When the map cannot be read or written. What is left is for the next round.
    pub fn sum_up_all_but(&mut self, in_use: &BTreeSet<u32>) -> Result<(), RepairError> {
        self.places.sum_up_all_but(&self.maps, in_use)
    }

    fn carry_out(&mut self, op: &MapOp) -> Result<(), WriteError> {
        match op {
            MapOp::NextId(id) => {
                self.control.next_service_id().store(*id, Ordering::Relaxed);
                Ok(())
            }
            MapOp::Name { id, key } => self.maps.names.put(id, &codec::name(key)),
            MapOp::Unname { id } => self.maps.names.remove(id),
            MapOp::Cell { number, cell } => self.maps.cells.put(&(*number).into(), &codec::cell(cell)),
            MapOp::Fill { at, owner, backends } => {
                let place_of = |cell| self.places.place(&self.maps, owner.id, cell);
                match backends.first().map(|first| Family::of(first.ip)) {
                    None => Ok(()),
                    Some(Family::V4) => fill(&self.maps.v4, *at, *owner, (backends, place_of)),
                    Some(Family::V6) => fill(&self.maps.v6, *at, *owner, (backends, place_of)),
                }
            }
            MapOp::Admit { frontend } if !self.budget.allows_another() => {
                tracing::debug!(?frontend, "no memory for another element");
                Err(WriteError::NoMemory { map: services_of(frontend) })
            }
            MapOp::Admit { frontend } => {
                linger_if(Plant::FilterAfterElement);
                self.admit(frontend)
            }
            MapOp::Put { frontend, element } => {
                let place_of = |cell| self.places.place(&self.maps, element.owner.id, cell);
                match frontend.family() {
                    Family::V4 => put(&self.maps.v4, &self.epoch, (frontend, element), place_of),
                    Family::V6 => put(&self.maps.v6, &self.epoch, (frontend, element), place_of),
                }
            }
            MapOp::Remove { frontend } => {
                let removed = match frontend.family() {
                    Family::V4 => remove(&self.maps.v4, &self.epoch, frontend),
                    Family::V6 => remove(&self.maps.v6, &self.epoch, frontend),
                };
                if removed.is_ok() {
                    self.budget.removed();
                }
                removed
            }
        }
    }
}

impl Bpf {
    fn admit(&mut self, frontend: &Frontend) -> Result<(), WriteError> {
        self.control.admit(frontend);
        match frontend.family() {
            Family::V4 => {
                let writes = self.filter4.lacks(&key::<V4>(frontend)?);
                write_filter(&self.maps.v4, &mut self.filter4, writes)
            }
            Family::V6 => {
                let writes = self.filter6.lacks(&key::<V6>(frontend)?);
                write_filter(&self.maps.v6, &mut self.filter6, writes)
            }
        }
    }
}

fn filter<F: Codec>(maps: &FamilyMaps<F>) -> Result<Filter<F>, ReadError> {
    Ok(Filter::new(maps.bloom.all()?))
}

fn write_filter<F: Codec>(
    maps: &FamilyMaps<F>,
    filter: &mut Filter<F>,
    writes: impl IntoIterator<Item = (u32, BloomWord)>,
) -> Result<(), WriteError> {
    for (index, word) in writes {
        maps.bloom.put(&index, &word)?;
        filter.wrote(index, word);
    }
    Ok(())
}

fn put<F: Codec>(
    maps: &FamilyMaps<F>,
    epoch: &EpochPage,
    (frontend, element): (&Frontend, &Element),
    place_of: impl FnMut(u16) -> u16,
) -> Result<(), WriteError> {
    let key = key::<F>(frontend)?;
    let service = codec::service::<F>(&key, element, place_of);
    epoch.while_odd(|| maps.services.put(&key, &service))
}

fn remove<F: Codec>(maps: &FamilyMaps<F>, epoch: &EpochPage, frontend: &Frontend) -> Result<(), WriteError> {
    let key = key::<F>(frontend)?;
    epoch.while_odd(|| maps.services.remove(&key))
}

fn fill<F: Codec>(
    maps: &FamilyMaps<F>,
    at: u32,
    owner: Owner,
    (backends, mut place_of): (&[Backend], impl FnMut(u16) -> u16),
) -> Result<(), WriteError> {
    // A backend that is left out would move those after it: an element counts them.
    let entries: Option<Vec<F::RegionEntry>> = backends
        .iter()
        .map(|backend| codec::region_entry::<F>(owner, backend, place_of(backend.cell)))
        .collect();
    let entries = entries.ok_or(WriteError::NoKey { map: F::BACKENDS.pin })?;
    let keys: Vec<u32> = (at..).take(entries.len()).collect();
    maps.backends.put_all(&keys, &entries)
}

/// Brings the filter to the bits of what was observed. Returns whether it had others.
fn repair<F: Codec>(
    maps: &FamilyMaps<F>,
    filter: &mut Filter<F>,
    observed: &Observed,
) -> Result<bool, RepairError> {
    *filter = Filter::new(maps.bloom.all()?);
    let keys: Vec<F::Frontend> = observed.services.keys().filter_map(F::frontend).collect();
    let (writes, lacked) = filter.differences(keys.iter());
    if lacked {
        let map = F::BLOOM.pin;
        tracing::warn!("bits of a service port were missing from map {map}: another program writes it");
    }
    let differs = !writes.is_empty();
    write_filter(maps, filter, writes)?;
    Ok(differs)
}

/// The plan desires nothing that the maps have no key for.
fn key<F: Codec>(frontend: &Frontend) -> Result<F::Frontend, WriteError> {
    F::frontend(frontend).ok_or(WriteError::NoKey { map: F::SERVICES.pin })
}

fn services_of(frontend: &Frontend) -> &'static str {
    match frontend.family() {
        Family::V4 => V4::SERVICES.pin,
        Family::V6 => V6::SERVICES.pin,
    }
}

impl Maps for Bpf {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        self.carry_out(op)
    }

    fn dump(&mut self) -> Result<Observed, ReadError> {
        self.maps.dump()
    }

    fn digest(&mut self) -> Result<Digest, ReadError> {
        let mut hasher = DefaultHasher::new();
        hasher.write_u32(self.next_id());
        hasher.write_u32(self.control.node_ports().load(Ordering::Relaxed));
        self.maps.digest(&mut hasher)?;
        Ok(Digest(hasher.finish()))
    }

    fn repair(&mut self, observed: &Observed) -> Result<bool, RepairError> {
        let was_wider = self.control.narrow(observed.services.keys());
        let differs4 = repair(&self.maps.v4, &mut self.filter4, observed)?;
        let differs6 = repair(&self.maps.v6, &mut self.filter6, observed)?;
        Ok(was_wider || differs4 || differs6)
    }

    fn distrust_hosts(&mut self) {
        self.hosts.distrust();
    }

    fn serve_node_ports_at(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), RepairError> {
        self.hosts.bring(&self.maps.hosts, addresses)
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
