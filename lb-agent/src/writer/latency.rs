//! How long changes take until the maps have them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::model::ObjectName;
use crate::store::Store;
use crate::view::published::Latencies;

use super::reconcile::Pass;

#[derive(Debug)]
pub(super) struct Latency {
    /// Changes from before, which the first lists show, are not counted: as kube-proxy does it.
    started: i64,
    /// When the oldest change was seen that no pass has followed.
    seen: Option<Instant>,
    counted: Arc<Latencies>,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self { started: Timestamp::now().as_millisecond(), seen: None, counted: Arc::default() }
    }

    /// The source has shown changes, the first of them then.
    pub(super) fn seen(&mut self, at: Instant) {
        self.seen = Some(self.seen.map_or(at, |before| before.min(at)));
    }

    /// A pass has ended. What it could not write is not counted: it is tried again.
    pub(super) fn after(&mut self, pass: &Pass, store: &mut Store) {
        let done: BTreeSet<ObjectName> =
            pass.touched.iter().filter(|service| !pass.failed.contains_key(*service)).cloned().collect();
        let changes = store.take_changes(&done);
        let seen = self.seen.take_if(|_| pass.is_done());
        if changes.is_empty() && (seen.is_none() || pass.written == 0) {
            return;
        }
        let now = Timestamp::now().as_millisecond();
        let counted = Arc::make_mut(&mut self.counted);
        for at in changes.into_iter().filter(|at| *at > self.started) {
            counted.network_programming.observe(seconds(now.saturating_sub(at)));
        }
        if let Some(seen) = seen.filter(|_| pass.written > 0) {
            counted.change_to_kernel.observe(seen.elapsed().as_secs_f64());
        }
    }

    pub(super) fn counted(&self) -> Arc<Latencies> {
        Arc::clone(&self.counted)
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
