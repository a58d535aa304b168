//! The writer's thread: it wakes for a closed list of reasons, and its body never asks which.

pub mod reconcile;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::announce::EventQueue;
use crate::announce::warning::complaint;
use crate::datapath::maps::bpf::Bpf;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, grace_period};
use crate::model::ObjectName;
use crate::plan::{Capacity, Mirror, need, wanted};
use crate::plan::{Sizes, WriteError};
use crate::source::{Batch, Report};
use crate::store::{Disposition, Store};
use crate::suggest::suggest;
use crate::view::diagnostics::{Mark, marks_of};
use crate::view::status::{AgentView, Failed};
use crate::writer::reconcile::Reconciler;

/// Why the writer wakes, beside the clock.
#[derive(Debug)]
pub enum Wake {
    Source(Batch),
    /// The grace period of this number has passed.
    Grace(u64),
    /// Someone asks how things are.
    Query(tokio::sync::oneshot::Sender<AgentView>),
    Stop,
}

/// Failed writes are tried again after this long, twice as long each time.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_AT_MOST: Duration = Duration::from_secs(10);
/// The clock is looked at no less often.
const IDLE: Duration = Duration::from_secs(60);

/// What the writer was told to do.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// What the source is called in status.
    pub source: String,
    pub sizes: Sizes,
    pub audit: Duration,
    pub grace: Grace,
    /// Where to put what owners of Services are to be told; files have nobody to tell.
    pub outbox: Option<EventQueue>,
}

