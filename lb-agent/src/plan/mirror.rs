//! What the kernel holds, as far as the agent knows: every write that succeeded, and no other.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::layout::{Backend4, FLAG_TOPOLOGY, Frontend4, INLINE_BACKENDS, Service4};

use crate::model::{ObjectName, ServicePortKey};

use super::capacity::Capacity;
use super::region::{Region, Regions};

/// One element of the front end with the backends behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is; `None` where the maps do not say.
    pub key: Option<ServicePortKey>,
    pub value: Service4,
    /// The backends in its region.
    pub tail: Box<[Backend4]>,
    /// The kernel was seen to hold something else: written again whatever is wanted.
    pub(super) damaged: bool,
}

impl Entry {
    pub fn backends(&self) -> impl Iterator<Item = &Backend4> {
        let inline = usize::from(self.value.count).min(INLINE_BACKENDS);
        self.value.inline[..inline].iter().chain(&self.tail)
    }

    pub(super) fn region(&self) -> Option<Region> {
        (!self.tail.is_empty()).then(|| Region::of(self.value.region, self.tail.len()))
    }

    pub(super) const fn has_topology(&self) -> bool {
        self.value.flags & FLAG_TOPOLOGY != 0
    }
}

/// Why a Service is not served as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starved {
    /// The front end is full: the Service is untouched.
    Frontends,
    /// The backends map has no region that large: the Service keeps what is still right of its
    /// last set.
    Backends,
}

impl Starved {
    /// One sentence without a full stop.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Frontends => {
                "map services4 is full: not served; start the agent with a larger --max-services"
            }
            Self::Backends => {
                "map backends4 has no room for its backends: served by those of its last set that are still right, \
                 refused while there are none; \
                 start the agent with a larger --max-backends"
            }
        }
    }
}

/// The agent's picture of the maps, and the room in them.
#[derive(Debug)]
pub struct Mirror {
    /// Boxed, for a tree's nodes are half empty.
    pub(super) entries: BTreeMap<Frontend4, Box<Entry>>,
    pub(super) by_service: BTreeMap<ObjectName, BTreeSet<Frontend4>>,
    /// Elements of Services without a topology: they give way when room is short.
    pub(super) without_topology: BTreeSet<Frontend4>,
    /// Elements of which nobody knows whose they are.
    pub(super) orphans: BTreeSet<Frontend4>,
    pub(super) regions: Regions,
    /// Regions that nobody points at any more, by the age of the flip.
    pub(super) in_grace: Vec<(u64, Region)>,
    /// The number of the grace period that the next flip waits for.
    pub(super) grace_period: u64,
    pub(super) next_id: u32,
    /// Ids below it are promised in the maps already.
    pub(super) promised: u32,
    pub(super) capacity: Capacity,
    pub(super) starved: BTreeMap<ObjectName, BTreeMap<Frontend4, Starved>>,
    /// Something was given back since the Services that are short were last tried.
    pub(super) room: bool,
}

impl Mirror {
    /// The plan over empty maps. `next_id` is the first service id that was never used within
    /// this boot.
    #[must_use]
    pub fn new(capacity: Capacity, next_id: u32) -> Self {
        let next_id = next_id.max(1);
        Self {
            entries: BTreeMap::new(),
            by_service: BTreeMap::new(),
            without_topology: BTreeSet::new(),
            orphans: BTreeSet::new(),
            regions: Regions::new(capacity.backends),
            in_grace: Vec::new(),
            grace_period: 0,
            next_id,
            promised: next_id,
            capacity,
            starved: BTreeMap::new(),
            room: false,
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&Frontend4, &Entry)> {
        self.entries.iter().map(|(frontend, entry)| (frontend, &**entry))
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    #[must_use]
    pub const fn next_id(&self) -> u32 {
        self.next_id
    }

    /// What is in use: elements, and entries of regions as they are allocated, those in a grace
    /// period too.
    #[must_use]
    pub fn used(&self) -> Capacity {
        let backends = self.capacity.backends.saturating_sub(self.regions.free());
        Capacity { frontends: self.entries.len() as u32, backends }
    }

    /// Entries of the backends map that hold no region, those in a grace period not counted.
    #[must_use]
    pub fn free_backends(&self) -> u32 {
        self.regions.free()
    }

    /// The Services that are not served as wanted for lack of room, and where.
    #[must_use]
    pub const fn starved(&self) -> &BTreeMap<ObjectName, BTreeMap<Frontend4, Starved>> {
        &self.starved
    }

    /// Whether something was given back since the Services that lack room were last tried.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.room && !self.starved.is_empty()
    }

    /// The Services that lack room, once something was given back: worth another try.
    pub fn take_retryable(&mut self) -> Vec<ObjectName> {
        if std::mem::take(&mut self.room) { self.starved.keys().cloned().collect() } else { Vec::new() }
    }

    /// The Services that the maps hold something for.
    pub fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.by_service.keys()
    }

