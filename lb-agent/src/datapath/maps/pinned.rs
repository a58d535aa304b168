//! The pinned maps of one layout version, open.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use lb_common::family::{Family as _, V4, V6};
use lb_common::hook::Hook;
use lb_common::layout::{
    self, AFFINITY, AGENT_SOCKETS, Affinity, AgentSocket, BloomWord, CELLS, CONNECTED, CONTROL, Client,
    Connections, Control, EPOCH, Epoch, HOST_ADDRESSES, HostAddress, HostKey, LAYOUT_VERSION, LOOP, MapSpec,
    NAMES, OUTCOMES, Outcomes, PLACES, Place, RECENT, Recent, SKIPPED, ServiceName, SkippedPod, Translation,
};
use lb_common::outcome::{Counter, Event, Outcome};

use crate::datapath::codec::{self, Codec};
use crate::model::{Frontend, PerFamily, ServicePortKey};
use crate::plan::cells::{Cell, Counted};
use crate::plan::takeover::GenerationName;
use crate::plan::{Capacity, Held, Observed, ReadError};

use super::loops::{self, Given};
use super::map::{self, Map};

/// The folder of the pinned maps below `pin_root`.
#[must_use]
pub fn folder(pin_root: &Path) -> PathBuf {
    pin_root.join(format!("v{LAYOUT_VERSION}"))
}

/// The folder of a generation below `pin_root`.
#[must_use]
pub fn folder_of(pin_root: &Path, name: GenerationName) -> PathBuf {
    pin_root.join(name.to_string())
}

/// Every folder of maps, of whatever layout version, those of this version first.
///
/// # Errors
/// When the pin root cannot be read; a missing one is no error.
pub fn generations(pin_root: &Path) -> io::Result<Vec<GenerationName>> {
    let entries = match fs::read_dir(pin_root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().and_then(|name| GenerationName::parse(&name));
        names.extend(name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())));
    }
    names.sort_by_key(|name| (name.version != LAYOUT_VERSION, Reverse(name.version), name.place));
    Ok(names)
}

/// Why the maps in a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// All or some are missing.
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
    pub(super) v4: FamilyMaps<V4>,
    pub(super) v6: FamilyMaps<V6>,
    pub(super) outcomes: Map<u32, Outcomes>,
    pub(super) epoch: Map<u32, Epoch>,
    pub(super) control: Map<u32, Control>,
    pub(super) names: Map<u32, ServiceName>,
    pub(super) hosts: Map<HostKey, HostAddress>,
    pub(super) affinity: Map<Client, Affinity>,
    /// Held so that they are checked like the others. The dialer opens its own.
    _agent_sockets: Map<u32, AgentSocket>,
    _connected: Map<u32, Translation>,
    _recent: Map<u32, Recent>,
    pub(super) skipped: Map<u64, SkippedPod>,
    pub(super) cells: Map<u32, layout::Cell>,
    pub(super) places: Map<u32, Place>,
    connections: Map<u32, Connections>,
}

/// The maps of one IP family.
#[derive(Debug)]
pub(super) struct FamilyMaps<F: Codec> {
    pub(super) services: Map<F::Frontend, F::Service>,
    pub(super) backends: Map<u32, F::RegionEntry>,
    pub(super) bloom: Map<u32, BloomWord>,
}

impl<F: Codec> FamilyMaps<F> {
    fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            services: open(folder, &F::SERVICES)?,
            backends: open(folder, &F::BACKENDS)?,
            bloom: open(folder, &F::BLOOM)?,
        })
    }

    fn digest(&self, hasher: &mut impl Hasher) -> Result<(), ReadError> {
        let mut end = 0;
        self.services.digest(u32::MAX, hasher, |service| end = end.max(codec::region_end::<F>(service)))?;
        self.backends.digest(end, hasher, |_| {})?;
        self.bloom.digest(u32::MAX, hasher, |_| {})
    }
}

/// What the programs counted, over all CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// How often each outcome was reached, over all hooks.
    pub outcomes: Vec<(Outcome, u64)>,
    /// How often each event happened.
    pub events: Vec<(Event, u64)>,
}

