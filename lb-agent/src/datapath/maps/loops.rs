//! Where the programs count the loop.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::layout::{
    self, CELL_REFUSED, CELL_SELF_TEST, CELL_UNNUMBERED, Connections, Counted, MOST_CELLS,
};

use crate::datapath::codec;
use crate::plan::cells::Cell;
use crate::plan::{ReadError, RepairError, WriteError};

use super::map::Map;
use super::pinned::PinnedMaps;

/// Where the connections of a cell are counted that have no place by their service port.
const fn sum_of(cell: u16) -> Counted {
    Counted { service: 0, cell, zero: 0 }
}

/// The cells that have a number.
pub(super) fn cells(map: &Map<u32, layout::Cell>) -> Result<BTreeMap<u16, Cell>, ReadError> {
    let known =
        |(number, cell): &(u32, layout::Cell)| Some((u16::try_from(*number).ok()?, codec::known_cell(cell)?));
    Ok(map.all()?.iter().filter_map(known).collect())
}

/// How many connections were counted, on all CPUs together.
pub(super) fn counted(map: &Map<Counted, Connections>) -> Result<Vec<(Counted, u64)>, ReadError> {
    map.all_copies(|copies| copies.iter().map(|copy| copy.connections).sum())
}

/// The highest number of a cell that something was counted under; 0 without any.
pub(super) fn highest(maps: &PinnedMaps) -> Result<u16, ReadError> {
    let cells = maps.counted()?.into_iter().map(|(key, _)| key.cell);
    Ok(cells.filter(|cell| u32::from(*cell) < MOST_CELLS).max().unwrap_or_default())
}

/// Makes the places that are there whatever the cells are. Programs only add to them.
pub(super) fn make_places(maps: &PinnedMaps) -> Result<(), WriteError> {
    make_place(maps, CELL_UNNUMBERED)?;
    make_place(maps, CELL_SELF_TEST)?;
    make_place(maps, CELL_REFUSED)
}

/// Says what the number means, and makes its place.
pub(super) fn name(maps: &PinnedMaps, number: u16, cell: &Cell) -> Result<(), WriteError> {
    maps.cells.put(&number.into(), &codec::cell(cell))?;
    make_place(maps, number)
}

/// A full map has no room for it: programs then leave what has no place out of the sum. That keeps no agent from its work.
fn make_place(maps: &PinnedMaps, cell: u16) -> Result<(), WriteError> {
    let key = sum_of(cell);
    // No program makes one of service id 0.
    if maps.counted.has(&key)? {
        return Ok(());
    }
    match maps.counted.put_once(&key, &Connections::default()) {
        Err(WriteError::Full { .. } | WriteError::NoMemory { .. }) => {
            tracing::debug!(cell, "no place for the sum of a cell of the loop");
            Ok(())
        }
        done => done,
    }
}

/// As [`Bpf::sum_up_all_but`](super::bpf::Bpf::sum_up_all_but). No element leads to what is summed up, so that no program
/// counts there; a connection that finds no place in the same moment can be lost from the sum.
pub(super) fn sum_up_all_but(maps: &PinnedMaps, in_use: &BTreeSet<u32>) -> Result<(), RepairError> {
    let counted = maps.counted()?;
    let mut sums: BTreeMap<u16, u64> = BTreeMap::new();
    let mut failed = Ok(());
    for (key, connections) in &counted {
        if key.service != 0 && !in_use.contains(&key.service) {
            if let Err(error) = maps.counted.remove(key) {
                failed = Err(error.into());
                break;
            }
            *sums.entry(key.cell).or_default() += connections;
        }
    }
    // Also after a failure: what was taken away is in no other place.
    for (cell, more) in sums {
        let key = sum_of(cell);
        let now: u64 = counted.iter().filter(|(at, _)| *at == key).map(|(_, connections)| connections).sum();
        if let Err(error) = maps.counted.put_once(&key, &Connections { connections: now + more }) {
            failed = Err(error.into());
        }
    }
    failed
}
