//! The difference between what is desired and what the kernel holds, one front-end element at a time.

use crate::model::{Frontend, ServicePortKey};

use super::desired::Desired;
use super::element::{Backend, Backends, Element, INLINE, Owner};
use super::maps::MapOp;
use super::mirror::{Entry, Mirror};
use super::planted::in_order;
use super::region::Region;
use super::slots::{at, is_same_set, settle};
use super::starved::Starved;

/// How many service ids one write promises.
const IDS_AHEAD: u32 = 1024;

/// The writes that bring one element to what is desired, and what is true once they are done.
#[derive(Debug)]
pub struct Step {
    pub frontend: Frontend,
    pub ops: Vec<MapOp>,
    after: Option<Entry>,
    fresh: Option<Region>,
}

impl Mirror {
    /// The steps that bring the element at `frontend` to what is `desired`, in order; none when it
    /// is there. No two of them are for one address.
    ///
    /// 1. An element is published by one write, after its region; the old region is given up.
    /// 2. The front end is full, or there is no memory for more: what only refuses gives way first, then a Service without a
    ///    topology to one with one; others stay untouched.
    /// 3. No region is large enough: the backends of the last good set that are still right stay,
    ///    as many as there is room for; with none left the Service is refused. Where a grace
    ///    period gives room back, that is all until then, and with none left the first backends
    ///    that need no region are used. Else, for a Service with a topology
    ///    others give up their regions, and it is tried again when a grace period has passed.
    pub fn steps(&mut self, frontend: Frontend, desired: Option<&Desired>) -> Vec<Step> {
        let Some(desired) = desired else { return self.removal(frontend).into_iter().collect() };
        let service = &desired.key.service;
        let excess = (desired.excess > 0).then_some(Starved::Excess);
        if self.holds(&frontend, desired) {
            self.set_starved(service, frontend, excess);
            return Vec::new();
        }
        if self.is_out_of_ids() && self.owner_of(&frontend, &desired.key).is_none() {
            self.set_starved(service, frontend, Some(Starved::Ids));
            return Vec::new();
        }
        let mut steps = Vec::new();
        if let Some(why) = self.no_room().filter(|_| !self.entries.contains_key(&frontend)) {
            let victim = self.victim(frontend, desired);
            let Some(victim) = victim else {
                self.set_starved(service, frontend, Some(why));
                return Vec::new();
            };
            steps.extend(self.eviction(victim, why));
        }
        let slots = settle(&self.last_slots(&frontend, &desired.key), &desired.backends);
        let whole = if self.is_to_wait(&frontend, desired) {
            None
        } else {
            self.publication(frontend, desired, slots)
        };
        if let Some(step) = whole {
            self.set_starved(service, frontend, excess);
            steps.push(step);
            return steps;
        }
        let why = if self.waits_for_grace() { Starved::Grace } else { Starved::Backends };
        self.set_starved(service, frontend, Some(why));
        steps.extend(self.surviving(frontend, desired));
        if desired.has_topology && why == Starved::Backends {
            let entries = desired.backends.len().saturating_sub(INLINE);
            steps.extend(self.shrink_others(&desired.key, &steps, entries));
        }
        steps
    }

    /// All writes of `step` succeeded (those of names may have failed).
    pub fn commit(&mut self, step: Step) {
        for op in &step.ops {
            if let MapOp::NextId(id) = op {
                self.promised = self.promised.max(*id);
            }
        }
        self.set(step.frontend, step.after);
    }

    /// A write of `step` failed before it was published: the kernel holds what it held.
    pub fn abort(&mut self, step: &Step) {
        if let Some(region) = step.fresh {
            self.free_unused(step.frontend.family(), region);
        }
    }

    fn holds(&self, frontend: &Frontend, desired: &Desired) -> bool {
        self.entries.get(frontend).is_some_and(|entry| {
            !entry.damaged
                && entry.agrees(desired)
                && entry.element.backends.len() == desired.backends.len()
                && is_same_set(entry.element.backends.iter(), &desired.backends)
        })
    }

