//! The maps in memory, with planted faults. What it knows of the real ones, the kernel tier's
//! `maps` tests show.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use crate::model::{Family, Frontend, PerFamily, ServicePortKey};

use super::adopt::{Held, Observed, Proof, cut};
use super::capacity::Capacity;
use super::cells::Cell;
use super::element::{Backend, Backends, Element, INLINE, Owner};
use super::maps::{Digest, MapOp, Maps, Op, ReadError, RepairError, WriteError};

/// An element as it is stored: without the backends in its region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `backends` has the inline ones alone.
    pub inline: Element,
    /// How many backends there are in all.
    pub count: usize,
    /// Whether its check word fits.
    pub proof: Proof,
}

/// A backends map.
pub type Entries = Vec<(Owner, Option<Backend>)>;

/// What lies in the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub services: BTreeMap<Frontend, Stored>,
    /// The backends maps, by index.
    pub entries: PerFamily<Entries>,
    pub names: BTreeMap<u32, ServicePortKey>,
    /// The keys that the Bloom filter lets pass.
    pub admitted: BTreeSet<Frontend>,
    pub next_id: u32,
    /// What the numbers of cells mean.
    pub cells: BTreeMap<u16, Cell>,
    /// The addresses at which node ports are served.
    pub hosts: BTreeSet<IpAddr>,
}

/// Maps in memory.
#[derive(Debug)]
pub struct Fake {
    memory: Memory,
    capacity: Capacity,
    faults: Faults,
    /// For how many elements of the front end there is memory.
    elements: usize,
    writes: u64,
    failed: u64,
    /// How often the memory may have changed.
    changes: u64,
    /// How often everything was read back.
    dumps: u64,
}

/// Which writes fail with EIO.
#[derive(Clone, Copy, Debug)]
enum Faults {
    None,
    /// One in so many, by a generator (xorshift) whose state is `chance`, so that a run can be
    /// repeated.
    OneIn {
        many: u64,
        chance: u64,
    },
}

impl Fake {
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        let entries =
            PerFamily::each(|family| vec![(Owner::default(), None); *capacity.backends.of(family) as usize]);
        let memory = Memory { entries, ..Memory::default() };
        Self {
            memory,
            capacity,
            faults: Faults::None,
            elements: usize::MAX,
            writes: 0,
            failed: 0,
            changes: 0,
            dumps: 0,
        }
    }

    /// Lets one write in `one_in` fail, the same ones for the same `seed`.
    #[must_use]
    pub const fn with_faults(mut self, one_in: u64, seed: u64) -> Self {
        self.faults = Faults::OneIn { many: one_in, chance: seed | 1 };
        self
    }

    /// There is memory for so many elements of the front end.
    pub const fn set_memory(&mut self, elements: usize) {
        self.elements = elements;
    }

    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// For tests that play another program which writes into the maps.
    pub const fn memory_mut(&mut self) -> &mut Memory {
        self.changes += 1;
        &mut self.memory
    }

    /// What the maps hold, as a dump reads it.
    #[must_use]
    pub fn held(&self) -> Observed {
        self.memory.observed()
    }

    /// How often everything was read back.
    #[must_use]
    pub const fn dumps(&self) -> u64 {
        self.dumps
    }

    /// Writes that were asked for, and how many of them were made to fail.
    #[must_use]
    pub const fn writes(&self) -> (u64, u64) {
        (self.writes, self.failed)
    }

    const fn is_this_one_to_fail(&mut self) -> bool {
        self.writes += 1;
        let Faults::OneIn { many, chance } = &mut self.faults else { return false };
        *chance ^= *chance << 13;
        *chance ^= *chance >> 7;
        *chance ^= *chance << 17;
        let fails = chance.is_multiple_of(*many);
        self.failed += fails as u64;
        fails
    }
}

impl Memory {
    #[must_use]
    pub fn observed(&self) -> Observed {
        let services =
            self.services.iter().map(|(frontend, stored)| (*frontend, self.held(frontend.family(), stored)));
        Observed {
            services: services.collect(),
            names: self.names.iter().map(|(id, key)| (*id, Some(key.clone()))).collect(),
            next_id: self.next_id,
            cells: self.cells.clone(),
        }
    }

