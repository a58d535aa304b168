//! What the kernel holds right now, read by the pins alone.

use std::path::Path;
use std::time::Duration;

use lb_common::layout::{
    AFFINITIES, AFFINITY, BACKENDS4, BACKENDS6, LAYOUT_VERSION, MapSpec, NAMES, SERVICES4, SERVICES6,
};
use lb_common::outcome::Event;

use crate::datapath::cgroup::Cgroup;
use crate::datapath::generation::find;
use crate::datapath::lock;
use crate::datapath::maps::pinned::{OpenError, PinnedMaps, folder, folder_of};
use crate::datapath::programs::attach::attached;
use crate::model::Family;
use crate::plan::ReadError;
use crate::plan::takeover::Takeover;
use crate::view::kernel::{FillView, HookView, KernelView, OutcomeView, held, in_regions, services};
use crate::view::loops::Counts;

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Reads everything of the generation that is in use below `pin_root`. Where that is one whose maps
/// this version cannot read, what is attached is shown all the same.
///
/// # Errors
/// When nothing is pinned there and nothing attached, or it cannot be read.
pub fn observe(pin_root: &Path, cgroup: Option<&Cgroup>) -> Result<KernelView, ObserveError> {
    patiently(|| look(pin_root, cgroup))
}

/// How many connections were counted, by the maps of the generation that is in use below `pin_root`.
///
/// # Errors
/// When there is no generation of this version in use, or it cannot be read.
pub fn count(pin_root: &Path) -> Result<Counts, ObserveError> {
    patiently(|| count_once(pin_root))
}

fn count_once(pin_root: &Path) -> Result<Counts, ObserveError> {
    let folder = match find(pin_root)?.takeover() {
        Takeover::Adopt(name) | Takeover::Finish(name) => folder_of(pin_root, name),
        Takeover::Make | Takeover::Replace(_) => folder(pin_root),
    };
    let maps = PinnedMaps::open(&folder)?;
    Ok(Counts { cells: maps.cells()?, counted: maps.counted()?, names: maps.keys()? })
}

/// An agent may give generations other names while they are looked at, or remove them.
const TRIES: u32 = 5;
const WAIT: Duration = Duration::from_millis(5);

/// Looks again where nothing is there.
fn patiently<T>(look: impl Fn() -> Result<T, ObserveError>) -> Result<T, ObserveError> {
    for _ in 0..TRIES {
        match look() {
            Err(ObserveError::Open(OpenError::Absent { .. })) => std::thread::sleep(WAIT),
            done => return done,
        }
    }
    look()
}

fn look(pin_root: &Path, cgroup: Option<&Cgroup>) -> Result<KernelView, ObserveError> {
    let takeover = find(pin_root)?.takeover();
    let view = KernelView {
        pin_root: pin_root.display().to_string(),
        layout: takeover.in_use().map_or(LAYOUT_VERSION, |name| name.version),
        held_by: lock::holder(pin_root).map(|holder| holder.to_string()),
        hooks: hooks(pin_root, cgroup),
        ..KernelView::default()
    };
    match takeover {
        Takeover::Make => Err(OpenError::Absent { folder: folder(pin_root) }.into()),
        Takeover::Adopt(name) | Takeover::Finish(name) => with_maps(view, &folder_of(pin_root, name)),
        Takeover::Replace(name) => {
            let place = name.map_or_else(|| "no folder".to_owned(), |name| name.to_string());
            let unreadable = format!(
                "programs run over maps (pinned in {place}) that this version, of layout {LAYOUT_VERSION}, cannot read"
            );
            Ok(KernelView { unreadable: Some(unreadable), ..view })
        }
    }
}

fn with_maps(view: KernelView, folder: &Path) -> Result<KernelView, ObserveError> {
    let maps = PinnedMaps::open(folder)?;
    let observed = maps.dump()?;
    let counters = maps.counters()?;
    let capacity = maps.capacity();
    let age = maps.staleness()?.map(Into::into);
    let fill = |map: MapSpec, used: u64, max_entries: u32| FillView {
        map: map.pin.to_owned(),
        used,
        max_entries: max_entries.into(),
    };
    let maps = vec![
        fill(SERVICES4, held(&observed, Family::V4).count() as u64, capacity.frontends),
        fill(SERVICES6, held(&observed, Family::V6).count() as u64, capacity.frontends),
        fill(BACKENDS4, in_regions(&observed, Family::V4), capacity.backends.v4),
        fill(BACKENDS6, in_regions(&observed, Family::V6), capacity.backends.v6),
        fill(AFFINITY, maps.clients()? as u64, AFFINITIES),
        fill(NAMES, observed.names.len() as u64, capacity.frontends),
    ];
    let outcomes = counters
        .outcomes
        .iter()
        .map(|(outcome, times)| OutcomeView { outcome: outcome.label().to_owned(), times: *times });
    Ok(KernelView {
        services: services(&observed),
        outcomes: outcomes.collect(),
        lookup_retries: counters.event(Event::LookupRetry),
        stale_region_reads: counters.event(Event::StaleRegionRead),
        maps,
        age,
        ..view
    })
}

fn hooks(pin_root: &Path, cgroup: Option<&Cgroup>) -> Vec<HookView> {
    let attached = attached(pin_root, cgroup).into_iter();
    attached
        .map(|hook| HookView {
            hook: hook.hook.to_owned(),
            program_id: hook.program_id,
            cgroup_id: hook.cgroup_id,
            before_names: hook.before.iter().flatten().map(ToString::to_string).collect(),
            before: hook.before.map(|all| all.iter().map(|program| program.id).collect()),
        })
        .collect()
}
