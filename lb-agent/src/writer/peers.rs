//! What the writer says of the backends that UDP sockets may keep, and what became of those that may not.

use std::sync::Arc;

use crate::model::{ObjectName, PeersReport};
use crate::peers::PeersQueue;
use crate::plan::admissions::News;
use crate::store::Store;

use super::reconcile::Pass;

#[derive(Debug)]
pub(super) struct Peers {
    /// `None` where no sockets are ended.
    queue: Option<PeersQueue>,
    report: Arc<PeersReport>,
}

impl Peers {
    pub(super) fn new(queue: Option<PeersQueue>) -> Self {
        let report = if queue.is_some() { PeersReport::default() } else { PeersReport::off() };
        Self { queue, report: report.into() }
    }

    /// Which backends sockets may keep by now. Only when the maps are written: what dials again is to be given another one.
    /// `had_retry`: some of them could not be written before.
    pub(super) fn after(&self, pass: &Pass, store: &Store, had_retry: bool) {
        let Some(queue) = &self.queue else { return };
        let admitted = |name: &ObjectName| Some((name.clone(), store.admitted(name)?));
        let services = pass.touched.iter().filter_map(admitted).collect();
        // What failed before may have been dialled until now.
        queue.put(News { services, known: store.known() }, had_retry && pass.is_done());
    }

    pub(super) fn became(&mut self, report: PeersReport) {
        self.report = Arc::new(report);
    }

    pub(super) fn report(&self) -> Arc<PeersReport> {
        Arc::clone(&self.report)
    }
}
