//! The difference between what is wanted and what the kernel holds, one front-end element at a time.

use lb_common::element::check;
use lb_common::family::V4;
use lb_common::layout::{
    Backend4, Frontend4, INLINE_BACKENDS, NAME_BYTES, RegionEntry4, Service4, ServiceName,
};

use crate::model::{Family, Protocol, ServicePortKey};

use super::desired::Desired;
use super::maps::MapOp;
use super::mirror::{Entry, Mirror, Starved};
use super::region::Region;
use super::slots::{is_same_set, settle};

/// How many service ids one write promises.
const IDS_AHEAD: u32 = 1024;

/// The writes that bring one element to what is wanted, and what is true once they are done.
#[derive(Debug)]
pub struct Step {
    pub frontend: Frontend4,
    pub ops: Vec<MapOp>,
    after: Option<Entry>,
    fresh: Option<Region>,
}

impl Mirror {
    /// The steps that bring the element at `frontend` to `want`, in order; none when it is there.
    ///
    /// 1. An element is published by one write, after its region; the old region is given up.
    /// 2. The front end is full: a Service with a topology takes the place of one without;
    ///    others stay untouched.
    /// 3. No region is large enough: the backends of the last good set that are still right stay,
    ///    inline if need be; with none left the Service is refused. For a Service with a topology
    ///    others give up their regions, and it is tried again when a grace period has passed.
    pub fn steps(&mut self, frontend: Frontend4, want: Option<&Desired>) -> Vec<Step> {
        let Some(want) = want else { return self.removal(frontend).into_iter().collect() };
        if self.holds(&frontend, want) {
            self.set_starved(&want.key.service, frontend, None);
            return Vec::new();
        }
        let mut steps = Vec::new();
        if !self.entries.contains_key(&frontend) && self.entries.len() >= self.capacity.frontends as usize {
            let victim = self.without_topology.first().copied().filter(|_| want.has_topology());
            let Some(victim) = victim else {
                self.set_starved(&want.key.service, frontend, Some(Starved::Frontends));
                return Vec::new();
            };
            steps.extend(self.eviction(victim));
        }
        let slots = settle(&self.last_set(&frontend, &want.key), &want.backends);
        if let Some(step) = self.publication(frontend, want, slots) {
            self.set_starved(&want.key.service, frontend, None);
            steps.push(step);
        } else {
            self.set_starved(&want.key.service, frontend, Some(Starved::Backends));
            steps.extend(self.surviving(frontend, want));
            if want.has_topology() {
                steps.extend(self.shrink_others(want.backends.len() - INLINE_BACKENDS));
            }
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
            self.regions.release(region);
        }
    }

    fn holds(&self, frontend: &Frontend4, want: &Desired) -> bool {
        self.entries.get(frontend).is_some_and(|entry| {
            let backends: Vec<Backend4> = entry.backends().copied().collect();
            !entry.damaged && entry.agrees(want) && is_same_set(&backends, &want.backends)
        })
    }

    /// The backends that `key` was last published with at `frontend`.
    fn last_set(&self, frontend: &Frontend4, key: &ServicePortKey) -> Vec<Backend4> {
        let entry = self.entries.get(frontend).filter(|entry| entry.key.as_ref() == Some(key));
        entry.into_iter().flat_map(|entry| entry.backends()).copied().collect()
    }

    fn removal(&mut self, frontend: Frontend4) -> Option<Step> {
        let services: Vec<_> = self
            .starved
            .iter()
            .filter(|(_, frontends)| frontends.contains_key(&frontend))
            .map(|(service, _)| service.clone())
            .collect();
        for service in services {
            self.set_starved(&service, frontend, None);
        }
        let id = self.entries.get(&frontend)?.value.id;
        let ops = vec![MapOp::Remove { frontend }, MapOp::Unname { id }];
        Some(Step { frontend, ops, after: None, fresh: None })
    }

    /// Takes the element of a Service without a topology away, to make room.
    fn eviction(&mut self, victim: Frontend4) -> Option<Step> {
        let step = self.removal(victim)?;
        if let Some(service) = self.owner(&victim).cloned() {
            self.set_starved(&service, victim, Some(Starved::Frontends));
        }
        Some(step)
    }

