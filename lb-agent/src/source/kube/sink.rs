//! Where the watches of all kinds send what they received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::model::{ApiReport, Change, Kind, NamespaceTopology, ObjectKey, SourceReport, SourceState};
use crate::source::{Backlog, Batch};

use crate::api::ApiClient;

/// So many changes may wait for the writer; then the API server waits as well.
const BACKLOG: u32 = 8192;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long the API server lets a watch go on before it ends it. Each watch asks for this
    /// long or up to a fifth less, so that not all end together.
    pub watch: Duration,
    /// A connection on which nothing arrives for so long is dead. Longer than a watch: a watch
    /// on which nothing happens at all still ends in time.
    pub silence: Duration,
    /// How long a list holds that does not surely name everything.
    pub uncertain: Duration,
    /// After so long without any change the server is asked whether it knows our version.
    pub doubt: Duration,
    /// A watch that lasted so long shows that all is well: waits begin anew.
    pub sound: Duration,
}

impl Default for Timing {
    /// A dead link is noticed after 25 s, whatever stands between: the kernel's own probes
    /// (`dial`) find most of them after 12 s, but not a proxy whose other side is dead. A
    /// watch's renewal costs the API server one request on an open connection.
    fn default() -> Self {
        Self {
            watch: Duration::from_secs(20),
            silence: Duration::from_secs(25),
            uncertain: Duration::from_secs(60),
            doubt: Duration::from_secs(300),
            sound: Duration::from_secs(10),
        }
    }
}

/// Shared by the watches of all kinds.
pub(super) struct ChangeSink {
    inner: Mutex<Inner>,
    room: Arc<Semaphore>,
}

struct Inner {
    send: Box<dyn FnMut(Batch) -> bool + Send>,
    /// The kinds whose lists do not surely name everything.
    unlisted: BTreeSet<Kind>,
    /// Of each kind, and of the connection.
    notes: BTreeMap<Option<Kind>, Vec<String>>,
    report: ApiReport,
}

/// Nothing receives the changes any more.
#[derive(Debug)]
pub(super) struct Closed;

impl ChangeSink {
    pub(super) fn new(
        server: String,
        kinds: &[Kind],
        namespaces: NamespaceTopology,
        send: impl FnMut(Batch) -> bool + Send + 'static,
    ) -> Self {
        let inner = Inner {
            send: Box::new(send),
            unlisted: BTreeSet::new(),
            notes: BTreeMap::new(),
            report: ApiReport { namespaces, ..ApiReport::new(server, kinds) },
        };
        Self { inner: Mutex::new(inner), room: Arc::new(Semaphore::new(BACKLOG as usize)) }
    }