    /// Whether a set that only grows waits for a grace period: it leaves the last free region to
    /// a change that takes a backend away.
    fn is_to_wait(&self, frontend: &Frontend, desired: &Desired) -> bool {
        let tail = desired.backends.len().saturating_sub(INLINE);
        let last = self.last_set(frontend, &desired.key);
        tail > 0
            && !last.is_empty()
            && self.waits_for_grace()
            && self.allocatable(frontend.family(), tail) < 2
            && last.iter().all(|backend| at(&desired.backends, backend).is_some())
    }

    /// The backends that `key` is published with at `frontend`.
    fn last_set(&self, frontend: &Frontend, key: &ServicePortKey) -> Vec<Backend> {
        let entry = self.entries.get(frontend).filter(|entry| entry.key.as_ref() == Some(key));
        entry.into_iter().flat_map(|entry| entry.element.backends.iter()).collect()
    }

    /// The slots that the backends of `key` had last, here or in the maps before these.
    fn last_slots(&self, frontend: &Frontend, key: &ServicePortKey) -> Vec<Backend> {
        let hint = self.hints.get(frontend).filter(|hint| hint.key == *key);
        match hint {
            Some(hint) => hint.slots.iter().collect(),
            None => self.last_set(frontend, key),
        }
    }

    /// Under which id and revision `key` was last published at `frontend`, here or in the maps
    /// before these.
    fn owner_of(&self, frontend: &Frontend, key: &ServicePortKey) -> Option<Owner> {
        let entry = self.entries.get(frontend).filter(|entry| entry.key.as_ref() == Some(key));
        let hint = self.hints.get(frontend).filter(|hint| hint.key == *key);
        entry.map(|entry| entry.element.owner).or(hint.map(|hint| hint.owner))
    }

    fn removal(&mut self, frontend: Frontend) -> Option<Step> {
        self.shortages.set(frontend, None);
        let id = self.entries.get(&frontend)?.element.owner.id;
        let ops = vec![MapOp::Remove { frontend }, MapOp::Unname { id }];
        Some(Step { frontend, ops, after: None, fresh: None })
    }

    /// The element that gives way to what is desired at `frontend`, where the front end is full.
    fn victim(&self, frontend: Frontend, desired: &Desired) -> Option<Frontend> {
        let refusing = self.other_ports.first().filter(|_| !frontend.is_other_ports());
        refusing.or_else(|| self.without_topology.first().filter(|_| desired.has_topology)).copied()
    }

    /// Takes an element away that gives way, to make room.
    fn eviction(&mut self, victim: Frontend, why: Starved) -> Option<Step> {
        let step = self.removal(victim)?;
        if let Some(service) = self.owner(&victim).cloned() {
            self.set_starved(&service, victim, Some(why));
        }
        Some(step)
    }

    /// Publishes `slots` for `desired`; `None` when no region is large enough.
    fn publication(&mut self, frontend: Frontend, desired: &Desired, slots: Vec<Backend>) -> Option<Step> {
        let tail = slots.get(INLINE..).unwrap_or_default();
        let fresh = if tail.is_empty() { None } else { Some(self.allocate(frontend.family(), tail.len())?) };
        let known = self.owner_of(&frontend, &desired.key);
        let is_held = self.entries.contains_key(&frontend);
        let is_its_own = is_held && self.entries[&frontend].key.as_ref() == Some(&desired.key);
        let owner = match known {
            Some(Owner { id, revision }) => Owner { id, revision: revision.wrapping_add(1) },
            None => Owner { id: self.next_id, revision: 1 },
        };
        let mut ops = Vec::new();
        if known.is_none() {
            self.next_id += 1;
            if owner.id >= self.promised {
                ops.push(MapOp::NextId(owner.id.saturating_add(IDS_AHEAD)));
            }
        }
        if !is_held {
            // First, for it is what memory is asked about.
            ops.push(MapOp::Admit { frontend });
        }
        if !is_its_own {
            ops.push(MapOp::Name { id: owner.id, key: desired.key.clone() });
        }
        if let Some(region) = fresh {
            ops.push(MapOp::Fill { at: region.at, owner, backends: tail.to_vec() });
        }
        let element = Element {
            owner,
            has_topology: desired.has_topology,
            affinity: desired.affinity,
            backends: slots.into_iter().collect::<Backends>(),
            region: fresh.map_or(0, |region| region.at),
        };
        ops.push(MapOp::Put { frontend, element: element.clone() });
        let replaced = self.entries.get(&frontend).filter(|_| !is_its_own);
        ops.extend(replaced.map(|entry| MapOp::Unname { id: entry.element.owner.id }));
        let after = Entry { key: Some(desired.key.clone()), element, damaged: false };
        Some(Step { frontend, ops: in_order(ops), after: Some(after), fresh })
    }

