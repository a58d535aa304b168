//! Where the watches hand in what they were told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::model::{ApiReport, Change, Kind, ObjectKey, SourceReport, SourceState};
use crate::source::{Backlog, Batch};

use crate::api::{ApiClient, RequestError};

/// So many changes may wait for whoever takes them; then the API server waits as well.
const BACKLOG: u32 = 8192;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long the API server lets a watch go on before it ends it. Each watch asks for
    /// something between this and a fifth less, lest all end together.
    pub watch: Duration,
    /// A connection on which nothing arrives for so long is dead. Longer than a watch: a watch
    /// on which nothing happens at all still ends in time.
    pub silence: Duration,
}

impl Default for Timing {
    /// A dead link is noticed after 25 s, whatever stands between: the kernel's own probes
    /// (`dial`) find most of them after 12 s, but not a proxy whose other side is dead. A
    /// watch's renewal costs the API server one request on an open connection.
    fn default() -> Self {
        Self { watch: Duration::from_secs(20), silence: Duration::from_secs(25) }
    }
}

/// Shared by the watches of all kinds.
pub(super) struct ChangeSink {
    inner: Mutex<Inner>,
    room: Arc<Semaphore>,
}

struct Inner {
    send: Box<dyn FnMut(Batch) -> bool + Send>,
    report: ApiReport,
}

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Closed;

impl ChangeSink {
    pub(super) fn new(server: String, send: impl FnMut(Batch) -> bool + Send + 'static) -> Self {
        let inner = Inner { send: Box::new(send), report: ApiReport::new(server) };
        Self { inner: Mutex::new(inner), room: Arc::new(Semaphore::new(BACKLOG as usize)) }
    }

    /// Sends changes on, once there is room for them.
    pub(super) async fn changes(
        &self,
        kind: Kind,
        changes: Vec<Change>,
        said: Option<Vec<(ObjectKey, String)>>,
    ) -> Result<(), Closed> {
        if changes.is_empty() && said.is_none() {
            return Ok(());
        }
        let at = Instant::now();
        let size = u32::try_from(changes.len()).unwrap_or(BACKLOG).clamp(1, BACKLOG);
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_closed| Closed)?;
        let mut inner = self.lock();
        if let Some(said) = said {
            for one in &said {
                // They are kept sorted.
                if inner.report.objects.binary_search(one).is_err() {
                    let (object, text) = one;
                    tracing::warn!(%object, problem = text, "a part of an object cannot be used");
                }
            }
            inner.report.set_objects(kind, said.into_iter());
        }
        inner.tell(changes, at, Backlog::of(room))
    }

    /// Everything of this kind was told, and what changes from now on will be.
    pub(super) fn in_sync(&self, kind: Kind, link: &ApiClient) -> Result<(), Closed> {
        let mut inner = self.lock();
        let notes = if link.is_unclaimed() { vec![UNCLAIMED.to_owned()] } else { Vec::new() };
        let is_new_note = inner.report.notes != notes;
        inner.report.notes = notes;
        if inner.report.enter(kind, SourceState::InSync) {
            tracing::info!(kind = kind.label(), server = inner.report.server, "in sync with the API server");
        } else if !is_new_note {
            return Ok(());
        }
        inner.tell(Vec::new(), Instant::now(), Backlog::default())
    }

    /// What was told last stays, and is as old as this moment.
    pub(super) fn trouble(&self, kind: Kind, trouble: &RequestError, synced: bool) -> Result<(), Closed> {
        let mut inner = self.lock();
        let state = if synced { SourceState::Behind } else { SourceState::Starting };
        let is_new = inner.report.enter(kind, state);
        inner.report.failed(kind, trouble.to_string());
        let server = inner.report.server.clone();
        if is_new {
            tracing::warn!(kind = kind.label(), server, %trouble, "the API server tells no changes; the last known state holds");
        } else {
            tracing::debug!(kind = kind.label(), server, %trouble, "the API server still tells nothing");
        }
        inner.tell(Vec::new(), Instant::now(), Backlog::default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The report is whole between any two of its changes.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const UNCLAIMED: &str = "the agent's own connections are not known to the kernel programs (that takes CAP_NET_ADMIN and CAP_BPF): name an --api-server that is not a Service's address";

impl Inner {
    fn tell(&mut self, changes: Vec<Change>, at: Instant, backlog: Backlog) -> Result<(), Closed> {
        let report = SourceReport::Api(self.report.clone());
        if (self.send)(Batch { changes, report, at, backlog }) { Ok(()) } else { Err(Closed) }
    }
}
