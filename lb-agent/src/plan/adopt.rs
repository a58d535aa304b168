//! Taking over maps that are in use, and holding the mirror against what they really hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Family, Frontend, ObjectName, ServicePortKey};
use crate::plants::{self, Plant};

use super::capacity::Capacity;
use super::cells::{Cell, Cells};
use super::element::Element;
use super::maps::MapOp;
use super::mirror::{Entry, Hint, Mirror};
use super::region::Region;

/// Whether an element proves that one write wrote all of it, and its region that it is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Proven,
    Unproven,
}

/// One element as it was read. Where it does not prove itself, nothing of it can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub element: Element,
    pub proof: Proof,
}

/// All that the maps hold, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub services: BTreeMap<Frontend, Held>,
    /// What service ids mean; `None` where the name cannot be read.
    pub names: BTreeMap<u32, Option<ServicePortKey>>,
    /// The lowest service id that was never used within this boot.
    pub next_id: u32,
    /// What the numbers of cells mean.
    pub cells: BTreeMap<u16, Cell>,
}

impl Observed {
    /// The service port that the id stands for, as far as its name can be read.
    #[must_use]
    pub fn key(&self, id: u32) -> Option<&ServicePortKey> {
        self.names.get(&id)?.as_ref()
    }

    fn proven(&self) -> impl Iterator<Item = (&Frontend, &Element)> {
        let proven = self.services.iter().filter(|(_, held)| held.proof == Proof::Proven);
        proven.map(|(frontend, held)| (frontend, &held.element))
    }

    /// The lowest service id that was never used, also by what is there without a promise.
    #[must_use]
    pub fn first_unused_id(&self) -> u32 {
        let highest = self.proven().map(|(_, element)| element.owner.id).max().unwrap_or(0);
        self.next_id.max(highest.saturating_add(1))
    }
}

impl Mirror {
    /// Takes over maps that hold `observed`: what proves itself is kept, the rest is known as
    /// damaged and is written anew by the first pass. Free regions are not filled before a grace
    /// period has passed: programs may still read what the agent before this one gave up.
    #[must_use]
    pub fn adopt(observed: &Observed, capacity: Capacity) -> Self {
        let first_id = if plants::has(Plant::IdsRestart) { 1 } else { observed.first_unused_id() };
        let mut mirror = Self::new(capacity, first_id);
        mirror.cells = Cells::of(&observed.cells);
        for (frontend, held) in &observed.services {
            let entry = mirror.adopted(observed, frontend.family(), held);
            mirror.set(*frontend, Some(entry));
        }
        mirror.take_retryable();
        mirror.raise_fence();
        mirror
    }

    /// Lets the service ports of a generation that is being replaced keep their ids and the slots
    /// of their backends, as far as they prove themselves.
    pub fn inherit(&mut self, observed: &Observed) {
        self.next_id = self.next_id.max(observed.first_unused_id());
        self.promised = self.promised.max(self.next_id);
        for (frontend, element) in observed.proven() {
            let Some(key) = observed.key(element.owner.id).filter(|_| element.owner.id != 0) else {
                continue;
            };
            let hint = Hint { key: key.clone(), owner: element.owner, slots: element.backends.clone() };
            self.hints.insert(*frontend, hint);
        }
    }

    /// Holds the mirror against what the maps hold. Returns the Services to look at again, and the
    /// writes that repair the names.
    pub fn compare(&mut self, observed: &Observed) -> (BTreeSet<ObjectName>, Vec<MapOp>) {
        let mut differ = BTreeSet::new();
        for (frontend, entry) in &mut self.entries {
            let held = observed.services.get(frontend);
            if !held.is_some_and(|held| held.proof == Proof::Proven && held.element == entry.element) {
                entry.damaged = true;
                differ.extend(entry.key.as_ref().map(|key| key.service.clone()));
            }
        }
        let foreign: Vec<Frontend> = observed
            .services
            .keys()
            .filter(|frontend| !self.entries.contains_key(frontend))
            .copied()
            .collect();
        for frontend in foreign {
            let element = Element { owner: observed.services[&frontend].element.owner, ..Element::default() };
            self.set(frontend, Some(Entry { key: None, element, damaged: true }));
        }
        let gone = |frontend: &Frontend| !observed.services.contains_key(frontend);
        let lost: Vec<Frontend> = self.entries.keys().filter(|frontend| gone(frontend)).copied().collect();
        for frontend in lost {
            self.set(frontend, None);
        }
        (differ, self.name_repairs(observed))
    }

    fn name_repairs(&self, observed: &Observed) -> Vec<MapOp> {
        let named =
            self.entries.values().filter_map(|entry| Some((entry.element.owner.id, entry.key.as_ref()?)));
        let ours: BTreeMap<u32, &ServicePortKey> = named.collect();
        let is_named =
            |id: u32, key: &ServicePortKey| observed.key(id).is_some_and(|held| reads_back(key, held));
        let missing = ours.iter().filter(|(id, key)| !is_named(**id, key));
        let mut ops: Vec<MapOp> =
            missing.map(|(id, key)| MapOp::Name { id: *id, key: (*key).clone() }).collect();
        let extra = observed.names.keys().filter(|id| !ours.contains_key(id));
        ops.extend(extra.map(|id| MapOp::Unname { id: *id }));
        ops.extend(self.cells.missing(&observed.cells));
        ops
    }

    fn adopted(&mut self, observed: &Observed, family: Family, held: &Held) -> Entry {
        let Held { element, proof } = held;
        let tail = element.tail();
        let is_whole = *proof == Proof::Proven
            && element.owner.id != 0
            && (tail == 0 || self.reserve(family, Region::of(element.region, tail)));
        if is_whole {
            let key = observed.key(element.owner.id).cloned();
            return Entry { key, element: element.clone(), damaged: false };
        }
        // Of what does not prove itself only the name of a proven id is of use.
        let key = observed.key(element.owner.id).filter(|_| *proof == Proof::Proven).cloned();
        let element =
            Element { owner: element.owner, has_topology: element.has_topology, ..Element::default() };
        Entry { key, element, damaged: true }
    }
}

/// A name in the maps has at most so many bytes. A DNS label fits.
pub const NAME_LENGTH: usize = 63;

/// The part of `text` that a name in the maps has room for.
#[must_use]
pub fn cut(text: &str) -> &str {
    let mut end = text.len().min(NAME_LENGTH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether `held` is what `key` reads back as from the maps. An audit asks for every name: nothing is copied.
fn reads_back(key: &ServicePortKey, held: &ServicePortKey) -> bool {
    let ServicePortKey { service, port_name, protocol, family } = key;
    *held.service.namespace == *cut(&service.namespace)
        && *held.service.name == *cut(&service.name)
        && *held.port_name == *cut(port_name)
        && (held.protocol, held.family) == (*protocol, *family)
}