    /// Sends changes on, once there is room for them.
    pub(super) async fn changes(
        &self,
        kind: Kind,
        mut changes: Vec<Change>,
        problems: Option<Vec<(ObjectKey, String)>>,
    ) -> Result<(), Closed> {
        if changes.is_empty() && problems.is_none() {
            return Ok(());
        }
        let at = Instant::now();
        let size = u32::try_from(changes.len()).unwrap_or(BACKLOG).clamp(1, BACKLOG);
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_closed| Closed)?;
        let mut inner = self.lock();
        changes.retain(|change| inner.is_of_all(kind, change));
        if let Some(problems) = problems {
            for one in &problems {
                // They are kept sorted.
                if inner.report.objects.binary_search(one).is_err() {
                    let (object, problem) = one;
                    tracing::warn!(%object, problem, "a part of an object cannot be used");
                }
            }
            inner.report.set_objects(kind, problems.into_iter());
        }
        inner.send_on(changes, at, Backlog::of(room))
    }

    /// Everything of this kind has come, and changes come as they happen.
    pub(super) fn in_sync(&self, kind: Kind, client: &ApiClient) -> Result<(), Closed> {
        let mut inner = self.lock();
        let unclaimed = client.is_unclaimed().then(|| UNCLAIMED.to_owned());
        let is_new_note = inner.note(None, unclaimed.into_iter().collect());
        if inner.report.enter(kind, SourceState::InSync) {
            tracing::info!(kind = kind.label(), server = inner.report.server, "in sync with the API server");
        } else if !is_new_note {
            return Ok(());
        }
        inner.send_on(Vec::new(), Instant::now(), Backlog::default())
    }

    /// What an operator should know of how this kind is followed, in place of what was said of that before.
    pub(super) fn notes(&self, kind: Kind, notes: Vec<String>) -> Result<(), Closed> {
        let mut inner = self.lock();
        for note in &notes {
            if !inner.report.notes.contains(note) {
                tracing::warn!(kind = kind.label(), server = inner.report.server, "{note}");
            }
        }
        if inner.note(Some(kind), notes) {
            inner.send_on(Vec::new(), Instant::now(), Backlog::default())
        } else {
            Ok(())
        }
    }

    /// An agent that was installed without the right to read what decides nothing goes on without it.
    pub(super) fn refused(&self, kind: Kind) -> Result<(), Closed> {
        if kind.is_deciding() {
            return Ok(());
        }
        if kind == Kind::Namespace && self.lock().report.namespaces == NamespaceTopology::On {
            return self.notes(kind, vec![NO_NAMESPACES.to_owned()]);
        }
        let note = format!(
            "refuses {}s to the agent: which pods are labelled edgeloop.io/skip is not known; give it the right to list \
             and watch pods and namespaces, or start it with --skip-labelled-pods=off",
            kind.label()
        );
        self.notes(kind, vec![note])
    }

    /// Logs what came in place of what was asked for, once.
    pub(super) fn warn_of(&self, kind: Kind, what: &str) {
        let inner = self.lock();
        if !inner.report.is_last_failure(kind, what) {
            tracing::warn!(kind = kind.label(), server = inner.report.server, "the API server {what}");
        }
    }

    /// A request failed. What has come stays, and is as old as this moment.
    pub(super) fn failed(&self, kind: Kind, why: &str, synced: bool) -> Result<(), Closed> {
        let mut inner = self.lock();
        let state = if synced { SourceState::Behind } else { SourceState::Starting };
        let is_new = inner.report.enter(kind, state);
        inner.report.failed(kind, why.to_owned());
        let server = inner.report.server.clone();
        if is_new {
            tracing::warn!(
                kind = kind.label(),
                server,
                error = why,
                "the API server sends no changes; the last known state holds"
            );
        } else {
            tracing::debug!(kind = kind.label(), server, error = why, "the API server still sends nothing");
        }
        inner.send_on(Vec::new(), Instant::now(), Backlog::default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The report is whole between any two of its changes.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_NAMESPACES: &str = "refuses Namespaces to the agent: which topology they give their Services is not known, and those \
                             without one of their own wait for it; give it the right to list and watch namespaces, or \
                             start it without --namespace-topology";

const UNCLAIMED: &str = "the agent's own connections are not known to the kernel programs (that takes CAP_NET_ADMIN and CAP_BPF): name an --api-server that is not a Service's address";

impl Inner {
    /// Notes whether lists of `kind` name everything. Returns whether the change holds for all kinds together.
    fn is_of_all(&mut self, kind: Kind, change: &Change) -> bool {
        match change {
            Change::Unlisted => {
                self.unlisted.insert(kind);
                true
            }
            Change::Complete => {
                self.unlisted.remove(&kind);
                self.unlisted.is_empty()
            }
            Change::Apply(_)
            | Change::Delete(_)
            | Change::Unread(_)
            | Change::Synced(_)
            | Change::Endpoints(_)
            | Change::NoEndpoints(_)
            | Change::Incomplete => true,
        }
    }

    /// Returns whether that is news.
    fn note(&mut self, kind: Option<Kind>, notes: Vec<String>) -> bool {
        self.notes.insert(kind, notes);
        let notes: Vec<String> = self.notes.values().flatten().cloned().collect();
        let is_news = self.report.notes != notes;
        self.report.notes = notes;
        is_news
    }

    fn send_on(&mut self, changes: Vec<Change>, at: Instant, backlog: Backlog) -> Result<(), Closed> {
        let report = SourceReport::Api(self.report.clone());
        if (self.send)(Batch { changes, report, at, backlog }) { Ok(()) } else { Err(Closed) }
    }
}
