//! The maps in memory, with planted faults. What it knows of the real ones, `tests/kernel_maps.rs` shows.

use std::io;

use lb_common::layout::RegionEntry4;

use crate::plan::{Capacity, MapOp, Observed};

use super::{Maps, Op, ReadError, WriteError};

/// Maps in memory.
#[derive(Debug)]
pub struct Fake {
    held: Observed,
    capacity: Capacity,
    /// One write in so many fails with EIO; 0 is none.
    fail_one_in: u64,
    /// State of the generator that chooses which: xorshift, so that a run can be repeated.
    chance: u64,
    writes: u64,
    failed: u64,
}

impl Fake {
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        let backends = vec![RegionEntry4::default(); capacity.backends as usize];
        let held = Observed { backends, ..Observed::default() };
        Self { held, capacity, fail_one_in: 0, chance: 0, writes: 0, failed: 0 }
    }

    /// Lets one write in `one_in` fail, the same ones for the same `seed`.
    #[must_use]
    pub fn with_faults(mut self, one_in: u64, seed: u64) -> Self {
        self.fail_one_in = one_in;
        self.chance = seed | 1;
        self
    }

    /// What the maps hold.
    #[must_use]
    pub const fn held(&self) -> &Observed {
        &self.held
    }

    /// For tests that play someone else who writes into the maps.
    pub const fn held_mut(&mut self) -> &mut Observed {
        &mut self.held
    }

    /// Writes that were asked for, and how many of them were made to fail.
    #[must_use]
    pub const fn writes(&self) -> (u64, u64) {
        (self.writes, self.failed)
    }

    fn is_this_one_to_fail(&mut self) -> bool {
        self.writes += 1;
        if self.fail_one_in == 0 {
            return false;
        }
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let fails = self.chance.is_multiple_of(self.fail_one_in);
        self.failed += u64::from(fails);
        fails
    }
}

impl Maps for Fake {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        if self.is_this_one_to_fail() {
            let source = io::Error::from_raw_os_error(libc::EIO);
            return Err(WriteError::Syscall { op: Op::Write, map: map_of(op), source });
        }
        match op {
            MapOp::NextId(id) => self.held.next_id = *id,
            MapOp::Name { id, name } => {
                let room = self.held.names.len() < self.capacity.frontends as usize;
                if !room && !self.held.names.contains_key(id) {
                    return Err(WriteError::Full { map: map_of(op) });
                }
                self.held.names.insert(*id, *name);
            }
            MapOp::Unname { id } => _ = self.held.names.remove(id),
            MapOp::Fill { at, entries } => {
                let from = *at as usize;
                let place = self.held.backends.get_mut(from..from + entries.len());
                // An array refuses an index past its end with E2BIG.
                place.ok_or(WriteError::Full { map: map_of(op) })?.copy_from_slice(entries);
            }
            MapOp::Put { frontend, service } => {
                let room = self.held.services.len() < self.capacity.frontends as usize;
                if !room && !self.held.services.contains_key(frontend) {
                    return Err(WriteError::Full { map: map_of(op) });
                }
                self.held.services.insert(*frontend, *service);
            }
            MapOp::Remove { frontend } => _ = self.held.services.remove(frontend),
        }
        Ok(())
    }

    fn dump(&mut self) -> Result<Observed, ReadError> {
        Ok(self.held.clone())
    }
}

const fn map_of(op: &MapOp) -> &'static str {
    match op {
        MapOp::NextId(_) => lb_common::layout::CONTROL.pin,
        MapOp::Name { .. } | MapOp::Unname { .. } => lb_common::layout::NAMES.pin,
        MapOp::Fill { .. } => lb_common::layout::BACKENDS4.pin,
        MapOp::Put { .. } | MapOp::Remove { .. } => lb_common::layout::SERVICES4.pin,
    }
}
