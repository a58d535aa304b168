//! A real folder and its follower.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::follow::{Batch, Follower, follow_with};
use super::super::watch::{MakeWatch, Watch};
use super::words;

pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than anything that is sent at once takes, shorter than the looks without an event.
pub(super) const QUIET: Duration = Duration::from_millis(300);

pub(super) struct Site {
    root: TempDir,
    pub(super) batches: Option<Receiver<Batch>>,
    pub(super) follower: Option<Follower>,
}

impl Site {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("conf")).unwrap();
        Self { root, batches: None, follower: None }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes outside the folder, then renames into it.
    pub(super) fn put(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    pub(super) fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    /// Replaces a link in one step, as a volume does.
    pub(super) fn swap(&self, target: impl AsRef<Path>, name: &str) {
        self.link(target, "new-link");
        fs::rename(self.path("new-link"), self.path(name)).unwrap();
    }

    pub(super) fn follow(&mut self) -> Batch {
        self.follow_with(Watch::new)
    }

    pub(super) fn follow_with(&mut self, watch: MakeWatch) -> Batch {
        let (send, batches) = channel();
        let follower = follow_with(self.path("conf"), watch, move |batch| send.send(batch).is_ok()).unwrap();
        self.follower = Some(follower);
        self.batches = Some(batches);
        self.next()
    }

    pub(super) fn next(&self) -> Batch {
        self.batches.as_ref().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until all changes since then read `expected`.
    pub(super) fn expect(&self, expected: &str) {
        let until = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while words(&all) != expected {
            let left = until.saturating_duration_since(Instant::now());
            match self.batches.as_ref().unwrap().recv_timeout(left) {
                Ok(batch) => all.extend(batch.changes),
                Err(_) => panic!("{:?} instead of {expected:?}", words(&all)),
            }
        }
    }

    pub(super) fn expect_quiet(&self) {
        match self.batches.as_ref().unwrap().recv_timeout(QUIET) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("nothing was to be sent: {other:?}"),
        }
    }
}

pub(super) fn problems(batch: &Batch) -> Vec<String> {
    batch.report.problems().iter().map(|problem| problem.message.clone()).collect()
}
