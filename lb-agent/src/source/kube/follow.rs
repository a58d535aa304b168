//! Following all kinds at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::model::Kind;
use crate::source::Batch;

use super::desk::{Desk, Timing};
use super::herald::{Herald, Pace};
use super::link::Link;
use super::outbox::Outbox;
use super::watch::Watch;

/// Follows the API server until it is dropped.
#[derive(Debug)]
pub struct Follower {
    /// Aborted with it.
    tasks: JoinSet<()>,
}

/// Follows the API server on the runtime that this is called on, and calls `send` first with
/// everything, then with each change. It ends when `send` answers false. What goes wrong is in
/// the batches' reports: it is tried again for ever.
pub fn follow(link: &Link, timing: Timing, send: impl FnMut(Batch) -> bool + Send + 'static) -> Follower {
    let desk = Arc::new(Desk::new(link.server(), send));
    let mut tasks = JoinSet::new();
    for kind in [Kind::Node, Kind::Service, Kind::EndpointSlice] {
        let watch = Watch::new(kind, link.clone(), timing, Arc::clone(&desk));
        tasks.spawn(watch.run());
    }
    Follower { tasks }
}

impl Follower {
    /// Says on the Services themselves what `outbox` holds, beside following them, in the name of
    /// the agent on `node`.
    #[must_use]
    pub fn telling(mut self, link: &Link, outbox: Outbox, node: &str, pace: Pace) -> Self {
        self.tasks.spawn(Herald::new(link.clone(), outbox, node.to_owned(), pace).run());
        self
    }
}