    /// What of the last good set is still desired, as far as there is room for it; no step where
    /// that is all of it.
    fn surviving(&mut self, frontend: Frontend, desired: &Desired) -> Option<Step> {
        let last = self.last_set(&frontend, &desired.key);
        let mut right: Vec<Backend> =
            last.iter().filter_map(|backend| at(&desired.backends, backend)).copied().collect();
        right.sort_unstable();
        let intact = self.entries.get(&frontend).filter(|entry| !entry.damaged);
        if let Some(entry) = intact.filter(|_| !last.is_empty() && right.len() == last.len()) {
            return (!entry.agrees(desired)).then(|| relabelled(frontend, entry, desired));
        }
        if right.is_empty() && self.waits_for_grace() {
            // For a moment those that need no region, rather than none.
            right = desired.backends.iter().take(INLINE).copied().collect();
        }
        let mut slots = settle(&last, &right);
        let reduced = Desired { backends: right, ..desired.clone() };
        if self.holds(&frontend, &reduced) {
            return None;
        }
        let tail = slots.len().saturating_sub(INLINE);
        if self.allocatable(frontend.family(), tail) == 0 {
            slots.truncate(INLINE + self.largest_region(frontend.family()));
        }
        self.publication(frontend, desired, slots)
    }

    /// Services without a topology go on with their inline backends alone, until regions with
    /// `entries` entries in all are given up in its family's map. Not the service port `but`, which asks for them, nor what
    /// `before` changes: an address that `but` takes over, or one that is taken away.
    fn shrink_others(&mut self, but: &ServicePortKey, before: &[Step], entries: usize) -> Vec<Step> {
        let mut freed: usize = 0;
        let mut steps = Vec::new();
        for frontend in self.without_topology.iter().copied().collect::<Vec<_>>() {
            if freed >= entries {
                break;
            }
            let is_other_family = frontend.family() != but.family;
            if is_other_family || before.iter().any(|step| step.frontend == frontend) {
                continue;
            }
            let Some(entry) = self.entries.get(&frontend).filter(|entry| entry.element.tail() > 0) else {
                continue;
            };
            let Some(key) = entry.key.clone().filter(|key| key != but) else { continue };
            freed += entry.element.tail().next_power_of_two();
            let slots: Vec<Backend> = entry.element.backends.iter().take(INLINE).collect();
            let (has_topology, affinity) = (entry.element.has_topology, entry.element.affinity);
            let desired = Desired { key, has_topology, affinity, backends: Vec::new(), excess: 0 };
            self.set_starved(&desired.key.service, frontend, Some(Starved::Backends));
            steps.extend(self.publication(frontend, &desired, slots));
        }
        steps
    }
}

/// The same publication, which says another topology or affinity: who gives way to whom depends on it.
fn relabelled(frontend: Frontend, entry: &Entry, desired: &Desired) -> Step {
    let (has_topology, affinity) = (desired.has_topology, desired.affinity);
    let element = Element { has_topology, affinity, ..entry.element.clone() };
    let ops = vec![MapOp::Put { frontend, element: element.clone() }];
    Step { frontend, ops, after: Some(Entry { element, ..entry.clone() }), fresh: None }
}

impl Entry {
    fn agrees(&self, desired: &Desired) -> bool {
        self.key.as_ref() == Some(&desired.key)
            && self.element.has_topology == desired.has_topology
            && self.element.affinity == desired.affinity
    }
}