/// The agent's state, owned by the writer's thread.
#[derive(Debug)]
pub struct Writer {
    config: WriterConfig,
    store: Store,
    datapath: Datapath,
    /// Open from the first sync on: the sizes go by what the source told.
    kernel: Option<Reconciler<Bpf>>,
    inbox: Receiver<Wake>,
    /// For the threads that wait for grace periods.
    to_self: Sender<Wake>,
    grace_running: bool,
    attached: bool,
    /// It was said that the own Node is not there.
    is_missed: bool,
    /// The maps were taken over whatever their size, because not everything was known.
    is_kept: bool,
    report: Report,
    failed: BTreeMap<ObjectName, WriteError>,
    retry: Option<(Instant, Duration)>,
    next_audit: Instant,
    /// What the log has, by Service.
    said: BTreeMap<ObjectName, Vec<Mark>>,
    /// How many Services lacked room when growth was last considered.
    short: usize,
    passes: u64,
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
        let next_audit = Instant::now() + config.audit;
        Self {
            config,
            store,
            datapath,
            kernel: None,
            inbox,
            to_self,
            grace_running: false,
            attached: false,
            is_missed: false,
            is_kept: false,
            report: Report::default(),
            failed: BTreeMap::new(),
            retry: None,
            next_audit,
            said: BTreeMap::new(),
            short: 0,
            passes: 0,
        }
    }

    /// Runs until it is told to stop. Nothing is detached then: the kernel goes on with what it has.
    ///
    /// # Errors
    /// When the maps or programs cannot be brought up. Failed writes are no reason to end.
    pub fn run(mut self) -> Result<(), TakeoverError> {
        loop {
            let due = [Some(self.next_audit), self.retry.map(|(at, _)| at)].into_iter().flatten().min();
            let patience = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()).min(IDLE));
            let first = match self.inbox.recv_timeout(patience) {
                Ok(wake) => Some(wake),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            // All that is waiting, so that a burst is one pass.
            let wakes: Vec<Wake> = first.into_iter().chain(self.inbox.try_iter()).collect();
            let mut asked = Vec::new();
            for wake in wakes {
                match wake {
                    Wake::Stop => return Ok(()),
                    Wake::Source(batch) => self.take(batch),
                    Wake::Grace(age) => self.grace_passed(age),
                    Wake::Query(answer) => asked.push(answer),
                }
            }
            self.pass()?;
            for answer in asked {
                // Whoever asked may have gone away.
                drop(answer.send(self.view()));
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        for change in batch.changes {
            self.store.apply(change);
        }
        let was_unknown = self.report.is_incomplete();
        self.report = batch.report;
        if was_unknown && !self.report.is_incomplete() {
            // What was kept for lack of knowledge is decided now.
            if let Some(kernel) = &self.kernel {
                kernel.start(&mut self.store);
            }
        }
    }

    fn grace_passed(&mut self, age: u64) {
        self.grace_running = false;
        if let Some(kernel) = &mut self.kernel {
            kernel.mirror.release(age);
        }
    }

    /// One pass: open, audit, converge, attach, and see to what the next one needs.
    fn pass(&mut self) -> Result<(), TakeoverError> {
        self.audit_if_due();
        self.look_for_own_node();
        if !self.store.is_synced() {
            return Ok(());
        }
        if self.kernel.is_none() {
            self.open()?;
        }
        self.converge();
        if self.is_to_resize()
            && let Err(error) = self.resize()
        {
            tracing::warn!(%error, "could not make other maps; the ones in use go on");
        }
        if !self.attached {
            self.attach()?;
        }
        self.start_grace();
        Ok(())
    }

    /// A name that is no Node's passes for a node in no pool: that is said once.
    fn look_for_own_node(&mut self) {
        if self.is_missed || !self.store.is_nowhere() || self.report.is_incomplete() {
            return;
        }
        self.is_missed = true;
        let places = self.store.places();
        let known: Vec<&str> = places.nodes.keys().map(|name| &**name).collect();
        tracing::warn!(
            node = %places.here,
            nodes = known.len(),
            near = suggest(&places.here, &known).join(", "),
            "there is no Node of this name: what reads its labels waits until there is one"
        );
    }

    fn open(&mut self) -> Result<(), TakeoverError> {
        let (need, sizes) = (self.need(), self.config.sizes);
        // New maps hold only what the source told.
        self.is_kept = self.report.is_incomplete() || !self.store.is_ready();
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
        kernel.start(&mut self.store);
        self.kernel = Some(kernel);
        Ok(())
    }

    fn attach(&mut self) -> Result<(), TakeoverError> {
        self.datapath.attach()?;
        self.attached = true;
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

    /// The room that everything together takes.
    fn need(&self) -> Capacity {
        let all = self.store.services().map(|(service, _)| service.name.clone()).collect();
        let empty = Mirror::new(Capacity { frontends: 0, backends: 0 }, 1);
        need(&wanted(&self.store, &empty, &all, false))
    }

    fn converge(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let touched = self.store.dirty().clone();
        let pass = kernel.converge(&mut self.store, self.report.is_incomplete());
        self.passes += 1;
        if pass.written > 0 {
            tracing::debug!(written = pass.written, "pass");
        }
        for (service, error) in &pass.failed {
            tracing::warn!(%service, %error, "could not write a Service; it keeps what it had and is tried again");
        }
        let wait = self.retry.map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_AT_MOST));
        self.retry = (!pass.failed.is_empty()).then(|| (Instant::now() + wait, wait));
        self.failed = pass.failed;
        for service in &touched {
            self.say(service);
        }
    }

    /// Logs what is new about a Service, once, and has its owner told.
    fn say(&mut self, service: &ObjectName) {
        if let Some(outbox) = &self.config.outbox {
            outbox.set(service, complaint(&self.store, service));
        }
        let mirror = self.kernel.as_ref().map(|kernel| &kernel.mirror);
        let marks = marks_of(&self.store, mirror, service);
        let said = self.said.remove(service).unwrap_or_default();
        for mark in marks.iter().filter(|mark| mark.kind.is_warning() && !said.contains(mark)) {
            tracing::warn!(service = mark.service, reason = mark.text, "a Service needs attention");
        }
        if !marks.is_empty() {
            self.said.insert(service.clone(), marks);
        }
    }

    fn audit_if_due(&mut self) {
        if Instant::now() < self.next_audit {
            return;
        }
        self.next_audit = Instant::now() + self.config.audit;
        let Some(kernel) = &mut self.kernel else { return };
        match kernel.audit(&mut self.store) {
            Ok(0) => {}
            Ok(found) => tracing::warn!(found, "the maps were not as they were written; mending them"),
            Err(error) => tracing::warn!(%error, "could not read the maps back; will try again"),
        }
        if self.attached && !self.datapath.is_attached() {
            tracing::warn!("someone took a link of ours away; attaching again");
            self.attached = false;
        }
    }

    /// Whether maps of another size are due. Never while they hold what the source did not tell:
    /// unknown is not empty, and new maps are. That Services lack room is considered again when
    /// more or fewer do.
    fn is_to_resize(&mut self) -> bool {
        let Some(kernel) = self.kernel.as_ref().filter(|_| self.attached) else { return false };
        let (now, sizes, short) =
            (kernel.mirror.capacity(), self.config.sizes, kernel.mirror.starved().len());
        if short == 0 {
            self.short = 0;
        }
        let is_short = short != self.short && sizes.may_grow();
        if !(is_short || self.is_kept) || !self.knows_what_it_holds(&kernel.mirror) {
            return false;
        }
        self.short = short;
        let need = self.need();
        let larger = sizes.fresh(need);
        let is_wrong = std::mem::take(&mut self.is_kept) && !sizes.accepts(now, need);
        is_wrong || is_short && (larger.frontends > now.frontends || larger.backends > now.backends)
    }

    fn knows_what_it_holds(&self, mirror: &Mirror) -> bool {
        let waits = |service| {
            self.store.ports(service).iter().any(|port| matches!(port.disposition, Disposition::Wait))
        };
        !self.report.is_incomplete() && (self.store.is_ready() || !mirror.services().any(waits))
    }

    /// Other maps: filled first, then the programs change over to them.
    fn resize(&mut self) -> Result<(), TakeoverError> {
        tracing::info!("the maps are of the wrong size: changing over to others");
        let next_id = self.kernel.as_ref().map_or(1, |kernel| kernel.mirror.next_id());
        let (maps, mut mirror) = self.datapath.renew(self.config.sizes.fresh(self.need()), next_id)?;
        if let Some(kernel) = &self.kernel {
            mirror.follow(&kernel.mirror);
        }
        let kernel = Reconciler { maps, mirror };
        kernel.start(&mut self.store);
        self.kernel = Some(kernel);
        self.converge();
        self.attached = false;
        Ok(())
    }

    fn start_grace(&mut self) {
        if self.grace_running {
            return;
        }
        let Some(age) = self.kernel.as_mut().and_then(|kernel| kernel.mirror.start_grace()) else { return };
        let (to_self, grace) = (self.to_self.clone(), self.config.grace);
        let thread = std::thread::Builder::new().name("grace".to_owned());
        let started = thread.spawn(move || {
            grace_period(grace);
            // The writer may have stopped.
            drop(to_self.send(Wake::Grace(age)));
        });
        match started {
            Ok(_) => self.grace_running = true,
            Err(error) => {
                tracing::warn!(%error, "could not wait for a grace period; regions stay taken until the next")
            }
        }
    }

    fn view(&self) -> AgentView {
        let refuses = |can_set_errno| if can_set_errno { "bpf_set_retval" } else { "loopback port 0" };
        let failed = self.failed.iter();
        AgentView {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.config.source.clone(),
            ready: self.attached && self.store.is_ready(),
            attached: self.attached,
            refuses_by: self.datapath.can_set_errno().map(refuses).map(str::to_owned),
            passes: self.passes,
            failed: failed
                .map(|(service, error)| Failed { service: service.to_string(), why: error.to_string() })
                .collect(),
            ..AgentView::of(&self.store, self.kernel.as_ref().map(|kernel| &kernel.mirror))
        }
        .with(&self.report)
    }
}
