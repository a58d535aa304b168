//! What the kernel holds, as far as the agent knows: every write that succeeded, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Family, Frontend, ObjectName, PerFamily, ServicePortKey};

use super::capacity::Capacity;
use super::cells::Cells;
use super::element::{Backends, Element, Owner};
use super::region::{Region, Regions};
use super::starved::{Shortages, Starved};

/// One element of the front end with the backends behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is; `None` where the maps do not say.
    pub key: Option<ServicePortKey>,
    pub element: Element,
    /// The kernel was seen to hold something else: written again whatever is desired.
    pub(super) damaged: bool,
}

impl Entry {
    pub(super) fn region(&self) -> Option<Region> {
        let tail = self.element.tail();
        (tail > 0).then(|| Region::of(self.element.region, tail))
    }
}

/// What a service port had in maps that are being replaced.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub(super) key: ServicePortKey,
    pub(super) owner: Owner,
    pub(super) slots: Backends,
}

/// Whether regions that are free may be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    Open,
    /// After a takeover: programs may still read what the agent before this one gave up. The number
    /// of the grace period that ends it.
    Until(u64),
}

/// The agent's picture of the maps, and the room in them.
#[derive(Debug)]
pub struct Mirror {
    /// Boxed, for a tree's nodes are half empty.
    pub(super) entries: BTreeMap<Frontend, Box<Entry>>,
    changes: u64,
    /// How many elements there are.
    held: PerFamily<u32>,
    pub(super) by_service: BTreeMap<ObjectName, Vec<Frontend>>,
    /// Elements of Services without a topology: they give way when room is short.
    pub(super) without_topology: BTreeSet<Frontend>,
    /// Elements that only refuse: they give way to all others.
    pub(super) other_ports: BTreeSet<Frontend>,
    /// Elements of which the maps do not say whose they are.
    pub(super) orphans: BTreeSet<Frontend>,
    pub(super) hints: BTreeMap<Frontend, Hint>,
    regions: PerFamily<Regions>,
    fence: Fence,
    /// Regions that no element points at any more, by the grace period that frees them.
    in_grace: Vec<(u64, Family, Region)>,
    /// The number of the grace period that the next flip waits for.
    grace_period: u64,
    pub(super) next_id: u32,
    /// Ids below it are promised in the maps already.
    pub(super) promised: u32,
    capacity: Capacity,
    /// How many elements there were when the kernel had no memory for another one, until it is tried again.
    memory: Option<usize>,
    pub(super) shortages: Shortages,
    /// Which numbers the maps know cells of the loop by.
    pub cells: Cells,
}

/// Past this many service ids no more are given out: an honest agent does not get there within a
/// boot, so the maps were written by something else.
pub(super) const LAST_ID: u32 = u32::MAX - (1 << 20);

impl Mirror {
    /// The picture of empty maps. `next_id` is the first service id that was never used within
    /// this boot.
    #[must_use]
    pub fn new(capacity: Capacity, next_id: u32) -> Self {
        let next_id = next_id.max(1);
        Self {
            entries: BTreeMap::new(),
            changes: 0,
            held: PerFamily::default(),
            by_service: BTreeMap::new(),
            without_topology: BTreeSet::new(),
            other_ports: BTreeSet::new(),
            orphans: BTreeSet::new(),
            hints: BTreeMap::new(),
            regions: PerFamily::each(|family| Regions::new(*capacity.backends.of(family))),
            fence: Fence::Open,
            in_grace: Vec::new(),
            grace_period: 0,
            next_id,
            promised: next_id,
            capacity,
            memory: None,
            shortages: Shortages::default(),
            cells: Cells::default(),
        }
    }

