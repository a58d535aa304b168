//! Following all kinds at once.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::model::Kind;
use crate::source::Batch;

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
    send: impl FnMut(Batch) -> bool + Send + 'static,
) -> Follower {
    let sink = Arc::new(ChangeSink::new(client.server(), send));
    let mut tasks = JoinSet::new();
    for kind in Kind::ALL {
        let watch = Watch::new(kind, client.clone(), timing, Arc::clone(&sink));
        tasks.spawn(watch.run());
    }
    Follower { tasks }
}
