//! Following all kinds at once.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::source::{Batch, Besides};

use super::sink::{ChangeSink, Timing};
use super::watch::Watch;
use crate::api::ApiClient;

/// Follows the API server until it is dropped.
#[derive(Debug)]
pub struct Follower {
    /// Aborted with it.
    tasks: JoinSet<()>,
}

impl Follower {
    /// Waits until a watch ends by itself, which it has no reason to while `send` returns true.
    pub async fn ended(&mut self) -> Result<(), JoinError> {
        self.tasks.join_next().await.unwrap_or(Ok(()))
    }
}

/// Follows the API server on the runtime that this is called on, and calls `send` first with
/// everything, then with each change. It ends when `send` returns false. What fails is in the
/// batches' reports, and is tried again for ever.
pub fn follow(
    client: &ApiClient,
    timing: Timing,
    besides: Besides,
    send: impl FnMut(Batch) -> bool + Send + 'static,
) -> Follower {
    let kinds = besides.kinds();
    let Besides { pods_of, namespaces } = besides;
    let here = pods_of.unwrap_or_default();
    let sink = Arc::new(ChangeSink::new(client.server(), &kinds, namespaces, send));
    let mut tasks = JoinSet::new();
    for kind in kinds {
        let watch = Watch::new(kind, Arc::clone(&here), client.clone(), timing, Arc::clone(&sink));
        tasks.spawn(watch.run());
    }
    Follower { tasks }
}
