//! Where objects come from: each source tells what it sees as [`Change`]s.

pub mod file;
pub mod kube;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use crate::model::Change;

/// What a source saw in one go.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Every object is told once, and when all of a kind were, [`Change::Synced`].
    pub changes: Vec<Change>,
    pub report: Report,
    /// When the first of it was seen.
    pub at: Instant,
    /// Given back when the batch is dropped.
    pub backlog: Backlog,
}

/// Room that a batch takes up while it waits: when too much of it waits, its source does.
#[derive(Clone, Debug, Default)]
pub struct Backlog(
    #[expect(dead_code, reason = "held, and given back on drop")] Option<Arc<OwnedSemaphorePermit>>,
);

impl Backlog {
    pub(crate) fn of(room: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(room)))
    }
}

impl From<file::Batch> for Batch {
    fn from(batch: file::Batch) -> Self {
        let file::Batch { changes, report, at } = batch;
        Self { changes, report: Report::Files(report), at, backlog: Backlog::default() }
    }
}

/// What a source has to say beside its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Files(file::Report),
    Kube(kube::Report),
}

impl Default for Report {
    fn default() -> Self {
        Self::Files(file::Report::default())
    }
}

impl Report {
    /// Whether a part of the source could never be read. What it defines is unknown, and
    /// unknown is not empty: nothing may be removed for not having been told.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Files(report) => !report.incomplete.is_empty(),
            // A kind whose list never ended was never told to be in sync.
            Self::Kube(_) => false,
        }
    }
}