    /// The picture of empty maps of `capacity` that take the place of these. Each service port
    /// keeps its id and the slots of its backends, and its revision goes on: session affinity
    /// names both. Grace periods go on counting: one that still runs frees nothing in the new maps.
    #[must_use]
    pub fn successor(&self, capacity: Capacity) -> Self {
        let hints = self.entries.iter().filter_map(|(frontend, entry)| {
            let Entry { key, element, .. } = &**entry;
            let (owner, slots) = (element.owner, element.backends.clone());
            Some((*frontend, Hint { key: key.clone()?, owner, slots }))
        });
        Self { hints: hints.collect(), grace_period: self.grace_period, ..Self::new(capacity, self.next_id) }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&Frontend, &Entry)> {
        self.entries.iter().map(|(frontend, entry)| (frontend, &**entry))
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// How many elements the maps of each family hold.
    #[must_use]
    pub const fn held(&self) -> PerFamily<u32> {
        self.held
    }

    /// The session affinity timeouts in seconds, by service id; of service ports that have one.
    #[must_use]
    pub fn affinities(&self) -> BTreeMap<u32, u32> {
        let elements = self.entries.values().map(|entry| &entry.element);
        elements.filter_map(|element| Some((element.owner.id, element.affinity?))).collect()
    }

    /// How often what the maps hold has changed.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The service ids of all elements.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<u32> {
        self.entries.values().map(|entry| entry.element.owner.id).collect()
    }

    /// Why there is no room for another element of the front end, if so.
    pub(super) fn no_room(&self) -> Option<Starved> {
        let held = self.entries.len();
        if held >= self.capacity.frontends as usize {
            Some(Starved::Frontends)
        } else {
            self.memory.filter(|most| held >= *most).map(|_| Starved::Memory)
        }
    }

    /// Whether the maps hold an element there.
    #[must_use]
    pub fn holds_any_at(&self, frontend: &Frontend) -> bool {
        self.entries.contains_key(frontend)
    }

    /// The kernel had no memory for another element: from now on the front end counts as full.
    pub fn ran_out_of_memory(&mut self) {
        self.memory = Some(self.entries.len());
    }

    /// Whether the front end counts as full for lack of memory.
    #[must_use]
    pub const fn is_short_of_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// There may be memory again: what lacks it is worth another try.
    pub fn try_memory_again(&mut self) {
        if self.memory.take().is_some() {
            self.shortages.give_room();
        }
    }

    /// Notes that there was no memory for what is desired at `frontend`.
    pub fn lacks_memory(&mut self, service: &ObjectName, frontend: Frontend) {
        self.set_starved(service, frontend, Some(Starved::Memory));
    }

    #[must_use]
    pub const fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Whether there are no service ids left: the next maps begin anew.
    #[must_use]
    pub const fn is_out_of_ids(&self) -> bool {
        self.next_id >= LAST_ID
    }

    /// Entries of a backends map that no region takes, not counting those that wait for a grace
    /// period.
    #[must_use]
    pub fn free_backends(&self, family: Family) -> u32 {
        self.regions.of(family).free()
    }

    /// What is in use: elements, and entries of regions as they are allocated, those in a grace
    /// period too.
    #[must_use]
    pub fn used(&self) -> Capacity {
        let backends =
            |family| self.capacity.backends.of(family).saturating_sub(self.regions.of(family).free());
        Capacity { frontends: self.entries.len() as u32, backends: PerFamily::each(backends) }
    }

    /// The Services that are not served as desired for lack of room, and where.
    #[must_use]
    pub const fn shortages(&self) -> &Shortages {
        &self.shortages
    }

