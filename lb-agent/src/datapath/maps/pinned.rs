//! The pinned maps of one layout version, open.

use std::io;
use std::path::{Path, PathBuf};

use lb_common::layout::{
    BACKENDS4, Count, EPOCH, Epoch, Frontend4, LAYOUT_VERSION, MARKS4, Marks, NAMES, OUTCOMES, RegionEntry4,
    SERVICES4, Service4, ServiceName,
};
use lb_common::outcome::{LOOKED_AGAIN, Outcome, REGION_MOVED};

use crate::plan::{Capacity, Observed, ReadError};

use super::map::Map;

/// The folder of the pinned maps below `pin_root`.
#[must_use]
pub fn folder(pin_root: &Path) -> PathBuf {
    pin_root.join(format!("v{LAYOUT_VERSION}"))
}

/// Why the maps in a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There are none, or not all of them.
    #[error("no maps of Edgeloop are pinned in {}", folder.display())]
    Absent { folder: PathBuf },
    /// A map of that name is of another kind or size.
    #[error("the map pinned at {} is not of layout version {LAYOUT_VERSION}", path.display())]
    Foreign { path: PathBuf },
    #[error("could not open the map pinned at {} (it takes root)", path.display())]
    Syscall {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The maps, each checked against the catalogue.
#[derive(Debug)]
pub struct PinnedMaps {
    pub(super) services: Map<Frontend4, Service4>,
    pub(super) backends: Map<u32, RegionEntry4>,
    pub(super) marks: Map<u32, Marks>,
    pub(super) outcomes: Map<u32, Count>,
    pub(super) epoch: Map<u32, Epoch>,
    pub(super) names: Map<u32, ServiceName>,
}

/// How often each way out was taken, over all CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    pub outcomes: Vec<(Outcome, u64)>,
    /// Lookups that met a write and were repeated.
    pub looked_again: u64,
    /// Regions that were used again under their reader: more than 0 is a bug.
    pub regions_moved: u64,
}

impl PinnedMaps {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// When one is missing, is not the catalogue's, or cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let maps = Self {
            services: open(folder, &SERVICES4)?,
            backends: open(folder, &BACKENDS4)?,
            marks: open(folder, &MARKS4)?,
            outcomes: open(folder, &OUTCOMES)?,
            epoch: open(folder, &EPOCH)?,
            names: open(folder, &NAMES)?,
        };
        if maps.names.max_entries() < maps.services.max_entries() {
            return Err(OpenError::Foreign { path: folder.join(NAMES.pin) });
        }
        Ok(maps)
    }

    /// The lowest service id that was never used within this boot, as far as the maps in `folder`
    /// say so: also where they are of no other use.
    #[must_use]
    pub fn next_id(folder: &Path) -> Option<u32> {
        let words: Map<u32, Epoch> = open(folder, &EPOCH).ok()?;
        words.all().ok()?.first().map(|(_, epoch)| epoch.next_id)
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        Capacity { frontends: self.services.max_entries(), backends: self.backends.max_entries() }
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn dump(&self) -> Result<Observed, ReadError> {
        let mut backends: Vec<(u32, RegionEntry4)> = self.backends.all()?;
        backends.sort_unstable_by_key(|(at, _)| *at);
        Ok(Observed {
            services: self.services.all()?.into_iter().collect(),
            backends: backends.into_iter().map(|(_, entry)| entry).collect(),
            names: self.names.all()?.into_iter().collect(),
            epoch: self.epoch.all()?.first().map(|(_, epoch)| *epoch).unwrap_or_default(),
        })
    }

    /// Reads the programs' counters.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self) -> Result<Counters, ReadError> {
        let sum = |slot: u32| -> Result<u64, ReadError> {
            Ok(self.outcomes.per_cpu(&slot)?.iter().map(|count| count.times).sum())
        };
        let outcomes = Outcome::ALL.iter().map(|outcome| Ok((*outcome, sum(*outcome as u32)?)));
        Ok(Counters {
            outcomes: outcomes.collect::<Result<_, ReadError>>()?,
            looked_again: sum(LOOKED_AGAIN)?,
            regions_moved: sum(REGION_MOVED)?,
        })
    }
}

fn open<K: bytemuck::Pod, V: bytemuck::Pod>(
    folder: &Path,
    spec: &'static lb_common::layout::MapSpec,
) -> Result<Map<K, V>, OpenError> {
    let path = folder.join(spec.pin);
    match Map::open(folder, spec) {
        Ok(Some(map)) => Ok(map),
        Ok(None) => Err(OpenError::Foreign { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::Absent { folder: folder.to_owned() })
        }
        Err(source) => Err(OpenError::Syscall { path, source }),
    }
}
