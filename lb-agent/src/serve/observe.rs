//! What the kernel holds right now, read by the pins alone.

use std::path::Path;

use lb_common::layout::LAYOUT_VERSION;
use lb_common::outcome::Event;

use crate::datapath::cgroup::Cgroup;
use crate::datapath::lock;
use crate::datapath::maps::pinned::{OpenError, PinnedMaps, folder};
use crate::datapath::programs::attach::attached;
use crate::plan::ReadError;
use crate::view::kernel::{FillView, HookView, KernelView, OutcomeView, in_regions, services};

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Reads everything that is pinned below `pin_root`.
///
/// # Errors
/// When nothing is pinned there, or it cannot be read.
pub fn observe(pin_root: &Path, cgroup: Option<&Cgroup>) -> Result<KernelView, ObserveError> {
    let maps = PinnedMaps::open(&folder(pin_root))?;
    let observed = maps.dump()?;
    let counters = maps.counters()?;
    let capacity = maps.capacity();
    let in_regions = in_regions(&observed);
    let fill = |map: &str, used: u64, max_entries: u32| FillView {
        map: map.to_owned(),
        used,
        max_entries: max_entries.into(),
    };
    let maps = vec![
        fill("services4", observed.services.len() as u64, capacity.frontends),
        fill("backends4", in_regions, capacity.backends),
        fill("names", observed.names.len() as u64, capacity.frontends),
    ];
    let outcomes = counters
        .outcomes
        .iter()
        .map(|(outcome, times)| OutcomeView { outcome: outcome.label().to_owned(), times: *times });
    Ok(KernelView {
        pin_root: pin_root.display().to_string(),
        layout: LAYOUT_VERSION,
        held_by: lock::holder(pin_root).map(|holder| holder.to_string()),
        hooks: hooks(pin_root, cgroup),
        services: services(&observed),
        outcomes: outcomes.collect(),
        lookup_retries: counters.event(Event::LookupRetry),
        stale_region_reads: counters.event(Event::StaleRegionRead),
        maps,
    })
}

fn hooks(pin_root: &Path, cgroup: Option<&Cgroup>) -> Vec<HookView> {
    let attached = attached(pin_root, cgroup).into_iter();
    attached
        .map(|hook| HookView {
            hook: hook.hook.to_owned(),
            program_id: hook.program_id,
            cgroup_id: hook.cgroup_id,
            before: hook.before,
        })
        .collect()
}
