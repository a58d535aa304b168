//! The writer's thread: it wakes for a closed list of reasons, and its body never asks which.

mod due;
mod inbox;
mod lifecycle;
mod notices;
pub mod reconcile;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::announce::EventQueue;
use crate::datapath::Grace;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::model::{ObjectName, SourceReport};
use crate::plan::{Sizes, WriteError};
use crate::source::Batch;
use crate::store::Store;
use crate::view::status::{AgentView, Failed};

use due::Due;
use inbox::Inbox;
pub use inbox::Wake;
use lifecycle::Lifecycle;
use notices::Notices;

/// What the operator settled for the writer.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// What the source is called in status.
    pub source: String,
    pub sizes: Sizes,
    pub audit: Duration,
    pub grace: Grace,
    /// Where to put what owners of Services should know; files have no owner to reach.
    pub outbox: Option<EventQueue>,
}

/// The agent's state, owned by the writer's thread.
#[derive(Debug)]
pub struct Writer {
    source: String,
    store: Store,
    report: SourceReport,
    lifecycle: Lifecycle,
    inbox: Inbox,
    due: Due,
    notices: Notices,
    failed: BTreeMap<ObjectName, WriteError>,
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
        let WriterConfig { source, sizes, audit, grace, outbox } = config;
        Self {
            source,
            store,
            report: SourceReport::default(),
            lifecycle: Lifecycle::new(datapath, sizes, grace),
            inbox: Inbox::new(inbox, to_self),
            due: Due::new(audit, Instant::now()),
            notices: Notices::new(outbox),
            failed: BTreeMap::new(),
            passes: 0,
        }
    }

    /// Runs until a wake says to stop. Nothing is detached then: the kernel goes on with what it has.
    ///
    /// # Errors
    /// When the maps or programs cannot be brought up. Failed writes are no reason to end.
    pub fn run(mut self) -> Result<(), TakeoverError> {
        loop {
            let Some(wakes) = self.inbox.next(self.due.patience(Instant::now())) else { return Ok(()) };
            let mut asked = Vec::new();
            for wake in wakes {
                match wake {
                    Wake::Stop => return Ok(()),
                    Wake::Source(batch) => self.take(batch),
                    Wake::Grace(age) => self.lifecycle.grace_passed(age),
                    Wake::Query(answer) => asked.push(answer),
                }
            }
            self.pass()?;
            for answer in asked {
                // The client may have gone away.
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
            if let Some(kernel) = self.lifecycle.kernel() {
                kernel.start(&mut self.store);
            }
        }
    }

    /// One pass: audit, open, converge, resize, attach, and see to what the next one needs.
    fn pass(&mut self) -> Result<(), TakeoverError> {
        let is_incomplete = self.report.is_incomplete();
        self.audit_if_due();
        if self.due.take_look(Instant::now()) {
            self.lifecycle.look_at_links();
        }
        self.notices.own_node(&self.store, is_incomplete);
        if !self.store.is_synced() {
            return Ok(());
        }
        self.lifecycle.open(&mut self.store, is_incomplete)?;
        self.converge();
        if self.lifecycle.is_to_resize(&self.store, is_incomplete) {
            match self.lifecycle.resize(&mut self.store) {
                Ok(()) => self.converge(),
                Err(error) => {
                    tracing::warn!(%error, "could not make other maps; the ones in use go on");
                }
            }
        }
        self.lifecycle.attach()?;
        self.lifecycle.start_grace(self.inbox.sender());
        Ok(())
    }

    fn audit_if_due(&mut self) {
        if !self.due.take_audit(Instant::now()) {
            return;
        }
        let Some(kernel) = self.lifecycle.kernel() else { return };
        match kernel.audit(&mut self.store) {
            Ok(0) => {}
            Ok(found) => tracing::warn!(found, "the maps were not as they were written; mending them"),
            Err(error) => tracing::warn!(%error, "could not read the maps back; will try again"),
        }
    }

    fn converge(&mut self) {
        let Some(kernel) = self.lifecycle.kernel() else { return };
        let touched = self.store.dirty().clone();
        let pass = kernel.converge(&mut self.store, self.report.is_incomplete());
        self.passes += 1;
        if pass.written > 0 {
            tracing::debug!(written = pass.written, "pass");
        }
        for (service, error) in &pass.failed {
            tracing::warn!(%service, %error, "could not write a Service; it keeps what it had and is tried again");
        }
        self.due.set_retry(!pass.failed.is_empty(), Instant::now());
        self.failed = pass.failed;
        for service in &touched {
            self.notices.service(&self.store, self.lifecycle.mirror(), service);
        }
    }

    fn view(&self) -> AgentView {
        let attached = self.lifecycle.is_attached();
        let failed = self.failed.iter();
        AgentView {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.source.clone(),
            ready: attached && self.store.is_ready(),
            attached,
            refuses_by: self.lifecycle.refuses_by().map(str::to_owned),
            passes: self.passes,
            failed: failed
                .map(|(service, error)| Failed { service: service.to_string(), why: error.to_string() })
                .collect(),
            ..AgentView::of(&self.store, self.lifecycle.mirror())
        }
        .with(&self.report)
    }
}
