//! A folder followed live: what changes in it is sent within milliseconds.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::model::{Change, FileProblem, FileReport, Kind, KnownFile, OfFile};

use super::disk::Disk;
use super::folder::Folder;
use super::load::FolderError;
use super::scanner::{Look, Scanner};
use super::watch::{MakeWatch, Signal, Watch, Watching};

/// Events this close together are one batch.
const TOGETHER: Duration = Duration::from_millis(1);

/// What was seen in one go.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first batch has every object and ends with [`Change::Synced`] for each kind.
    pub changes: Vec<Change>,
    pub report: FileReport,
    /// When the first event of this batch was seen.
    pub at: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Folder(#[from] FolderError),

    #[error("could not start a thread")]
    Thread(#[source] io::Error),
}

/// Follows the folder until it is dropped.
#[derive(Debug)]
pub struct Follower {
    stop: Sender<Signal>,
    stopped: Arc<AtomicBool>,
    /// Its other end is dropped when the thread ends.
    ended: oneshot::Receiver<()>,
}

impl Follower {
    /// Waits until the thread ends by itself, which it has no reason to while `send` returns true.
    pub async fn ended(&mut self) {
        // Nothing is ever sent.
        drop((&mut self.ended).await);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // The thread may have ended by itself, when nothing received its batches any more.
        drop(self.stop.send(Signal::Stop));
    }
}

/// Follows the manifests in `folder` and calls `send` from a thread of its own, first with
/// everything, then with each change. It ends when `send` returns false.
///
/// # Errors
/// The folder cannot be listed. What goes wrong later is in the batches' reports, and so is that it cannot be watched:
/// it is looked through every second then.
pub fn follow(
    folder: PathBuf,
    send: impl FnMut(Batch) -> bool + Send + 'static,
) -> Result<Follower, FollowError> {
    follow_with(folder, Watch::new, send)
}

pub(super) fn follow_with(
    folder: PathBuf,
    watch: MakeWatch,
    send: impl FnMut(Batch) -> bool + Send + 'static,
) -> Result<Follower, FollowError> {
    let unlistable = |error| FolderError::new(folder.clone(), error);
    std::fs::read_dir(&folder).map_err(unlistable)?;
    let absolute = std::path::absolute(&folder).map_err(unlistable)?;
    let (stop, inbox) = channel();
    let watch = Watching::new(absolute.clone(), stop.clone(), watch);
    let stopped = Arc::new(AtomicBool::new(false));
    let follow = Follow {
        scanner: Scanner::new(Disk::new(0, absolute.clone()), watch),
        folder: Folder::new(vec![absolute]),
        inbox,
        stopped: Arc::clone(&stopped),
        last: FileReport::default(),
        send,
    };
    let thread = thread::Builder::new().name("follow-files".to_owned());
    let (alive, ended) = oneshot::channel();
    let run = move || {
        follow.run();
        drop(alive);
    };
    thread.spawn(run).map_err(FollowError::Thread)?;
    Ok(Follower { stop, stopped, ended })
}

struct Follow<S> {
    scanner: Scanner,
    folder: Folder,
    inbox: Receiver<Signal>,
    stopped: Arc<AtomicBool>,
    /// The report that was sent last.
    last: FileReport,
    send: S,
}

/// Why the follower woke, and what it has to look at.
struct Wake {
    at: Instant,
    look: Look,
}

impl<S: FnMut(Batch) -> bool> Follow<S> {
    fn run(mut self) {
        let start = Instant::now();
        let mut changes = self.look(Look::All, 0);
        changes.extend(Kind::ALL.map(Change::Synced));
        let mut go_on = self.send(changes, start);
        while go_on {
            let Some(wake) = self.wait() else { return };
            // What came meanwhile may belong to what was just seen, as halves of one swap.
            let changes = self.look(wake.look, 2);
            go_on = self.send(changes, wake.at);
        }
    }

    /// Looks, and `more` times at what has come meanwhile. Returns what changed by all of it together.
    fn look(&mut self, look: Look, more: usize) -> Vec<Change> {
        let mut taking = self.folder.begin();
        let since = std::iter::from_fn(|| waiting(&self.inbox)).take(more);
        for look in std::iter::once(look).chain(since) {
            let is_empty = taking.is_empty();
            self.scanner.look(look, is_empty, &mut |file, seen| taking.see(file, seen));
        }
        taking.finish()
    }

    /// Sends a batch if anything is new. Returns whether to go on.
    fn send(&mut self, mut changes: Vec<Change>, at: Instant) -> bool {
        let report = self.report();
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        match (self.last.unknown == 0, report.unknown == 0) {
            // Before the first batch says that this was all.
            (true, false) => changes.insert(0, Change::Incomplete),
            (false, true) => changes.push(Change::Complete),
            (true, true) | (false, false) => {}
        }
        if changes.is_empty() && report == self.last {
            return true;
        }
        report.log_news(&self.last);
        self.last = report.clone();
        (self.send)(Batch { changes, report, at })
    }

    /// What is wrong with the files, and with the folder itself.
    fn report(&self) -> FileReport {
        let mut report = self.folder.report();
        let path = self.scanner.folder();
        if self.scanner.is_blind() && self.folder.is_empty() {
            let known = KnownFile::Never;
            report.set(&path.into(), OfFile { known, ..OfFile::default() });
        }
        report.folder.extend(self.scanner.problems().map(|message| FileProblem {
            file: path.to_owned(),
            document: None,
            object: None,
            field: None,
            message: message.to_owned(),
        }));
        report
    }

    /// Waits for an event or for what is due; `None` is the end.
    fn wait(&mut self) -> Option<Wake> {
        let patience = self.scanner.next_due().saturating_duration_since(Instant::now());
        let mut look = Look::nothing();
        let at = match self.inbox.recv_timeout(patience) {
            Ok(first) => look.add(first)?,
            Err(RecvTimeoutError::Timeout) => return Some(Wake { at: Instant::now(), look: Look::Due }),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let until = at + TOGETHER;
        while let Ok(more) = self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            look.add(more)?;
        }
        // Where events never end, the slow scan still has its turn.
        let look = if self.scanner.is_scan_due() { Look::All } else { look };
        Some(Wake { at, look })
    }
}

/// What the events ask for that have come since, without waiting.
fn waiting(inbox: &Receiver<Signal>) -> Option<Look> {
    let mut look = Look::nothing();
    look.add(inbox.try_recv().ok()?)?;
    while let Ok(more) = inbox.try_recv() {
        look.add(more)?;
    }
    Some(look)
}
