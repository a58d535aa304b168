//! A steady rate of connections, and what became of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::harness::answer::Tally;
use crate::harness::helper::Helper;
use crate::harness::pod::PATIENCE;

/// Ends its client when dropped.
pub struct Load {
    report: Arc<Mutex<LoadReport>>,
    stop: Arc<AtomicBool>,
    collector: Option<JoinHandle<Result<()>>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Connections that were answered, by name.
    pub answered: Tally,
    pub failed: Vec<Failure>,
    /// Connections that were due and not made, because the machine was too slow.
    pub skipped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub errno: String,
    /// When `connect(2)` was called, on the clock of [`now`](crate::now).
    pub began: Duration,
}

impl Load {
    pub(crate) fn new(mut client: Helper) -> Result<Self> {
        let report = Arc::new(Mutex::new(client.expect(PATIENCE)?));
        let stop = Arc::new(AtomicBool::new(false));
        let collector = thread::spawn({
            let (report, stop) = (Arc::clone(&report), Arc::clone(&stop));
            move || collect(client, &report, &stop)
        });
        Ok(Self { report, stop, collector: Some(collector) })
    }

    /// What is known so far; a tenth of a second old at most.
    #[must_use]
    pub fn snapshot(&self) -> LoadReport {
        lock(&self.report).clone()
    }

    /// Ends the load and says what became of every connection.
    pub fn stop(mut self) -> Result<LoadReport> {
        self.end()?;
        Ok(self.snapshot())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(collector) = self.collector.take() else { return Ok(()) };
        collector
            .join()
            .map_err(|_panic| anyhow!("the collector of a load panicked"))?
            .context("a load failed")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}

impl LoadReport {
    /// All connections that were made.
    #[must_use]
    pub fn dialled(&self) -> u64 {
        self.answered.values().sum::<u64>() + self.failed.len() as u64
    }

    pub fn add(&mut self, more: Self) {
        let Self { answered, failed, skipped } = more;
        for (name, count) in answered {
            *self.answered.entry(name).or_default() += count;
        }
        self.failed.extend(failed);
        self.skipped += skipped;
    }
}

/// The client says ten times a second what became of its connections since it last said so.
fn collect(mut client: Helper, report: &Mutex<LoadReport>, stop: &AtomicBool) -> Result<()> {
    while let Some(more) = client.next(PATIENCE)? {
        lock(report).add(more);
        if stop.load(Ordering::Relaxed) {
            client.ask_to_end();
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
