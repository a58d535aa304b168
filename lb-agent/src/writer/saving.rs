//! What is saved of the source's state, and when; and the saved state that decides until a source is heard of.

use std::sync::Arc;
use std::time::Duration;

use crate::datapath::since_boot;
use crate::datapath::takeover::TakeoverError;
use crate::model::{Age, HostAddresses, Kind, Moment};
use crate::shown::chain;
use crate::source::saved::{Job, Outcome, Pace, Place, Saver, disk};
use crate::store::Store;
use crate::view::published::SavedState;

use super::Writer;

/// A source that does not list every kind is waited for so long before what it does list is saved.
const ALL_KINDS: Duration = Duration::from_secs(60);

/// Where the state is saved, and by whom.
#[derive(Debug)]
pub struct SavedConfig {
    pub place: Place,
    pub saver: Saver,
}

/// The saved state decides, and the source fills a store beside it until that can take its place.
#[derive(Debug)]
pub(super) struct Standby {
    /// What the source has shown so far.
    pub(super) live: Store,
    saved: Moment,
}

/// Whether the file is behind the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    No,
    Yes,
    /// It is being written, and may be behind again afterwards.
    Writing {
        is_changed: bool,
    },
}

/// When the state is saved next, and how that went.
#[derive(Debug)]
pub(super) struct Saving {
    config: Option<SavedConfig>,
    begun: Duration,
    pace: Pace,
    behind: Behind,
    trouble: Option<Arc<str>>,
}

impl Saving {
    /// Nothing is saved without `config`.
    pub(super) fn new(config: Option<SavedConfig>) -> Self {
        Self { config, begun: since_boot(), pace: Pace::FIRST, behind: Behind::No, trouble: None }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.config.is_some()
    }

    /// Goes on at the pace of the agent before. If nothing `serves`, and there is a state that can be used, that
    /// is to decide from now on: it goes into `store`, and what the source shows into the one in standby.
    pub(super) fn begin(&mut self, store: &mut Store, serves: bool) -> Option<Standby> {
        let place = &self.config.as_ref()?.place;
        let now = disk::now(since_boot());
        let go_on = |saved: &Moment, level| {
            Pace::after(if saved.is_in_boot_of(&now) { saved.since_boot } else { Duration::ZERO }, level)
        };
        if serves {
            if let Some(header) = disk::header(&place.file) {
                self.pace = go_on(&header.saved, header.level);
            }
            return None;
        }
        match disk::load(place) {
            disk::Found::Nothing => None,
            disk::Found::Refused { why, aside } => {
                let (why, file) = (chain(&why), place.file.display());
                let aside = aside.map(|aside| aside.display().to_string());
                tracing::warn!(%file, aside, why, "the saved state is not used");
                None
            }
            disk::Found::Saved(saved) => {
                self.pace = go_on(&saved.header.saved, saved.header.level);
                let moment = saved.header.saved.clone();
                let live = std::mem::replace(store, store.afresh());
                saved.into_decisive().for_each(|change| store.apply(change));
                let age = Age::of(&moment, &now).to_string();
                tracing::warn!(
                    age,
                    clock = moment.clock,
                    "serving the saved state until the source has shown its own"
                );
                Some(Standby { live, saved: moment })
            }
        }
    }

    /// The source has shown something new.
    pub(super) fn changed(&mut self) {
        self.behind = match self.behind {
            Behind::No | Behind::Yes => Behind::Yes,
            Behind::Writing { .. } => Behind::Writing { is_changed: true },
        };
    }

    /// How long the writer may sleep; for good while there is nothing to save.
    pub(super) fn patience(&self) -> Duration {
        if self.config.is_none() || self.behind != Behind::Yes {
            return Duration::MAX;
        }
        let next = self.pace.next().unwrap_or_default().max(self.begun);
        next.saturating_sub(since_boot()).max(Duration::from_secs(1))
    }

    /// Has the state of the source saved, if that is due.
    pub(super) fn save(&mut self, store: &Store) {
        let Some(config) = &self.config else { return };
        let now = since_boot();
        let is_due = self.behind == Behind::Yes && self.pace.next().is_none_or(|next| now >= next);
        let has_waited = now.saturating_sub(self.begun) >= ALL_KINDS;
        let is_whole = Kind::DECIDING.iter().all(|kind| store.has_synced(*kind)) && store.knows_namespaces();
        if !is_due || !store.is_synced() || !(is_whole || has_waited) {
            return;
        }
        let job = Job { changes: store.changes(), at: disk::now(now), level: self.pace.written(now).level() };
        if config.saver.save(job) {
            self.behind = Behind::Writing { is_changed: false };
        } else {
            self.failed("the thread that saves has ended".into());
        }
    }

    /// What became of it.
    pub(super) fn saved(&mut self, outcome: Outcome) {
        let now = since_boot();
        let is_changed = matches!(self.behind, Behind::Writing { is_changed: true });
        self.behind = if is_changed { Behind::Yes } else { Behind::No };
        match outcome {
            Outcome::Written => self.pace = self.pace.written(now),
            Outcome::Same => self.pace = self.pace.looked(now),
            Outcome::Failed(error) => {
                self.pace = self.pace.looked(now);
                self.behind = Behind::Yes;
                return self.failed(chain(&error));
            }
        }
        if self.trouble.take().is_some() {
            tracing::info!("the state is saved again");
        }
    }

    fn failed(&mut self, why: String) {
        let Some(config) = &self.config else { return };
        let file = config.place.file.display();
        let text: Arc<str> = format!(
            "the state cannot be saved in {file}, so that this node has an old one, or none, after a reboot without an API \
             server: {why}; give --saved-state another file, or off"
        )
        .into();
        if self.trouble.as_ref() != Some(&text) {
            tracing::warn!("{text}");
        }
        self.trouble = Some(text);
    }

    /// How things stand, for people.
    pub(super) fn view(&self, standby: Option<&Standby>) -> SavedState {
        let in_use = standby.map(|standby| {
            (Age::of(&standby.saved, &disk::now(since_boot())), Arc::from(standby.saved.clock.as_str()))
        });
        SavedState { in_use, trouble: self.trouble.clone() }
    }
}

impl Writer {
    /// Where nothing serves yet, a saved state does before the source is waited for.
    pub(super) fn begin(&mut self) -> Result<(), TakeoverError> {
        if !self.saving.is_on() {
            return Ok(());
        }
        let serves = self.lifecycle.serves_already()?;
        self.standby = self.saving.begin(&mut self.store, serves).map(Box::new);
        if self.standby.is_some() { self.turn(true) } else { Ok(()) }
    }

    /// From now on the source decides. What the maps hold is held against what it says, as after a start over
    /// maps that serve.
    pub(super) fn move_over(&mut self, live: Store) {
        tracing::info!("the source has shown its state: it decides, and the saved one does no more");
        let saved = std::mem::replace(&mut self.store, live);
        self.store.mark_dirty(saved.services().map(|(service, _)| service.name.clone()));
        self.lifecycle.start_again(&mut self.store);
    }

    pub(super) fn host(&mut self, addresses: HostAddresses) {
        if let Some(standby) = &mut self.standby {
            standby.live.set_host(addresses.clone());
        }
        self.store.set_host(addresses);
    }
}
