//! The writer's thread: it wakes for a closed list of reasons, and its body never asks which.

mod due;
mod grace;
mod health;
mod inbox;
mod latency;
mod lifecycle;
mod notices;
mod peers;
mod publish;
pub mod reconcile;
mod saving;
mod self_test;
mod skips;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::announce::EventQueue;
use crate::datapath::pod_cgroups::PodCgroups;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, since_boot};
use crate::model::First;
use crate::peers::PeersQueue;
use crate::plan::{Mirror, Sizes};
use crate::source::Batch;
use crate::store::Store;
use crate::view::published::Published;
use crate::view::reported::Reported;

use due::Due;
use grace::GracePeriods;
use health::Health;
use inbox::Inbox;
pub use inbox::Wake;
use latency::Latency;
use lifecycle::{ChangeOver, Lifecycle};
use notices::Notices;
use peers::Peers;
use reconcile::Pass;
pub use saving::SavedConfig;
use saving::{Saving, Standby};
pub use self_test::SelfTestConfig;
use self_test::{Circumstances, SelfTests};
use skips::Skips;

/// What the operator settled for the writer.
#[derive(Debug)]
pub struct WriterConfig {
    /// What the source is called in status.
    pub source: String,
    /// One that the host has, if it is known.
    pub node_address: Option<IpAddr>,
    pub sizes: Sizes,
    pub audit: Duration,
    /// What it means that programs of others decide before ours.
    pub first: First,
    pub grace: Grace,
    /// Where to put what owners of Services should know; files have no owner to reach.
    pub outbox: Option<EventQueue>,
    /// Where the state of an API server is saved, if it is.
    pub saved: Option<SavedConfig>,
    /// Where to say which backends UDP sockets may keep; `None` where none are ended.
    pub peers: Option<PeersQueue>,
    pub self_test: SelfTestConfig,
}

/// The agent's state, owned by the writer's thread.
#[derive(Debug)]
pub struct Writer {
    source: Arc<str>,
    node_address: Option<IpAddr>,
    first: First,
    store: Store,
    report: Reported,
    lifecycle: Lifecycle,
    grace_periods: GracePeriods,
    inbox: Inbox,
    due: Due,
    notices: Notices,
    skips: Skips,
    saving: Saving,
    /// What the source has shown, while a saved state decides.
    standby: Option<Box<Standby>>,
    peers: Peers,
    latency: Latency,
    self_tests: SelfTests,
    health: Health,
    passes: u64,
    /// How many clients of Services with session affinity were remembered when they were looked through last.
    clients: usize,
    published: watch::Sender<Arc<Published>>,
}

impl Writer {
    #[must_use]
    pub fn new(
        config: WriterConfig,
        store: Store,
        datapath: Datapath,
        inbox: Receiver<Wake>,
        to_self: Sender<Wake>,
    ) -> Self {
        let WriterConfig {
            source,
            node_address,
            sizes,
            audit,
            first,
            grace,
            outbox,
            saved,
            peers,
            self_test,
        } = config;
        let now = Instant::now();
        let published = Published::first(&store, &source, now);
        Self {
            source: Arc::clone(&published.source),
            node_address,
            store,
            report: published.report.clone(),
            skips: Skips::new(PodCgroups::below(datapath.cgroup()), now),
            first,
            lifecycle: Lifecycle::new(datapath, sizes),
            grace_periods: GracePeriods::new(grace),
            inbox: Inbox::new(inbox, to_self),
            due: Due::new(audit, now),
            notices: Notices::new(outbox),
            saving: Saving::new(saved),
            standby: None,
            peers: Peers::new(peers),
            latency: Latency::new(),
            self_tests: SelfTests::new(self_test),
            health: Health::Starting,
            passes: 0,
            clients: 0,
            published: watch::Sender::new(Arc::new(published)),
        }
    }

    /// What the writer makes known after each pass.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// Runs until a wake says to stop. Nothing is detached then: the kernel goes on with what it has.
    ///
    /// # Errors
    /// When the maps or programs cannot be brought up at first. Later there is no reason to end.
    pub fn run(mut self) -> Result<(), TakeoverError> {
        self.begin()?;
        while let Some(wakes) = self.inbox.next(self.patience()) {
            let is_woken = wakes.iter().any(Wake::is_for_maps);
            for wake in wakes {
                match wake {
                    // Never among those that are handed out.
                    Wake::Stop => return Ok(()),
                    Wake::Source(batch) => self.take(batch),
                    Wake::Host(addresses) => self.host(addresses),
                    Wake::Grace(number) => self.grace_passed(number),
                    Wake::Saved(outcome) => self.saving.saved(outcome),
                    Wake::Peers(report) => self.peers.became(report),
                    Wake::SelfTest(round) => self.self_tests.ended(round, Instant::now()),
                }
            }
            self.turn(is_woken)?;
        }
        Ok(())
    }

    fn turn(&mut self, is_woken: bool) -> Result<(), TakeoverError> {
        let ended = self.pass(is_woken);
        self.health.settle(ended, self.lifecycle.is_attached())?;
        if self.standby.is_none() {
            self.saving.save(&self.store);
        }
        self.self_tests.look(Circumstances::of(&self.lifecycle));
        self.publish();
        Ok(())
    }

