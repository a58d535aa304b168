//! Which pod a process is in, by the id of its cgroup.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::cgroup::Cgroup;
use super::pod_cgroups::uid_of;

/// No more folders are looked at.
const MOST: usize = 65_536;
/// All are looked at again this often at most.
const EVERY: Duration = Duration::from_secs(1);

/// The cgroups of pods below a folder, as far as they were seen.
#[derive(Debug)]
pub struct CgroupIndex {
    top: PathBuf,
    /// The pod's uid by the id of its cgroup, or of one in it. What was there once stays: an id is used once a boot.
    pods: BTreeMap<u64, Option<String>>,
    looked: Option<Instant>,
}

impl CgroupIndex {
    /// Those below `top`.
    #[must_use]
    pub fn below(top: &Cgroup) -> Self {
        Self { top: top.path.clone(), pods: BTreeMap::new(), looked: None }
    }

    /// The uid of the pod; `None` for a cgroup that is in none, or was gone before it was seen.
    pub fn pod(&mut self, cgroup: u64) -> Option<&str> {
        if !self.pods.contains_key(&cgroup) && self.looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
            self.look();
        }
        self.pods.get(&cgroup)?.as_deref()
    }

    fn look(&mut self) {
        if self.pods.len() > MOST {
            self.pods.clear();
        }
        let mut left = vec![self.top.clone()];
        for _ in 0..MOST {
            let Some(folder) = left.pop() else { break };
            // One that is gone by now holds no process.
            let (Ok(found), Ok(entries)) = (fs::metadata(&folder), fs::read_dir(&folder)) else { continue };
            self.pods.insert(found.ino(), uid_of(&folder));
            let folders = entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| entry.path()));
        }
        self.looked = Some(Instant::now());
    }
}
