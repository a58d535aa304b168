//! Where the programs count the loop.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::layout::{CELL_REFUSED, CELL_UNNUMBERED, Connections, Counted, LOOP};

use crate::datapath::codec;
use crate::plan::cells::Cell;
use crate::plan::{Op, ReadError, RepairError, WriteError};

use super::pinned::PinnedMaps;

/// Where the connections of a cell are counted that have no place by their service port.
const fn sum_of(cell: u16) -> Counted {
    Counted { service: 0, cell, zero: 0 }
}

/// Makes the places that are there whatever the cells are. Programs only add to them.
pub(super) fn make_places(maps: &PinnedMaps) -> Result<(), WriteError> {
    make_place(maps, CELL_UNNUMBERED)?;
    make_place(maps, CELL_REFUSED)
}

/// Says what the number means, and makes its place.
pub(super) fn name(maps: &PinnedMaps, number: u16, cell: &Cell) -> Result<(), WriteError> {
    maps.cells.put(&number.into(), &codec::cell(cell))?;
    make_place(maps, number)
}

fn make_place(maps: &PinnedMaps, cell: u16) -> Result<(), WriteError> {
    let key = sum_of(cell);
    match maps.counted.get(&key) {
        Ok(Some(_)) => Ok(()),
        // No program makes one of service id 0.
        Ok(None) => maps.counted.put(&key, &Connections::default()),
        Err(source) => Err(WriteError::Syscall { op: Op::Read, map: LOOP.pin, source }),
    }
}

/// As [`Bpf::sum_up_all_but`](super::bpf::Bpf::sum_up_all_but). No element leads to what is summed up, so that no program
/// counts there; a connection that finds no place in the same moment can be lost from the sum.
pub(super) fn sum_up_all_but(maps: &PinnedMaps, in_use: &BTreeSet<u32>) -> Result<(), RepairError> {
    let counted = maps.counted()?;
    let mut sums: BTreeMap<u16, u64> = BTreeMap::new();
    for (key, connections) in &counted {
        if key.service != 0 && !in_use.contains(&key.service) {
            *sums.entry(key.cell).or_default() += connections;
            maps.counted.remove(key)?;
        }
    }
    for (cell, more) in sums {
        let key = sum_of(cell);
        let now = maps.counted.get(&key).map_err(|source| ReadError { map: LOOP.pin, source })?;
        let connections = now.unwrap_or_default().connections + more;
        maps.counted.put(&key, &Connections { connections })?;
    }
    Ok(())
}