    /// The elements that `service` has, and those that it lacks room for.
    #[must_use]
    pub fn frontends_of(&self, service: &ObjectName) -> BTreeSet<Frontend4> {
        let held = self.by_service.get(service).into_iter().flatten();
        held.chain(self.starved.get(service).into_iter().flat_map(BTreeMap::keys)).copied().collect()
    }

    #[must_use]
    pub fn owner(&self, frontend: &Frontend4) -> Option<&ObjectName> {
        Some(&self.entries.get(frontend)?.key.as_ref()?.service)
    }

    /// Elements of which nobody knows whose they are.
    #[must_use]
    pub const fn orphans(&self) -> &BTreeSet<Frontend4> {
        &self.orphans
    }

    /// Counts grace periods on from `old`, whose maps this plan's take the place of: one that still
    /// runs began before anything here was given up.
    pub const fn follow(&mut self, old: &Self) {
        self.grace_period = old.grace_period;
    }

    /// Starts a grace period over everything that was given up so far: its number, for
    /// [`release`](Self::release) when it has passed. `None` when nothing waits.
    pub fn start_grace(&mut self) -> Option<u64> {
        if self.in_grace.is_empty() {
            return None;
        }
        self.grace_period += 1;
        Some(self.grace_period - 1)
    }

    /// The grace period `grace_period` has passed: what was given up before it began can be used again.
    pub fn release(&mut self, grace_period: u64) {
        let (over, waiting) =
            std::mem::take(&mut self.in_grace).into_iter().partition(|(at, _)| *at <= grace_period);
        self.in_grace = waiting;
        let over: Vec<(u64, Region)> = over;
        self.room |= !over.is_empty();
        for (_, region) in over {
            self.regions.release(region);
        }
    }

    /// Replaces what is known of `frontend`, and gives up the region behind the old element.
    pub(super) fn set(&mut self, frontend: Frontend4, entry: Option<Entry>) {
        if let Some(old) = self.entries.remove(&frontend) {
            self.in_grace.extend(old.region().map(|region| (self.grace_period, region)));
            self.unlink(&frontend, &old);
        }
        let Some(entry) = entry else {
            self.room = true;
            return;
        };
        if let Some(key) = &entry.key {
            self.by_service.entry(key.service.clone()).or_default().insert(frontend);
        } else {
            self.orphans.insert(frontend);
        }
        if !entry.has_topology() {
            self.without_topology.insert(frontend);
        }
        self.entries.insert(frontend, Box::new(entry));
    }

    /// Notes that `service` is not served as wanted at `frontend`, or (`None`) that it is.
    pub(super) fn set_starved(&mut self, service: &ObjectName, frontend: Frontend4, short: Option<Starved>) {
        if let Some(short) = short {
            self.starved.entry(service.clone()).or_default().insert(frontend, short);
        } else if let Some(frontends) = self.starved.get_mut(service) {
            frontends.remove(&frontend);
            if frontends.is_empty() {
                self.starved.remove(service);
            }
        }
    }

    fn unlink(&mut self, frontend: &Frontend4, old: &Entry) {
        self.without_topology.remove(frontend);
        self.orphans.remove(frontend);
        let Some(key) = &old.key else { return };
        if let Some(frontends) = self.by_service.get_mut(&key.service) {
            frontends.remove(frontend);
            if frontends.is_empty() {
                self.by_service.remove(&key.service);
            }
        }
    }
}
