//! The kernel's maps and programs, from the first open to the last resize.

use std::sync::mpsc::Sender;

use crate::datapath::maps::bpf::Bpf;
use crate::datapath::takeover::{Datapath, TakeoverError, Trouble};
use crate::datapath::{Grace, grace_period};
use crate::plan::{Capacity, Mirror, Sizes, need, wanted};
use crate::store::{Known, Store};

use super::inbox::Wake;
use super::reconcile::Reconciler;

/// Whether the programs run over the maps in use, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Links {
    /// To be attached, or attached to other maps or in part.
    Due,
    Attached,
    /// Something happened to them that could not be repaired: what, and why not.
    Damaged {
        trouble: Vec<Trouble>,
        why: String,
    },
}

/// Whether a thread waits for a grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Idle,
    Running,
}

/// The maps in use, and what is still to be done with them.
#[derive(Debug)]
pub(super) struct Lifecycle {
    datapath: Datapath,
    sizes: Sizes,
    grace: Grace,
    /// Open from the first sync on: the sizes go by what the source has.
    kernel: Option<Reconciler<Bpf>>,
    waiting: Waiting,
    links: Links,
    /// The maps were taken over whatever their size, because not everything was known.
    is_kept: bool,
    /// How many Services lacked room when growth was last considered.
    short: usize,
}

impl Lifecycle {
    pub(super) const fn new(datapath: Datapath, sizes: Sizes, grace: Grace) -> Self {
        Self {
            datapath,
            sizes,
            grace,
            kernel: None,
            waiting: Waiting::Idle,
            links: Links::Due,
            is_kept: false,
            short: 0,
        }
    }

    pub(super) const fn kernel(&mut self) -> Option<&mut Reconciler<Bpf>> {
        self.kernel.as_mut()
    }

    pub(super) fn mirror(&self) -> Option<&Mirror> {
        self.kernel.as_ref().map(|kernel| &kernel.mirror)
    }

    pub(super) fn is_attached(&self) -> bool {
        self.links == Links::Attached
    }

    /// Why what is attached could not be repaired, if so.
    pub(super) const fn damage(&self) -> Option<&str> {
        match &self.links {
            Links::Due | Links::Attached => None,
            Links::Damaged { why, .. } => Some(why.as_str()),
        }
    }

