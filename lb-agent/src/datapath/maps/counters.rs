//! The programs' counters, read without the other maps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lb_common::layout::{self, CELLS, Connections, LOOP, OUTCOMES, Outcomes, PLACES, Place};

use crate::plan::cells::{Cell, Counted};

use super::loops;
use super::map::Map;
use super::pinned::{Counters, folder};

/// What the numbers of cells mean, and how many connections were counted, by service port and cell.
pub type LoopCounts = (BTreeMap<u16, Cell>, Vec<(Counted, u64)>);

/// Reads the counters of the pinned maps, whichever are in use.
#[derive(Debug)]
pub struct CounterReader {
    pin_root: PathBuf,
    folder: PathBuf,
    /// The map that was read last: its name is gone for a moment while other maps take its place.
    last: Mutex<Option<Map<u32, Outcomes>>>,
}

impl CounterReader {
    #[must_use]
    pub fn new(pin_root: &Path) -> Self {
        Self { pin_root: pin_root.to_owned(), folder: folder(pin_root), last: Mutex::default() }
    }

    /// Where the maps are pinned.
    #[must_use]
    pub fn pin_root(&self) -> &Path {
        &self.pin_root
    }

    /// The counters now; `None` where nothing counts yet, or they cannot be read. It takes five
    /// system calls.
    #[must_use]
    pub fn read(&self) -> Option<Counters> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(map)) = Map::open(&self.folder, &OUTCOMES) {
            *last = Some(map);
        }
        Some(Counters::sum(&last.as_ref()?.per_cpu(&0).ok()?))
    }

    /// What was counted of the loop until now; `None` where there is nothing yet, or it cannot be read.
    #[must_use]
    pub fn read_loop(&self) -> Option<LoopCounts> {
        let cells: Map<u32, layout::Cell> = Map::open(&self.folder, &CELLS).ok()??;
        let places: Map<u32, Place> = Map::open(&self.folder, &PLACES).ok()??;
        let counters: Map<u32, Connections> = Map::open(&self.folder, &LOOP).ok()??;
        Some((loops::cells(&cells).ok()?, loops::counted(&places, &counters).ok()?))
    }
}