    /// Publishes `slots` for `want`; `None` when no region is large enough.
    fn publication(&mut self, frontend: Frontend4, want: &Desired, slots: Vec<Backend4>) -> Option<Step> {
        let tail = slots.get(INLINE_BACKENDS..).unwrap_or_default();
        let fresh = if tail.is_empty() { None } else { Some(self.regions.allocate(tail.len())?) };
        let old = self.entries.get(&frontend);
        let kept = old.filter(|entry| entry.key.as_ref() == Some(&want.key));
        let (id, revision) = match kept {
            Some(entry) => (entry.value.id, entry.value.revision.wrapping_add(1)),
            None => (self.next_id, 1),
        };
        let replaced = old.filter(|_| kept.is_none()).map(|entry| entry.value.id);
        let value = element(frontend, want, (id, revision), &slots, fresh.map_or(0, |region| region.at));

        let mut ops = Vec::new();
        if kept.is_none() {
            self.next_id += 1;
            if id >= self.promised {
                ops.push(MapOp::NextId(id + IDS_AHEAD));
            }
            ops.push(MapOp::Name { id, name: name(&want.key) });
        }
        if let Some(region) = fresh {
            let entries = tail.iter().map(|backend| RegionEntry4 { id, revision, backend: *backend });
            ops.push(MapOp::Fill { at: region.at, entries: entries.collect() });
        }
        ops.push(MapOp::Put { frontend, service: value });
        ops.extend(replaced.map(|id| MapOp::Unname { id }));
        let after = Entry { key: Some(want.key.clone()), value, tail: tail.into(), damaged: false };
        Some(Step { frontend, ops, after: Some(after), fresh })
    }

    /// What of the last good set is still wanted, as far as there is room for it.
    fn surviving(&mut self, frontend: Frontend4, want: &Desired) -> Option<Step> {
        let last = self.last_set(&frontend, &want.key);
        let mut right: Vec<Backend4> =
            last.iter().filter(|backend| want.backends.binary_search(backend).is_ok()).copied().collect();
        right.sort_unstable();
        let reduced = Desired { backends: right, ..want.clone() };
        if !last.is_empty() && self.holds(&frontend, &reduced) {
            return None;
        }
        let slots = settle(&last, &reduced.backends);
        let inline: Vec<Backend4> = slots.iter().take(INLINE_BACKENDS).copied().collect();
        self.publication(frontend, want, slots).or_else(|| self.publication(frontend, want, inline))
    }

    /// Services without a topology go on with their inline backends alone, until regions with
    /// `entries` entries in all are given up.
    fn shrink_others(&mut self, entries: usize) -> Vec<Step> {
        let mut freed: usize = 0;
        let mut steps = Vec::new();
        for frontend in self.without_topology.iter().copied().collect::<Vec<_>>() {
            if freed >= entries {
                break;
            }
            let Some(entry) = self.entries.get(&frontend).filter(|entry| !entry.tail.is_empty()) else {
                continue;
            };
            let Some(key) = entry.key.clone() else { continue };
            freed += entry.tail.len().next_power_of_two();
            let slots: Vec<Backend4> = entry.backends().take(INLINE_BACKENDS).copied().collect();
            let want = Desired {
                key,
                flags: entry.value.flags,
                affinity: entry.value.affinity,
                backends: Vec::new(),
            };
            self.set_starved(&want.key.service, frontend, Some(Starved::Backends));
            steps.extend(self.publication(frontend, &want, slots));
        }
        steps
    }
}

impl Entry {
    fn agrees(&self, want: &Desired) -> bool {
        self.key.as_ref() == Some(&want.key)
            && self.value.flags == want.flags
            && self.value.affinity == want.affinity
    }
}

fn element(
    frontend: Frontend4,
    want: &Desired,
    (id, revision): (u32, u32),
    slots: &[Backend4],
    region: u32,
) -> Service4 {
    let mut value = Service4 {
        id,
        revision,
        // `Desired` never holds more backends than the count can say.
        count: u16::try_from(slots.len()).unwrap_or(u16::MAX),
        flags: want.flags,
        affinity: want.affinity,
        region,
        ..Service4::default()
    };
    for (slot, backend) in value.inline.iter_mut().zip(slots) {
        *slot = *backend;
    }
    value.check = check::<V4>(&frontend, &value);
    value
}

pub(super) fn name(key: &ServicePortKey) -> ServiceName {
    ServiceName {
        namespace: text(&key.service.namespace),
        service: text(&key.service.name),
        port: text(&key.port_name),
        protocol: match key.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        },
        family: match key.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        zero: [0; 2],
    }
}

/// A DNS label fits; anything longer is cut.
fn text(name: &str) -> [i8; NAME_BYTES] {
    let mut text = [0; NAME_BYTES];
    // The last byte stays zero.
    for (to, from) in text[..NAME_BYTES - 1].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    text
}