impl Counters {
    pub(super) fn sum(copies: &[Outcomes]) -> Self {
        let total = |counter: Counter| copies.iter().map(|copy| counter.read(copy)).sum::<u64>();
        let of_outcome =
            |outcome| Hook::ALL.iter().map(|hook| total(Counter::Run(*hook, outcome))).sum::<u64>();
        Self {
            outcomes: Outcome::ALL.map(|outcome| (outcome, of_outcome(outcome))).into(),
            events: Event::ALL.map(|event| (event, total(Counter::Event(event)))).into(),
        }
    }

    /// How often `wanted` happened.
    #[must_use]
    pub fn event(&self, wanted: Event) -> u64 {
        self.events.iter().filter(|(event, _)| *event == wanted).map(|(_, times)| times).sum()
    }
}

impl PinnedMaps {
    /// Opens the maps in `folder`.
    ///
    /// # Errors
    /// When one is missing, is not the catalogue's, or cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let maps = Self {
            v4: FamilyMaps::open(folder)?,
            v6: FamilyMaps::open(folder)?,
            outcomes: open(folder, &OUTCOMES)?,
            epoch: open(folder, &EPOCH)?,
            control: open(folder, &CONTROL)?,
            names: open(folder, &NAMES)?,
            hosts: open(folder, &HOST_ADDRESSES)?,
            affinity: open(folder, &AFFINITY)?,
            _agent_sockets: open(folder, &AGENT_SOCKETS)?,
            _connected: open(folder, &CONNECTED)?,
            _recent: open(folder, &RECENT)?,
            skipped: open(folder, &SKIPPED)?,
            cells: open(folder, &CELLS)?,
            places: open(folder, &PLACES)?,
            connections: open(folder, &LOOP)?,
        };
        let room = maps.v4.services.max_entries();
        if maps.names.max_entries() < room {
            return Err(OpenError::Foreign { path: folder.join(NAMES.pin) });
        }
        if maps.v6.services.max_entries() < room {
            return Err(OpenError::Foreign { path: folder.join(V6::SERVICES.pin) });
        }
        Ok(maps)
    }

    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        Capacity {
            frontends: self.v4.services.max_entries(),
            backends: PerFamily { v4: self.v4.backends.max_entries(), v6: self.v6.backends.max_entries() },
        }
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn dump(&self) -> Result<Observed, ReadError> {
        let next_id = self.control.first()?.next_service_id;
        let places = self.places()?;
        let mut services = held::<V4>(&self.v4.services, &self.v4.backends, &places)?;
        services.extend(held::<V6>(&self.v6.services, &self.v6.backends, &places)?);
        Ok(Observed { cells: self.cells()?, ..observed(services, &self.names, next_id)? })
    }

    /// Puts into `hasher` what [`Self::dump`] reads, and the Bloom filters.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) -> Result<(), ReadError> {
        self.v4.digest(hasher)?;
        self.v6.digest(hasher)?;
        self.names.digest(u32::MAX, hasher, |_| {})?;
        self.cells.digest(u32::MAX, hasher, |_| {})?;
        self.places.digest(u32::MAX, hasher, |_| {})
    }

    /// How many clients of Services with session affinity are remembered.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn clients(&self) -> Result<usize, ReadError> {
        Ok(self.affinity.all()?.len())
    }

    /// How many pods the programs leave alone.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn skipped_pods(&self) -> Result<usize, ReadError> {
        Ok(self.skipped.all()?.len())
    }

    /// What service ids mean, as far as the names can be read.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn keys(&self) -> Result<BTreeMap<u32, ServicePortKey>, ReadError> {
        let names = self.names.all()?;
        Ok(names.iter().filter_map(|(id, name)| Some((*id, codec::key(name)?))).collect())
    }

    /// The cells of the loop that have a number.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn cells(&self) -> Result<BTreeMap<u16, Cell>, ReadError> {
        loops::cells(&self.cells)
    }

    /// The cell that is counted at each place.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn cells_of_places(&self) -> Result<BTreeMap<u16, Cell>, ReadError> {
        let mut cells = self.cells()?;
        let known = |(number, place): (u16, Place)| Some((number, cells.get(&place.cell)?.clone()));
        let of_places: Vec<_> = self.places()?.iter().filter_map(known).collect();
        cells.extend(of_places);
        Ok(cells)
    }

    /// How many connections were counted, by service port and cell.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counted(&self) -> Result<Vec<(Counted, u64)>, ReadError> {
        loops::counted(&self.places, &self.connections)
    }

    /// What each place counts.
    pub(super) fn places(&self) -> Result<Given, ReadError> {
        loops::places(&self.places)
    }

    /// What the counter of each place shows.
    pub(super) fn counters_of_places(&self) -> Result<Vec<u64>, ReadError> {
        loops::counters(&self.connections)
    }

    /// Reads the programs' counters.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self) -> Result<Counters, ReadError> {
        Ok(Counters::sum(&self.outcomes.per_cpu(&0)?))
    }
}