    /// How connections are refused; `None` before the programs are loaded.
    pub(super) fn refuses_by(&self) -> Option<&'static str> {
        let by = |can_set_errno| if can_set_errno { "bpf_set_retval" } else { "loopback port 0" };
        self.datapath.can_set_errno().map(by)
    }

    /// Opens the maps, unless they are open.
    pub(super) fn open(&mut self, store: &mut Store) -> Result<(), TakeoverError> {
        if self.kernel.is_some() {
            return Ok(());
        }
        let (need, sizes) = (room(store), self.sizes);
        // New maps hold only what the source has.
        self.is_kept = store.known() != Known::All;
        let opened = if self.is_kept {
            self.datapath.open_in_any_size(need, sizes)
        } else {
            self.datapath.open(need, sizes)
        };
        let (maps, mirror) = opened?;
        let capacity = mirror.capacity();
        tracing::info!(
            services = capacity.frontends,
            backends = capacity.backends,
            held = mirror.entries().count(),
            "maps are open"
        );
        let kernel = Reconciler { maps, mirror };
        kernel.start(store);
        self.kernel = Some(kernel);
        Ok(())
    }

    /// Attaches the programs, unless they are attached.
    pub(super) fn attach(&mut self) -> Result<(), TakeoverError> {
        if self.links != Links::Due {
            return Ok(());
        }
        self.datapath.attach()?;
        self.links = Links::Attached;
        let cgroup = self.datapath.cgroup();
        tracing::info!(cgroup = %cgroup.path.display(), "attached");
        for (hook, programs) in self.datapath.before_ours() {
            tracing::warn!(
                hook,
                ?programs,
                "other programs run before ours and may hide cluster IPs from it"
            );
        }
        Ok(())
    }

    /// Looks whether pins and links are as they were made, and repairs them at once. What cannot
    /// be repaired is tried again by the next look; the maps go on meanwhile.
    pub(super) fn look_at_links(&mut self) {
        if self.links == Links::Due {
            return;
        }
        let trouble = self.datapath.trouble();
        let last = std::mem::replace(&mut self.links, Links::Attached);
        if trouble.is_empty() {
            return;
        }
        let known: &[Trouble] = if let Links::Damaged { trouble, .. } = &last { trouble } else { &[] };
        for trouble in trouble.iter().filter(|trouble| !known.contains(trouble)) {
            tracing::warn!(%trouble, "another process changed what is attached; repairing it");
        }
        let Err(error) = self.datapath.repair(&trouble) else {
            tracing::warn!("repaired what is attached");
            return;
        };
        let why = with_causes(&error);
        let damaged = Links::Damaged { trouble, why };
        if damaged != last
            && let Links::Damaged { why, .. } = &damaged
        {
            tracing::warn!(why, "could not repair what is attached; trying again every second");
        }
        self.links = damaged;
    }

    /// Whether maps of another size are due. Never while they hold what the source does not say:
    /// unknown is not empty, and new maps are. That Services lack room is considered again when
    /// more or fewer do.
    pub(super) fn is_to_resize(&mut self, store: &Store) -> bool {
        let Some(kernel) = self.kernel.as_ref().filter(|_| self.is_attached()) else { return false };
        let (now, sizes, short) =
            (kernel.mirror.capacity(), self.sizes, kernel.mirror.shortages().lacking_room());
        if short == 0 {
            self.short = 0;
        }
        let is_short = short != self.short && sizes.may_grow();
        if !(is_short || self.is_kept) || !knows_what_it_holds(store, &kernel.mirror) {
            return false;
        }
        self.short = short;
        let need = room(store);
        let larger = sizes.fresh(need);
        let is_wrong = std::mem::take(&mut self.is_kept) && !sizes.accepts(now, need);
        is_wrong || is_short && (larger.frontends > now.frontends || larger.backends > now.backends)
    }

    /// Other maps, empty as yet: to be filled, and then to be attached.
    pub(super) fn resize(&mut self, store: &mut Store) -> Result<(), TakeoverError> {
        tracing::info!("the maps are of the wrong size: changing over to others");
        let next_id = self.kernel.as_ref().map_or(1, |kernel| kernel.mirror.next_id());
        let (maps, mut mirror) = self.datapath.renew(self.sizes.fresh(room(store)), next_id)?;
        if let Some(kernel) = &self.kernel {
            mirror = kernel.mirror.successor(mirror.capacity());
        }
        let kernel = Reconciler { maps, mirror };
        kernel.start(store);
        self.kernel = Some(kernel);
        self.links = Links::Due;
        Ok(())
    }

    /// Starts to wait for a grace period, if anything needs one and none runs.
    pub(super) fn start_grace(&mut self, to_self: &Sender<Wake>) {
        if self.waiting == Waiting::Running {
            return;
        }
        let Some(age) = self.kernel.as_mut().and_then(|kernel| kernel.mirror.start_grace()) else { return };
        let (to_self, grace) = (to_self.clone(), self.grace);
        let thread = std::thread::Builder::new().name("grace".to_owned());
        let started = thread.spawn(move || {
            grace_period(grace);
            // The writer may have stopped.
            drop(to_self.send(Wake::Grace(age)));
        });
        match started {
            Ok(_) => self.waiting = Waiting::Running,
            Err(error) => {
                tracing::warn!(%error, "could not wait for a grace period; regions stay taken until the next")
            }
        }
    }

    pub(super) fn grace_passed(&mut self, age: u64) {
        self.waiting = Waiting::Idle;
        if let Some(kernel) = &mut self.kernel {
            kernel.mirror.release(age);
        }
    }
}

/// Whether nothing in the maps stays there only because it cannot be decided.
fn knows_what_it_holds(store: &Store, mirror: &Mirror) -> bool {
    store.known() == Known::All
        || mirror.orphans().is_empty() && !mirror.services().any(|service| store.keeps(service))
}

/// The message of an error, and what caused it.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The room that everything together takes.
fn room(store: &Store) -> Capacity {
    let all = store.services().map(|(service, _)| service.name.clone()).collect();
    let empty = Mirror::new(Capacity { frontends: 0, backends: 0 }, 1);
    need(&wanted(store, &empty, &all))
}
