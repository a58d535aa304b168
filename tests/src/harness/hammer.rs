//! As many connections as fast as possible, each on record: for proofs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::harness::answer::Tally;
use crate::harness::helper::Helper;

/// A client at work. Several of them run side by side.
pub struct Hammer {
    client: Helper,
    log: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HammerReport {
    /// How often each server answered.
    pub answered: BTreeMap<u32, u64>,
    /// How often each errno came back.
    pub failed: Tally,
    pub took: Duration,
}

/// One connection, as the client's log has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Connection {
    /// Before `connect(2)` was called, on the clock of [`now`](crate::now), in nanoseconds.
    pub began: u64,
    /// When the answer was there.
    pub ended: u64,
    /// Who answered; nothing when `errno` is not 0.
    pub id: u32,
    pub errno: i32,
}

impl Hammer {
    pub(crate) fn new(client: Helper, log: PathBuf) -> Self {
        Self { client, log }
    }

    /// Waits for the last connection.
    pub fn finish(self, within: Duration) -> Result<HammerReport> {
        self.finish_with_log(within).map(|(report, _log)| report)
    }

    /// The same, with every single connection in order.
    pub fn finish_with_log(mut self, within: Duration) -> Result<(HammerReport, Vec<Connection>)> {
        let report = self.client.expect(within)?;
        let log = fs::read(&self.log).with_context(|| format!("could not read {}", self.log.display()))?;
        fs::remove_file(&self.log).with_context(|| format!("could not remove {}", self.log.display()))?;
        let connections = log.chunks_exact(size_of::<Connection>()).map(bytemuck::pod_read_unaligned);
        Ok((report, connections.collect()))
    }
}