/// The elements of one IP family, with the backends in their regions.
fn held<F: Codec>(
    services: &Map<F::Frontend, F::Service>,
    backends: &Map<u32, F::RegionEntry>,
    places: &Given,
) -> Result<BTreeMap<Frontend, Held>, ReadError> {
    let services = services.all()?;
    // Past the last region that is in use there is nothing to read, and mostly no region is.
    let end = services.iter().map(|(_, service)| codec::region_end::<F>(service)).max().unwrap_or_default();
    let region: Vec<F::RegionEntry> =
        backends.first_elements(end)?.into_iter().map(|(_, entry)| entry).collect();
    let services = services.into_iter().filter_map(|(key, service)| {
        // A key that no agent writes is not one that a program asks for.
        let cell_of = |id, place| loops::cell(places, id, place);
        Some((F::dialled(&key)?, codec::held::<F>(&key, &service, &region, cell_of)))
    });
    Ok(services.collect())
}

fn observed(
    services: BTreeMap<Frontend, Held>,
    names: &Map<u32, ServiceName>,
    next_id: u32,
) -> Result<Observed, ReadError> {
    let names = names.all()?.into_iter().map(|(id, name)| (id, codec::key(&name)));
    Ok(Observed { services, names: names.collect(), next_id, ..Observed::default() })
}

/// What a generation of any layout version holds, as far as its maps are as ours are. `next_id` is
/// what its own maps say. `None` where a map is missing or another one.
#[must_use]
pub fn inheritance(folder: &Path) -> Option<Observed> {
    let names = open(folder, &NAMES).ok()?;
    let mut services = inherited::<V4>(folder)?;
    // Layout versions before 4 have no maps of IPv6.
    services.extend(inherited::<V6>(folder).unwrap_or_default());
    observed(services, &names, promised_id(folder).unwrap_or(0)).ok()
}

fn inherited<F: Codec>(folder: &Path) -> Option<BTreeMap<Frontend, Held>> {
    // Layout versions before 7 have no places: where their backends counted is of no use here.
    let places = loops::places_or_none(open(folder, &PLACES).ok().as_ref());
    held::<F>(&open(folder, &F::SERVICES).ok()?, &open(folder, &F::BACKENDS).ok()?, &places).ok()
}

/// The lowest service id that was never used within this boot, as far as the maps in `folder` say so:
/// also where they are of no other use, or of another layout version. From layout version 2 on it is
/// the first word of `control`, whatever else that holds; in version 1 the second word of `epoch`.
fn promised_id(folder: &Path) -> Option<u32> {
    let word = |pin: &str, index: usize| map::first_words(&folder.join(pin)).ok()?.get(index).copied();
    word(CONTROL.pin, 0).max(word(EPOCH.pin, 1)).filter(|id| *id > 0)
}

/// The lowest service id that the maps in `folder` do not know as used.
#[must_use]
pub fn unused_id(folder: &Path) -> Option<u32> {
    let proven = inheritance(folder).map(|held| Observed { next_id: 0, ..held }.first_unused_id());
    proven.max(promised_id(folder))
}

/// The map that `folder` has by this name.
pub(in crate::datapath) fn open<K: bytemuck::Pod, V: bytemuck::Pod>(
    folder: &Path,
    spec: &'static MapSpec,
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