    /// How long the writer may sleep: not at all while a Service may find room.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        if self.has_room_again() {
            Duration::ZERO
        } else {
            self.due.patience(now).min(self.skips.patience(now)).min(self.saving.patience())
        }
    }

    fn take(&mut self, batch: Batch) {
        if !batch.changes.is_empty() {
            self.saving.changed();
            self.latency.seen(batch.at);
        }
        let store = self.standby.as_mut().map_or(&mut self.store, |standby| &mut standby.live);
        for change in batch.changes {
            store.apply(change);
        }
        self.report.take(batch.report);
        if let Some(standby) = self.standby.take_if(|standby| standby.live.is_synced()) {
            self.move_over(standby.live);
        }
    }

    /// One pass. Links are looked at every second, and what failed to open or attach is tried again
    /// then.
    fn pass(&mut self, is_woken: bool) -> Result<(), TakeoverError> {
        let now = Instant::now();
        if self.due.take_memory(now)
            && let Some(kernel) = self.lifecycle.kernel()
        {
            kernel.mirror.try_memory_again();
        }
        let is_due = is_woken | self.due.is_retry(now) | self.audit(now) | self.has_room_again();
        if self.due.take_look(now) {
            self.lifecycle.look_at_links();
        }
        if self.due.take_forget(now) {
            self.forget();
        }
        self.notices.own_node(&self.store);
        if !self.store.is_synced() {
            return Ok(());
        }
        self.lifecycle.open(&mut self.store)?;
        if let Some(kernel) = self.lifecycle.kernel() {
            self.skips.bring(&mut self.store, &mut kernel.maps, now);
        }
        if is_due {
            self.converge();
        }
        match self.lifecycle.change_over(&mut self.store) {
            ChangeOver::NotDue => {}
            ChangeOver::Done(pass) => self.after(&pass),
            ChangeOver::GivenUp => self.converge(),
        }
        if let Some(kernel) = self.lifecycle.kernel()
            && self.report.is_in_sync()
        {
            kernel.maps.in_sync();
        }
        self.lifecycle.attach()?;
        if let Some(kernel) = self.lifecycle.kernel() {
            self.grace_periods.start(&mut kernel.mirror, self.inbox.sender());
        }
        Ok(())
    }

    /// What is gone: clients of Services with session affinity that stayed away, or whose service port is gone, and the
    /// places of the loop of such ports. While nothing changes and no client is remembered there is nothing to look for.
    fn forget(&mut self) {
        let Some(kernel) = self.lifecycle.kernel() else { return };
        let timeouts = kernel.mirror.affinities();
        let may_be_gone = self.due.take_round(kernel.mirror.changes());
        if may_be_gone || self.clients > 0 || !timeouts.is_empty() {
            self.forget_clients(&timeouts);
        }
        if may_be_gone {
            self.sum_up_counts();
        }
    }

    fn forget_clients(&mut self, timeouts: &BTreeMap<u32, u32>) {
        let Some(kernel) = self.lifecycle.kernel() else { return };
        match kernel.maps.forget_clients(timeouts, since_boot()) {
            Ok(left) => self.clients = left,
            Err(error) => {
                tracing::warn!(%error, "clients could not be forgotten; it is tried again in 20 s");
                self.due.repeat_rounds();
            }
        }
    }

    /// What was counted for service ports that are gone.
    fn sum_up_counts(&mut self) {
        let Some(kernel) = self.lifecycle.kernel() else { return };
        if let Err(error) = kernel.maps.sum_up_all_but(&kernel.mirror.ids()) {
            tracing::warn!(%error, "could not sum up what was counted for Services that are gone; it is tried again in 20 s");
            self.due.repeat_rounds();
        }
    }

    fn grace_passed(&mut self, number: u64) {
        let mirror = self.lifecycle.kernel().map(|kernel| &mut kernel.mirror);
        self.grace_periods.passed(number, mirror);
    }

    /// Compares the maps with what was written, when it is due. Returns whether a pass has to follow, which brings what
    /// differs, and looks at the addresses of the host.
    fn audit(&mut self, now: Instant) -> bool {
        if !self.due.take_audit(now) {
            return false;
        }
        let Some(kernel) = self.lifecycle.kernel() else { return false };
        match kernel.audit(&mut self.store) {
            Ok(0) => true,
            Ok(found) => {
                tracing::warn!(found, "the maps were not as they were written; writing them again");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "could not read the maps back; the next audit tries again");
                false
            }
        }
    }

    /// Whether a Service that lacks room may find some now. Not while a write is to be tried again:
    /// the room is for that.
    fn has_room_again(&self) -> bool {
        !self.due.has_retry() && self.lifecycle.mirror().is_some_and(Mirror::is_retryable)
    }

    fn converge(&mut self) {
        let Some(kernel) = self.lifecycle.kernel() else { return };
        let pass = kernel.converge(&mut self.store);
        self.after(&pass);
    }

    /// What follows from a pass: what needs attention now, and when the next one is due.
    fn after(&mut self, pass: &Pass) {
        self.passes += 1;
        if pass.written > 0 {
            tracing::debug!(written = pass.written, failed = pass.failed.len(), "pass");
        }
        if let Some(error) = &pass.hosts {
            tracing::warn!(%error, "node ports are not served at all addresses of the host; it is tried again");
        }
        self.latency.after(pass, &mut self.store);
        self.peers.after(pass, &self.store, self.due.has_retry());
        self.due.set_retry(!pass.is_done(), Instant::now());
        if let Some(mirror) = self.lifecycle.mirror() {
            self.due.set_memory(mirror.is_short_of_memory(), Instant::now());
            self.notices.after(pass, &self.store, mirror);
        }
    }
}
