//! The kernel's maps and programs: which are in use, and whether they are attached.

mod change_over;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_common::hook::Hook;

use crate::datapath::maps::bpf::Bpf;
use crate::datapath::memory::{Demand, megabytes};
use crate::datapath::probe::program;
use crate::datapath::takeover::{Datapath, Generation, Opened, TakeoverError, Trouble};
use crate::model::{First, Staleness};
use crate::plan::cells::Cells;
use crate::plan::takeover::{GenerationName, Takeover};
use crate::plan::{Capacity, Mirror, Sizes, need, wanted};
use crate::shown::chain;
use crate::store::Store;
use crate::view::published::{BeforeOurs, Standing};

use super::reconcile::Reconciler;
pub(super) use change_over::ChangeOver;

/// A generation of maps with what is known to be in them.
#[derive(Debug)]
struct MapSet {
    generation: Generation,
    kernel: Reconciler<Bpf>,
}

impl MapSet {
    fn new(opened: Opened) -> Box<Self> {
        let Opened { generation, maps, mirror } = opened;
        Box::new(Self { generation, kernel: Reconciler::new(maps, mirror) })
    }

    /// How many addresses lack room.
    fn lacking_room(&self) -> usize {
        self.kernel.mirror.shortages().lacking_room()
    }
}

/// What is in use.
#[derive(Debug)]
enum Kernel {
    /// Nothing yet: before the first sync, since sizes and contents go by what the source has.
    Closed,
    /// Programs over maps that this version cannot write. They go on until everything is known
    /// that they may serve.
    Waiting {
        of: Option<GenerationName>,
    },
    Serving(Box<MapSet>),
    /// Filling `to`, or moving the links to it. Nothing is written to `from` meanwhile.
    ChangingOver {
        from: InUse,
        to: Box<MapSet>,
    },
}

/// What is in use while another generation is filled.
#[derive(Debug)]
enum InUse {
    Ours(Box<MapSet>),
    Others(Option<GenerationName>),
}

/// Whether the programs run over the maps in use, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Links {
    /// To be attached.
    Due,
    /// Attached, but pins have yet to take their places, or others to go; with what went wrong.
    Unsettled {
        why: Option<String>,
    },
    Attached,
    /// Something happened to them that could not be repaired: what, and why not.
    Damaged {
        trouble: Vec<Trouble>,
        why: String,
    },
}

/// Whether the maps are of the right size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sizing {
    /// Maps of an earlier start, not yet held against what is needed now.
    Unchecked,
    /// How many addresses lacked room when larger maps were last considered.
    Considered { starved: usize },
}

/// The generation in use, and what is still to be done with it.
#[derive(Debug)]
pub(super) struct Lifecycle {
    datapath: Datapath,
    sizes: Sizes,
    kernel: Kernel,
    links: Links,
    sizing: Sizing,
    /// When a change-over that failed is tried again, and how long that wait is in all.
    retry: Option<(Instant, Duration)>,
    /// Why the last change-over failed, while it is to be tried again.
    refused: Option<String>,
    /// The programs of others that run before ours.
    before_ours: Arc<[BeforeOurs]>,
    /// How often what another process did to pins or links was repaired.
    repairs: u64,
}

impl Lifecycle {
    pub(super) fn new(datapath: Datapath, sizes: Sizes) -> Self {
        let (kernel, links, sizing) = (Kernel::Closed, Links::Due, Sizing::Unchecked);
        let (retry, refused, before_ours, repairs) = (None, None, Arc::default(), 0);
        Self { datapath, sizes, kernel, links, sizing, retry, refused, before_ours, repairs }
    }

    const fn set(&self) -> Option<&MapSet> {
        match &self.kernel {
            Kernel::Closed | Kernel::Waiting { .. } => None,
            Kernel::Serving(set) | Kernel::ChangingOver { from: InUse::Ours(set), .. } => Some(set),
            Kernel::ChangingOver { from: InUse::Others(_), .. } => None,
        }
    }

    /// The maps in use.
    pub(super) const fn kernel(&mut self) -> Option<&mut Reconciler<Bpf>> {
        match &mut self.kernel {
            Kernel::Closed | Kernel::Waiting { .. } => None,
            Kernel::Serving(set) | Kernel::ChangingOver { from: InUse::Ours(set), .. } => {
                Some(&mut set.kernel)
            }
            Kernel::ChangingOver { from: InUse::Others(_), .. } => None,
        }
    }

    pub(super) fn mirror(&self) -> Option<&Mirror> {
        self.set().map(|set| &set.kernel.mirror)
    }

