//! The pods that the programs skip.

use std::sync::atomic::Ordering;

use lb_common::layout::{SKIPPED, SkippedPod};

use crate::plan::skips::{Cgroups, Levels, SkipOp, SkipSteps, Unwanted, skip_steps};
use crate::plan::{ReadError, WriteError};

use super::bpf::Bpf;

/// What the kernel holds of skipped pods could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SkipError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Bpf {
    /// Has the programs skip the pods of these cgroups. Gives what was written.
    ///
    /// # Errors
    /// When a map cannot be read or written: what is missing is written by the next call.
    pub fn skip(&mut self, wanted: &Cgroups, unwanted: Unwanted) -> Result<SkipSteps, SkipError> {
        let levels = self.control().skip_levels().load(Ordering::Relaxed);
        let steps = skip_steps(wanted, &self.skipped()?, levels.to_ne_bytes(), unwanted);
        for op in &steps.ops {
            match op {
                SkipOp::Put { cgroup, level } => {
                    self.maps().skipped.put(cgroup, &SkippedPod { level: *level, zero: 0 })?;
                }
                SkipOp::Levels(levels) => self.set_levels(*levels),
                SkipOp::Remove { cgroup } => self.maps().skipped.remove(cgroup)?,
            }
        }
        Ok(steps)
    }

    /// The cgroups whose pods are skipped.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn skipped(&self) -> Result<Cgroups, ReadError> {
        let held = self.maps().skipped.all()?.into_iter();
        Ok(held.map(|(cgroup, SkippedPod { level, .. })| (cgroup, level)).collect())
    }

    fn set_levels(&self, levels: Levels) {
        self.control().skip_levels().store(u64::from_ne_bytes(levels), Ordering::Relaxed);
    }
}

const _: () = assert!(SKIPPED.key_size as usize == size_of::<u64>());
