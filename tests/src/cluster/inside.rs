//! Threads in the control plane's network namespace.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::harness::netns::Netns;

use super::api::runtime_in;

/// Futures run on it as if on the control plane's host, and end with its drop.
pub struct Inside(Runtime);

impl Inside {
    pub(super) fn new(netns: &Arc<Netns>) -> Result<Self> {
        runtime_in(netns).map(Self)
    }

    /// Runs a future and waits for it, if it takes no longer than this.
    pub fn run<T: Send + 'static>(
        &self,
        within: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        self.spawn(async move {
            drop(sender.send(future.await));
        });
        receiver.recv_timeout(within).context("what was to run inside of the namespace takes too long")
    }

    /// Runs a future beside everything else.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }
}