    pub(super) const fn is_attached(&self) -> bool {
        matches!(self.links, Links::Attached | Links::Unsettled { .. })
    }

    /// Whether our programs run, and first where that is asked for.
    pub(super) fn standing(&self, first: First) -> Standing {
        match first {
            _ if !self.is_attached() => Standing::Detached,
            First::Required if !self.before_ours.is_empty() => Standing::NotFirst,
            First::Required | First::Wanted => Standing::Attached,
        }
    }

    pub(super) const fn before_ours(&self) -> &Arc<[BeforeOurs]> {
        &self.before_ours
    }

    pub(super) const fn repairs(&self) -> u64 {
        self.repairs
    }

    /// What is not as it should be, or what is waited for.
    pub(super) fn attention(&self) -> Option<String> {
        let refused = self.refused.as_ref();
        let refused =
            refused.map(|why| format!("could not change over to other maps; those in use go on: {why}"));
        let all: Vec<String> = [self.of_links(), refused, self.of_memory()].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn of_memory(&self) -> Option<String> {
        let kernel = &self.set()?.kernel;
        let mirror = &kernel.mirror;
        if !mirror.is_short_of_memory() {
            return None;
        }
        let (lacking, full) = (mirror.shortages().lacking_room(), Demand::of(mirror.capacity()).full);
        let left = kernel.maps.memory_left().map(|left| format!(", and {left}")).unwrap_or_default();
        Some(format!(
            "no memory for more elements of the maps: {lacking} addresses are not served as they should be; maps of this \
             size take {} when they are full{left}: raise the memory limit of the agent",
            megabytes(full)
        ))
    }

    fn of_links(&self) -> Option<String> {
        if let Kernel::Waiting { of } = &self.kernel {
            let of = of.map_or_else(|| "no folder".to_owned(), |name| name.to_string());
            return Some(format!(
                "programs over maps of another version (pinned in {of}) go on serving until everything is known"
            ));
        }
        match &self.links {
            Links::Due | Links::Attached => None,
            Links::Unsettled { why } => why.clone(),
            Links::Damaged { why, .. } => Some(why.clone()),
        }
    }

    /// How old what the maps hold is.
    pub(super) fn staleness(&self) -> Option<Staleness> {
        self.set().and_then(|set| set.kernel.maps.staleness())
    }

    /// How connections are refused; `None` before the programs are loaded.
    pub(super) fn refuses_by(&self) -> Option<&'static str> {
        let by = |can_set_errno| if can_set_errno { "bpf_set_retval" } else { "loopback port 0" };
        self.set().map(|set| by(set.generation.can_set_errno()))
    }

    /// Opens the maps, unless they are open: goes on with those of an earlier start, or makes them.
    /// What of another version is in use is only looked at.
    ///
    /// # Errors
    /// When maps or programs cannot be brought up.
    pub(super) fn open(&mut self, store: &mut Store) -> Result<(), TakeoverError> {
        if !matches!(self.kernel, Kernel::Closed) {
            return Ok(());
        }
        let (opened, sizing) = match self.datapath.find()?.takeover() {
            Takeover::Adopt(name) | Takeover::Finish(name) => (self.datapath.adopt(name)?, Sizing::Unchecked),
            Takeover::Make => {
                let mut opened = self.datapath.make(self.sizes.fresh(room(store)), None)?;
                // Nothing is in use, so that there is nothing to change over from.
                self.datapath.take_name(&mut opened.generation)?;
                (opened, Sizing::Considered { starved: 0 })
            }
            Takeover::Replace(of) => {
                let of_what =
                    of.map_or_else(|| "maps that are not pinned".to_owned(), |name| name.to_string());
                tracing::info!(generation = of_what, "programs over maps of another make are in use");
                self.kernel = Kernel::Waiting { of };
                return Ok(());
            }
        };
        let set = MapSet::new(opened);
        let capacity = set.kernel.mirror.capacity();
        tracing::info!(
            services = capacity.frontends,
            backends4 = capacity.backends.v4,
            backends6 = capacity.backends.v6,
            held = set.kernel.mirror.entries().count(),
            "maps are open"
        );
        set.kernel.start(store);
        (self.kernel, self.sizing) = (Kernel::Serving(set), sizing);
        Ok(())
    }

    /// Whether programs of an earlier start run: what they serve is newer than what was saved.
    ///
    /// # Errors
    /// When the pins cannot be looked at.
    pub(super) fn serves_already(&self) -> Result<bool, TakeoverError> {
        Ok(self.datapath.find()?.links > 0)
    }