    fn held(&self, family: Family, stored: &Stored) -> Held {
        let entries = self.entries.of(family);
        let Stored { inline, count, proof } = stored;
        let from = inline.region as usize;
        let length = count.saturating_sub(INLINE);
        let entries = from.checked_add(length).and_then(|to| entries.get(from..to)).filter(|_| length > 0);
        let owned =
            |(owner, backend): &(Owner, Option<Backend>)| (*owner == inline.owner).then_some(*backend)?;
        let tail: Option<Vec<Backend>> = match entries {
            Some(entries) => entries.iter().map(owned).collect(),
            None => (length == 0).then(Vec::new),
        };
        let proof = if tail.is_some() { *proof } else { Proof::Unproven };
        let backends: Backends = inline.backends.iter().chain(tail.unwrap_or_default()).collect();
        Held { element: Element { backends, ..inline.clone() }, proof }
    }
}

impl Maps for Fake {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        if self.is_this_one_to_fail() {
            let source = io::Error::from_raw_os_error(libc::EIO);
            return Err(WriteError::Syscall { op: Op::Write, map: map_of(op), source });
        }
        self.changes += 1;
        let (memory, most) = (&mut self.memory, self.capacity.frontends as usize);
        let full = || WriteError::Full { map: map_of(op) };
        match op {
            MapOp::NextId(id) => memory.next_id = *id,
            MapOp::Name { id, key } => {
                if memory.names.len() >= most && !memory.names.contains_key(id) {
                    return Err(full());
                }
                memory.names.insert(*id, cut_key(key));
            }
            MapOp::Unname { id } => _ = memory.names.remove(id),
            MapOp::Cell { number, cell } => _ = memory.cells.insert(*number, cell.clone()),
            MapOp::Fill { at, owner, backends } => {
                let Some(first) = backends.first() else { return Ok(()) };
                let (from, entries) = (*at as usize, memory.entries.of_mut(Family::of(first.ip)));
                // An array refuses an index past its end with E2BIG.
                let place = entries.get_mut(from..from + backends.len()).ok_or_else(full)?;
                for (entry, backend) in place.iter_mut().zip(backends) {
                    *entry = (*owner, Some(*backend));
                }
            }
            MapOp::Admit { frontend } => _ = memory.admitted.insert(*frontend),
            MapOp::Put { frontend, element } => {
                if memory.services.len() >= most && !memory.services.contains_key(frontend) {
                    return Err(full());
                }
                if memory.services.len() >= self.elements && !memory.services.contains_key(frontend) {
                    return Err(WriteError::NoMemory { map: map_of(op) });
                }
                let inline = element.backends.iter().take(INLINE).collect();
                let stored = Stored {
                    count: element.backends.len(),
                    inline: Element { backends: inline, ..element.clone() },
                    proof: Proof::Proven,
                };
                memory.services.insert(*frontend, stored);
            }
            MapOp::Remove { frontend } => _ = memory.services.remove(frontend),
        }
        Ok(())
    }

    fn dump(&mut self) -> Result<Observed, ReadError> {
        self.dumps += 1;
        Ok(self.held())
    }

    fn digest(&mut self) -> Result<Digest, ReadError> {
        Ok(Digest(self.changes))
    }

    fn repair(&mut self, observed: &Observed) -> Result<bool, RepairError> {
        let right = observed.services.keys().copied().collect();
        let is_otherwise = self.memory.admitted != right;
        self.changes += u64::from(is_otherwise);
        self.memory.admitted = right;
        Ok(is_otherwise)
    }

    fn distrust_hosts(&mut self) {}

    fn serve_node_ports_at(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), RepairError> {
        self.memory.hosts = addresses.clone();
        Ok(())
    }
}

fn cut_key(key: &ServicePortKey) -> ServicePortKey {
    let service = crate::model::ObjectName::new(cut(&key.service.namespace), cut(&key.service.name));
    ServicePortKey { service, port_name: cut(&key.port_name).into(), ..key.clone() }
}

const fn map_of(op: &MapOp) -> &'static str {
    match op {
        MapOp::NextId(_) => lb_common::layout::CONTROL.pin,
        MapOp::Cell { .. } => lb_common::layout::CELLS.pin,
        MapOp::Name { .. } | MapOp::Unname { .. } => lb_common::layout::NAMES.pin,
        // Which family's does not matter here.
        MapOp::Fill { .. } => lb_common::layout::BACKENDS4.pin,
        MapOp::Admit { .. } => lb_common::layout::BLOOM4.pin,
        MapOp::Put { .. } | MapOp::Remove { .. } => lb_common::layout::SERVICES4.pin,
    }
}
