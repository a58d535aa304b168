//! One step of the one writer: other maps are filled, and the programs change over to them.

use std::time::{Duration, Instant};

use crate::datapath::takeover::{Opened, TakeoverError};
use crate::model::ObjectName;
use crate::plan::{Mirror, WriteError};
use crate::shown::chain;
use crate::store::{Known, Store};

use super::{InUse, Kernel, Lifecycle, Links, MapSet, Sizing, room};
use crate::writer::reconcile::Pass;

/// A change-over that failed is tried again after this long, twice as long each time.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_MOST: Duration = Duration::from_secs(60);

/// What became of a change-over.
#[derive(Debug)]
pub(in crate::writer) enum ChangeOver {
    NotDue,
    /// Other maps are in use, which this pass filled.
    Done(Pass),
    /// Those that were in use go on. All that they hold is dirty.
    GivenUp,
}

/// Why a change-over was given up.
#[derive(Debug, thiserror::Error)]
enum ChangeOverError {
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error("could not write {service} into the new maps")]
    Unwritten {
        service: ObjectName,
        #[source]
        source: WriteError,
    },
    #[error("no memory for all elements of the new maps; raise the memory limit of the agent")]
    Memory,
    #[error(
        "the new maps have no room for all that the maps in use hold; give larger --max-services and --max-backends, \
         or leave them out"
    )]
    Smaller,
}

impl Lifecycle {
    /// Changes over to another generation, where that is due: maps of another size, or maps of this
    /// version in place of another's.
    pub(in crate::writer) fn change_over(&mut self, store: &mut Store) -> ChangeOver {
        if self.retry.is_some_and(|(at, _)| Instant::now() < at) {
            return ChangeOver::NotDue;
        }
        if !self.is_due(store) {
            (self.retry, self.refused) = (None, None);
            return ChangeOver::NotDue;
        }
        match self.try_change_over(store) {
            Ok(pass) => {
                (self.retry, self.refused) = (None, None);
                ChangeOver::Done(pass)
            }
            Err(error) => {
                let wait = self.retry.map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_AT_MOST));
                self.retry = Some((Instant::now() + wait, wait));
                let (error, wait) = (chain(&error), wait.as_secs());
                tracing::warn!(error, wait, "could not change over to other maps; those in use go on");
                self.refused = Some(error);
                self.give_up(store);
                ChangeOver::GivenUp
            }
        }
    }

    /// Never while maps in use may hold what the source does not say: unknown is not empty, and
    /// new maps are. That Services lack room is considered again when more or fewer do.
    fn is_due(&mut self, store: &Store) -> bool {
        let set = match &self.kernel {
            Kernel::Waiting { .. } => return store.known() == Known::All,
            Kernel::Serving(set) => set,
            Kernel::Closed | Kernel::ChangingOver { .. } => return false,
        };
        let mirror = &set.kernel.mirror;
        let (now, starved) = (mirror.capacity(), mirror.shortages().lacking_room());
        let is_changed = self.sizing != (Sizing::Considered { starved });
        if !(is_changed || mirror.is_out_of_ids()) || !knows_what_it_holds(store, mirror) {
            return false;
        }
        let need = room(store);
        let larger = self.sizes.fresh(need);
        let is_due = match self.sizing {
            Sizing::Unchecked => !self.sizes.accepts(now, need),
            Sizing::Considered { .. } => starved > 0 && larger.has_more_room_than(now),
        };
        let is_due = is_due || mirror.is_out_of_ids();
        if !is_due {
            self.sizing = Sizing::Considered { starved };
        }
        is_due
    }

    /// One step of the one writer: the new maps are made and filled completely, then the links
    /// move, readers first, with nothing written in between.
    fn try_change_over(&mut self, store: &mut Store) -> Result<Pass, ChangeOverError> {
        let capacity = self.sizes.fresh(room(store));
        let (to, from) = match std::mem::replace(&mut self.kernel, Kernel::Closed) {
            Kernel::Serving(set) => {
                tracing::info!("changing over to maps of another size");
                let opened = self.datapath.make(capacity, Some(set.generation.name()));
                let inherit = |mut opened: Opened| {
                    let old = &set.kernel.mirror;
                    if !old.is_out_of_ids() {
                        let cells = std::mem::take(&mut opened.mirror.cells);
                        opened.mirror = old.successor(opened.mirror.capacity());
                        opened.mirror.cells = cells;
                    }
                    opened
                };
                (opened.map(inherit), InUse::Ours(set))
            }
            Kernel::Waiting { of } => {
                tracing::info!("everything is known: changing over to maps of this version");
                let held = of.and_then(|name| self.datapath.inheritance(name));
                let inherit = |mut opened: Opened| {
                    if let Some(held) = &held {
                        opened.mirror.inherit(held);
                    }
                    opened
                };
                (self.datapath.make(capacity, of).map(inherit), InUse::Others(of))
            }
            other @ (Kernel::Closed | Kernel::ChangingOver { .. }) => {
                self.kernel = other;
                return Ok(Pass::default());
            }
        };
        match to {
            Ok(opened) => self.kernel = Kernel::ChangingOver { from, to: MapSet::new(opened) },
            Err(error) => {
                self.kernel = from.into_use();
                return Err(error.into());
            }
        }
        let pass = self.fill(store)?;
        self.move_links()?;
        Ok(pass)
    }

    fn fill(&mut self, store: &mut Store) -> Result<Pass, ChangeOverError> {
        let Kernel::ChangingOver { from, to } = &mut self.kernel else { return Ok(Pass::default()) };
        to.kernel.start(store);
        let mut pass = to.kernel.converge(store);
        if let Some((service, source)) = pass.failed.pop_first() {
            return Err(ChangeOverError::Unwritten { service, source });
        }
        if to.kernel.mirror.is_short_of_memory() {
            return Err(ChangeOverError::Memory);
        }
        if let InUse::Ours(from) = from
            && to.lacking_room() > from.lacking_room()
        {
            return Err(ChangeOverError::Smaller);
        }
        Ok(pass)
    }

    fn move_links(&mut self) -> Result<(), TakeoverError> {
        let Kernel::ChangingOver { to, .. } = &self.kernel else { return Ok(()) };
        self.datapath.attach(&to.generation)?;
        self.sizing = Sizing::Considered { starved: to.lacking_room() };
        self.links = Links::Unsettled { why: None };
        self.kernel = match std::mem::replace(&mut self.kernel, Kernel::Closed) {
            Kernel::ChangingOver { to, .. } => Kernel::Serving(to),
            other @ (Kernel::Closed | Kernel::Waiting { .. } | Kernel::Serving(_)) => other,
        };
        tracing::info!("changed over to other maps");
        Ok(())
    }

    /// Goes on with what was in use. What was marked as dirty meanwhile is marked again.
    fn give_up(&mut self, store: &mut Store) {
        self.kernel = match std::mem::replace(&mut self.kernel, Kernel::Closed) {
            Kernel::ChangingOver { from, to } => {
                if let Err(error) = self.datapath.discard(to.generation.name()) {
                    tracing::warn!(error = chain(&error), "could not remove maps that are not used");
                }
                from.into_use()
            }
            other @ (Kernel::Closed | Kernel::Waiting { .. } | Kernel::Serving(_)) => other,
        };
        if let Kernel::Serving(set) = &self.kernel {
            set.kernel.start(store);
        }
    }
}

/// Whether nothing in the maps stays there only because it cannot be decided.
fn knows_what_it_holds(store: &Store, mirror: &Mirror) -> bool {
    store.known() == Known::All
        || mirror.orphans().is_empty() && !mirror.services().any(|service| store.keeps(service))
}
