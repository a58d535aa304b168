//! Taking over maps that are in use, and holding the plan against what they really hold.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::element::check;
use lb_common::family::V4;
use lb_common::layout::{
    Backend4, Frontend4, INLINE_BACKENDS, NAME_BYTES, RegionEntry4, Service4, ServiceName,
};

use crate::model::{Family, ObjectName, Protocol, ServicePortKey};

use super::capacity::Capacity;
use super::maps::MapOp;
use super::mirror::{Entry, Mirror};
use super::region::Region;

/// All that the maps hold, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub services: BTreeMap<Frontend4, Service4>,
    /// The whole backends map, by index.
    pub backends: Vec<RegionEntry4>,
    pub names: BTreeMap<u32, ServiceName>,
    /// The lowest service id that was never used within this boot.
    pub next_id: u32,
}

impl Observed {
    /// The backends in the region of `service`; `None` when they do not prove themselves.
    #[must_use]
    pub fn tail(&self, service: &Service4) -> Option<Vec<Backend4>> {
        let length = usize::from(service.count).saturating_sub(INLINE_BACKENDS);
        if length == 0 {
            return Some(Vec::new());
        }
        let from = service.region as usize;
        let entries = self.backends.get(from..from.checked_add(length)?)?;
        let owned = |entry: &RegionEntry4| entry.id == service.id && entry.revision == service.revision;
        entries.iter().map(|entry| owned(entry).then_some(entry.backend)).collect()
    }

    /// The service port that the id stands for, as far as its name can be read.
    #[must_use]
    pub fn key(&self, id: u32) -> Option<ServicePortKey> {
        let name = self.names.get(&id)?;
        Some(ServicePortKey {
            service: ObjectName::new(&text(&name.namespace)?, &text(&name.service)?),
            port_name: text(&name.port)?.into(),
            protocol: match name.protocol {
                6 => Protocol::Tcp,
                17 => Protocol::Udp,
                _ => return None,
            },
            family: if name.family == 4 { Family::V4 } else { Family::V6 },
        })
    }
}

impl Mirror {
    /// Takes over maps that hold `observed`: what proves itself is kept, the rest is known as
    /// damaged and is written anew by the first pass.
    #[must_use]
    pub fn adopt(observed: &Observed, capacity: Capacity) -> Self {
        let highest = observed.services.values().map(|service| service.id).max().unwrap_or(0);
        let mut mirror = Self::new(capacity, observed.next_id.max(highest.saturating_add(1)));
        for (frontend, service) in &observed.services {
            let entry = mirror.adopted(observed, frontend, service);
            mirror.set(*frontend, Some(entry));
        }
        mirror.room = false;
        mirror
    }

    /// Holds the plan against what the maps hold. Returns the Services to look at again, and the
    /// writes that mend the names.
    pub fn compare(&mut self, observed: &Observed) -> (BTreeSet<ObjectName>, Vec<MapOp>) {
        let mut differ = BTreeSet::new();
        for (frontend, entry) in &mut self.entries {
            let same = observed.services.get(frontend) == Some(&entry.value)
                && observed.tail(&entry.value).is_some_and(|tail| *tail == *entry.tail);
            if !same {
                entry.damaged = true;
                differ.extend(entry.key.as_ref().map(|key| key.service.clone()));
            }
        }
        let foreign: Vec<_> = observed
            .services
            .iter()
            .filter(|(frontend, _)| !self.entries.contains_key(frontend))
            .map(|(frontend, service)| (*frontend, *service))
            .collect();
        for (frontend, value) in foreign {
            let entry = Entry { key: None, value, tail: Box::default(), damaged: true };
            self.set(frontend, Some(entry));
        }
        let gone = |frontend: &Frontend4| !observed.services.contains_key(frontend);
        let lost: Vec<Frontend4> = self.entries.keys().filter(|frontend| gone(frontend)).copied().collect();
        for frontend in lost {
            self.set(frontend, None);
        }
        (differ, self.mended_names(observed))
    }

    fn mended_names(&self, observed: &Observed) -> Vec<MapOp> {
        let mut ours: BTreeMap<u32, ServiceName> = BTreeMap::new();
        for entry in self.entries.values() {
            if let Some(key) = &entry.key {
                ours.insert(entry.value.id, super::diff::name(key));
            }
        }
        let missing = ours.iter().filter(|(id, name)| observed.names.get(id) != Some(name));
        let mut ops: Vec<MapOp> = missing.map(|(id, name)| MapOp::Name { id: *id, name: *name }).collect();
        let extra = observed.names.keys().filter(|id| !ours.contains_key(id));
        ops.extend(extra.map(|id| MapOp::Unname { id: *id }));
        ops
    }

    fn adopted(&mut self, observed: &Observed, frontend: &Frontend4, service: &Service4) -> Entry {
        let proven = check::<V4>(frontend, service) == service.check;
        let tail = observed.tail(service).filter(|_| proven);
        let reserved = match &tail {
            Some(tail) if tail.is_empty() => true,
            Some(tail) => self.regions.reserve(Region::of(service.region, tail.len())),
            None => false,
        };
        Entry {
            key: observed.key(service.id).filter(|_| proven),
            value: *service,
            tail: tail.filter(|_| reserved).unwrap_or_default().into(),
            damaged: !(proven && reserved),
        }
    }
}

fn text(bytes: &[i8; NAME_BYTES]) -> Option<String> {
    let bytes: Vec<u8> =
        bytes.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).ok()
}