    /// Another store decides from now on: all that the maps in use hold is held against it, and so is their size.
    pub(super) fn start_again(&mut self, store: &mut Store) {
        if let Kernel::Serving(set) = &self.kernel {
            set.kernel.start(store);
        }
        self.sizing = Sizing::Unchecked;
    }

    /// Attaches the programs, unless they are attached, and brings pins into their places.
    ///
    /// # Errors
    /// When the kernel refuses a program at its hook.
    pub(super) fn attach(&mut self) -> Result<(), TakeoverError> {
        let Kernel::Serving(set) = &mut self.kernel else { return Ok(()) };
        if self.links == Links::Due {
            self.datapath.attach(&set.generation)?;
            self.links = Links::Unsettled { why: None };
            let cgroup = self.datapath.cgroup();
            tracing::info!(cgroup = %cgroup.path.display(), "attached");
            self.note_who_is_first(self.datapath.before_ours());
        }
        self.settle();
        Ok(())
    }

    /// Says so when others come before ours, or go. Nothing is done about those that come later: two agents that both
    /// want to be first would never end.
    fn note_who_is_first(&mut self, now: Vec<(Hook, Vec<u32>)>) {
        let is_known =
            |known: &BeforeOurs, (hook, ids): &(Hook, Vec<u32>)| known.hook == *hook && known.ids == *ids;
        let before = &self.before_ours;
        if before.len() == now.len() && before.iter().zip(&now).all(|(known, found)| is_known(known, found)) {
            return;
        }
        let named = now.into_iter().map(|(hook, ids)| {
            let programs = ids.iter().map(|id| program(*id).to_string()).collect();
            BeforeOurs { hook, ids, programs }
        });
        self.before_ours = named.collect();
        if self.before_ours.is_empty() {
            tracing::warn!("no other program runs before ours any more");
        }
        for BeforeOurs { hook, programs, .. } in &*self.before_ours {
            let programs = programs.join(", ");
            tracing::warn!(
                hook = hook.name(),
                programs,
                "other programs run before ours and may hide cluster IPs from it"
            );
        }
    }

    /// What fails here is only a name or something left over: it is tried again by every pass.
    fn settle(&mut self) {
        let Kernel::Serving(set) = &mut self.kernel else { return };
        let Links::Unsettled { why: known } = &self.links else { return };
        let settled = self.datapath.settle(&mut set.generation);
        let Err(error) = settled else {
            self.links = Links::Attached;
            return;
        };
        let why = Some(chain(&error));
        if why != *known {
            tracing::warn!(
                why,
                "programs run, but pins are not all in their places; trying again every second"
            );
        }
        self.links = Links::Unsettled { why };
    }

    /// Looks whether pins and links are as they were made, and repairs them at once. What cannot
    /// be repaired is tried again by the next look; the maps go on meanwhile.
    pub(super) fn look_at_links(&mut self) {
        self.settle();
        let Kernel::Serving(set) = &self.kernel else { return };
        if matches!(self.links, Links::Due | Links::Unsettled { .. }) {
            return;
        }
        let (trouble, before_ours) = self.datapath.look(&set.generation);
        if trouble.is_empty() {
            self.links = Links::Attached;
            self.note_who_is_first(before_ours);
            return;
        }
        let last = std::mem::replace(&mut self.links, Links::Attached);
        let known: &[Trouble] = if let Links::Damaged { trouble, .. } = &last { trouble } else { &[] };
        for trouble in trouble.iter().filter(|trouble| !known.contains(trouble)) {
            tracing::warn!(%trouble, "another process changed what is attached; repairing it");
        }
        let Err(error) = self.datapath.repair(&set.generation, &trouble) else {
            tracing::warn!("repaired what is attached");
            self.repairs += 1;
            return;
        };
        let damaged = Links::Damaged { trouble, why: chain(&error) };
        if damaged != last
            && let Links::Damaged { why, .. } = &damaged
        {
            tracing::warn!(why, "could not repair what is attached; trying again every second");
        }
        self.links = damaged;
    }
}

impl InUse {
    fn into_use(self) -> Kernel {
        match self {
            Self::Ours(set) => Kernel::Serving(set),
            Self::Others(of) => Kernel::Waiting { of },
        }
    }
}

/// The room that everything together takes.
fn room(store: &Store) -> Capacity {
    let all = store.services().map(|(service, _)| service.name.clone()).collect();
    let empty = Mirror::new(Capacity::of(0, 0), 1);
    need(&wanted(store, &empty, &mut Cells::default(), &all))
}