    /// Whether something was given back since the Services that lack room were last tried.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.shortages.has_retryable()
    }

    /// The Services that lack room, once something was given back: worth another try.
    pub fn take_retryable(&mut self) -> Vec<ObjectName> {
        self.shortages.take_retryable()
    }

    /// The Services that the maps hold something for.
    pub fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.by_service.keys()
    }

    /// The elements that `service` has.
    pub fn held_by(&self, service: &ObjectName) -> impl Iterator<Item = Frontend> {
        self.by_service.get(service).into_iter().flatten().copied()
    }

    /// The elements that `service` has, and those that it lacks room for.
    #[must_use]
    pub fn frontends_of(&self, service: &ObjectName) -> BTreeSet<Frontend> {
        self.held_by(service).chain(self.shortages.of(service).map(|(frontend, _)| frontend)).collect()
    }

    #[must_use]
    pub fn owner(&self, frontend: &Frontend) -> Option<&ObjectName> {
        Some(&self.entries.get(frontend)?.key.as_ref()?.service)
    }

    /// Elements of which the maps do not say whose they are.
    #[must_use]
    pub const fn orphans(&self) -> &BTreeSet<Frontend> {
        &self.orphans
    }

    /// Starts a grace period over everything that was given up so far: its number, for
    /// [`release`](Self::release) when it has passed. `None` when nothing waits.
    pub fn start_grace(&mut self) -> Option<u64> {
        if !self.waits_for_grace() {
            return None;
        }
        self.grace_period += 1;
        Some(self.grace_period - 1)
    }

    /// The grace period of this number has passed: what was given up before it began can be used
    /// again.
    pub fn release(&mut self, passed: u64) {
        let (over, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.in_grace).into_iter().partition(|(at, ..)| *at <= passed);
        self.in_grace = waiting;
        let mut room = !over.is_empty();
        for (_, family, region) in over {
            self.regions.of_mut(family).release(region);
        }
        if matches!(self.fence, Fence::Until(at) if at <= passed) {
            self.fence = Fence::Open;
            room = true;
        }
        if room {
            self.shortages.give_room();
        }
    }

    /// Whether a grace period gives room back.
    pub(super) const fn waits_for_grace(&self) -> bool {
        !self.in_grace.is_empty() || matches!(self.fence, Fence::Until(_))
    }

    /// Keeps free regions from being filled until a grace period has passed that begins from now on.
    pub(super) const fn raise_fence(&mut self) {
        self.fence = Fence::Until(self.grace_period);
    }

    /// A region with room for `entries` entries; `None` when no free part is that large, or none
    /// may be filled yet.
    pub(super) fn allocate(&mut self, family: Family, entries: usize) -> Option<Region> {
        if self.fence == Fence::Open { self.regions.of_mut(family).allocate(entries) } else { None }
    }

    /// How many regions with room for `entries` entries could be allocated, one after the other.
    pub(super) fn allocatable(&self, family: Family, entries: usize) -> u32 {
        if self.fence == Fence::Open { self.regions.of(family).count(entries) } else { 0 }
    }

    /// The entries of the largest region that could be allocated.
    pub(super) fn largest_region(&self, family: Family) -> usize {
        if self.fence == Fence::Open { self.regions.of(family).largest() } else { 0 }
    }

    /// Takes exactly `region`, which an element that was read back points at.
    pub(super) fn reserve(&mut self, family: Family, region: Region) -> bool {
        self.regions.of_mut(family).reserve(region)
    }

    /// Gives a region back that no element ever pointed at.
    pub(super) fn free_unused(&mut self, family: Family, region: Region) {
        self.regions.of_mut(family).release(region);
    }

    /// Replaces what is known of `frontend`, and gives up the region behind the old element unless
    /// the new one has it.
    pub(super) fn set(&mut self, frontend: Frontend, entry: Option<Entry>) {
        self.changes += 1;
        self.hints.remove(&frontend);
        let mut had_topology = false;
        if let Some(old) = self.entries.remove(&frontend) {
            *self.held.of_mut(frontend.family()) -= 1;
            had_topology = old.element.has_topology;
            let given_up =
                old.region().filter(|region| entry.as_ref().and_then(Entry::region) != Some(*region));
            let family = frontend.family();
            self.in_grace.extend(given_up.map(|region| (self.grace_period, family, region)));
            self.unlink(&frontend, &old);
        }
        let Some(entry) = entry else {
            self.shortages.give_room();
            return;
        };
        if let Some(key) = &entry.key {
            let frontends = self.by_service.entry(key.service.clone()).or_default();
            frontends.reserve_exact(1);
            frontends.push(frontend);
        } else {
            self.orphans.insert(frontend);
        }
        if frontend.is_other_ports() {
            self.other_ports.insert(frontend);
        } else if !entry.element.has_topology {
            self.without_topology.insert(frontend);
            if had_topology {
                // From now on it gives way to those with a topology.
                self.shortages.give_room();
            }
        }
        *self.held.of_mut(frontend.family()) += 1;
        self.entries.insert(frontend, Box::new(entry));
    }

    /// Notes that `service` is not served as desired at `frontend`, or (`None`) that what is there
    /// is as desired, whose it ever was.
    pub(super) fn set_starved(&mut self, service: &ObjectName, frontend: Frontend, why: Option<Starved>) {
        self.shortages.set(frontend, why.map(|why| (service, why)));
    }

    fn unlink(&mut self, frontend: &Frontend, old: &Entry) {
        self.without_topology.remove(frontend);
        self.other_ports.remove(frontend);
        self.orphans.remove(frontend);
        let Some(key) = &old.key else { return };
        if let Some(frontends) = self.by_service.get_mut(&key.service) {
            frontends.retain(|held| held != frontend);
            if frontends.is_empty() {
                self.by_service.remove(&key.service);
            }
        }
    }
}
