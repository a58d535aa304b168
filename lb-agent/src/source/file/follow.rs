//! A folder followed live: what changes in it, told within milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::{Change, FileProblem, FileReport, Kind};

use super::disk::{Disk, Scan};
use super::folder::{FileId, Folder, Seen};
use super::load::FolderError;
use super::watch::{Signal, Watch};

/// Events this close together are one batch.
const TOGETHER: Duration = Duration::from_millis(1);
/// How long a file has to be missing to be gone. Editors move the old file away before they
/// write the new one, and who removes a folder removes its files first.
const MISSING: Duration = Duration::from_millis(20);
/// How often a file that someone has open for writing, or a folder that is gone, is looked at
/// without any event.
const UNFINISHED: Duration = Duration::from_secs(1);
/// How often all files are compared with their stamps, so that no lost event lasts.
const SLOW_SCAN: Duration = Duration::from_secs(10);

/// Disposition of a folder in which there is nothing to read.
const EMPTY: &str =
    "holds no manifest; to take back everything that was defined here, leave one with nothing but a comment";

/// What was seen in one go.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first batch tells every object and ends with [`Change::Synced`] for each kind. While
    /// `report.incomplete` names files, nothing may be removed for not having been told.
    pub changes: Vec<Change>,
    pub report: FileReport,
    /// When the first event of this batch was seen.
    pub at: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Folder(#[from] FolderError),

    #[error("could not watch the folder {}", folder.display())]
    Watch {
        folder: PathBuf,
        #[source]
        source: notify::Error,
    },

    #[error("could not start a thread")]
    Thread(#[source] io::Error),
}

/// Follows the folder until it is dropped.
#[derive(Debug)]
pub struct Follower {
    stop: Sender<Signal>,
    stopped: Arc<AtomicBool>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // The thread may have ended by itself, when nobody listened any more.
        drop(self.stop.send(Signal::Stop));
    }
}

/// Follows the manifests in `folder` and calls `send` from a thread of its own, first with
/// everything, then with each change. It ends when `send` answers false.
///
/// # Errors
/// The folder cannot be listed or watched. What goes wrong later is in the batches' reports.
pub fn follow(
    folder: PathBuf,
    send: impl FnMut(Batch) -> bool + Send + 'static,
) -> Result<Follower, FollowError> {
    let unlistable = |error| FolderError::new(folder.clone(), error);
    std::fs::read_dir(&folder).map_err(unlistable)?;
    let absolute = std::path::absolute(&folder).map_err(unlistable)?;
    let (stop, inbox) = channel();
    let unwatched = |source| FollowError::Watch { folder: folder.clone(), source };
    let mut watch = Watch::new(absolute.clone(), stop.clone()).map_err(unwatched)?;
    watch.refresh(std::iter::empty()).map_err(unwatched)?;

    let stopped = Arc::new(AtomicBool::new(false));
    let follow = Follow {
        disk: Disk::new(0, absolute.clone()),
        folder: Folder::new(vec![absolute]),
        watch,
        inbox,
        stopped: Arc::clone(&stopped),
        trouble: None,
        unwatched: None,
        missing: BTreeMap::new(),
        last: FileReport::default(),
        next_scan: Instant::now() + SLOW_SCAN,
        send,
    };
    let thread = thread::Builder::new().name("follow-files".to_owned());
    thread.spawn(move || follow.run()).map_err(FollowError::Thread)?;
    Ok(Follower { stop, stopped })
}

struct Follow<S> {
    disk: Disk,
    folder: Folder,
    watch: Watch,
    inbox: Receiver<Signal>,
    stopped: Arc<AtomicBool>,
    /// What is wrong with the folder itself.
    trouble: Option<String>,
    /// Why events cannot be relied on.
    unwatched: Option<String>,
    /// Files that are not there, since when; not yet believed to be gone.
    missing: BTreeMap<Arc<str>, Instant>,
    last: FileReport,
    next_scan: Instant,
    send: S,
}

/// Why the follower woke, and what it has to look at.
struct Wake {
    at: Instant,
    look: Look,
}

enum Look {
    /// These files; true where one that is missing is gone for certain.
    Files(BTreeMap<Arc<str>, bool>),
    /// Everything, because something in the ways that lead to the files has changed.
    All,
    /// Nothing has happened; it is only time to make sure.
    Due,
}

impl<S: FnMut(Batch) -> bool> Follow<S> {
    fn run(mut self) {
        let start = Instant::now();
        let seen = self.look(Look::All);
        let mut changes = self.folder.take(seen);
        changes.extend(Kind::ALL.map(Change::Synced));
        let mut go_on = self.tell(changes, start);
        while go_on {
            let Some(wake) = self.wait() else { return };
            let mut seen = self.look(wake.look);
            // What came meanwhile may belong to what was just seen, as halves of one swap.
            for _ in 0..2 {
                let Some(look) = self.waiting() else { break };
                seen.extend(self.look(look));
            }
            let changes = self.folder.take(seen);
            go_on = self.tell(changes, wake.at);
        }
    }

    /// Sends a batch if there is anything new to say.
    fn tell(&mut self, mut changes: Vec<Change>, at: Instant) -> bool {
        let mut report = self.folder.report();
        if self.trouble.is_some() && self.folder.is_empty() {
            report.incomplete.push(self.disk.folder().to_owned());
        }
        let of_folder = [&self.trouble, &self.unwatched].into_iter().flatten();
        report.problems.extend(of_folder.map(|message| FileProblem {
            file: self.disk.folder().to_owned(),
            document: None,
            field: None,
            message: message.clone(),
        }));
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        match (self.last.incomplete.is_empty(), report.incomplete.is_empty()) {
            // Before it is said that this was all.
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

    /// Waits for an event or for what is due; `None` is the end.
    fn wait(&mut self) -> Option<Wake> {
        let patience = self.next_due().saturating_duration_since(Instant::now());
        let mut look = Look::Files(BTreeMap::new());
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
        let look = if Instant::now() < self.next_scan { look } else { Look::All };
        Some(Wake { at, look })
    }

    fn next_due(&self) -> Instant {
        let soon = self.disk.unfinished().next().is_some() || self.trouble.is_some();
        let again = soon.then(|| Instant::now() + UNFINISHED);
        let missing = self.missing.values().map(|since| *since + MISSING);
        missing.chain(again).fold(self.next_scan, Instant::min)
    }

    /// What has been told since, without waiting.
    fn waiting(&mut self) -> Option<Look> {
        let mut look = Look::Files(BTreeMap::new());
        look.add(self.inbox.try_recv().ok()?)?;
        while let Ok(more) = self.inbox.try_recv() {
            look.add(more)?;
        }
        Some(look)
    }

    fn look(&mut self, look: Look) -> Vec<(FileId, Seen)> {
        match look {
            _ if self.trouble.is_some() => self.look_at_everything(Scan::All),
            Look::All => self.look_at_everything(Scan::All),
            Look::Due if Instant::now() >= self.next_scan => self.look_at_everything(Scan::Changed),
            Look::Due => {
                let unfinished = self.disk.unfinished().map(|name| (name, false)).collect();
                self.look_at_files(unfinished)
            }
            Look::Files(files) if files.keys().any(|name| self.disk.is_link(name)) => {
                self.look_at_everything(Scan::All)
            }
            Look::Files(files) => self.look_at_files(files),
        }
    }

    /// Looks at some files, and again at those that have been missing long enough.
    fn look_at_files(&mut self, mut files: BTreeMap<Arc<str>, bool>) -> Vec<(FileId, Seen)> {
        files.extend(self.missing_long_enough().into_iter().map(|name| (name, true)));
        let seen = files.keys().filter_map(|name| self.disk.look_at(name)).collect();
        let certain = files.into_iter().filter(|(_, certain)| *certain).map(|(name, _)| name).collect();
        self.believe(seen, &certain)
    }

    /// Watches what is to be watched now, then looks through the folder. A folder that is gone
    /// says nothing about what it held, nor does one without a single manifest: so a volume looks
    /// that is not mounted.
    fn look_at_everything(&mut self, which: Scan) -> Vec<(FileId, Seen)> {
        self.next_scan = Instant::now() + SLOW_SCAN;
        let mut seen = Vec::new();
        let mut any_file = false;
        self.unwatched = None;
        // Links that are found lead to new places, which may have changed before they were
        // watched: once more then.
        for round in 0..3 {
            match self.watch.refresh(self.disk.links()) {
                Ok(any_new) if round == 0 || any_new => {}
                Ok(_) => break,
                Err(error) => {
                    self.unwatched = Some(format!("could not be watched, only read every 10 s: {error}"))
                }
            }
            match self.disk.scan(which) {
                Ok((found, any)) => {
                    seen.extend(found);
                    any_file = any;
                }
                Err(error) => return self.in_trouble(format!("could not be listed: {error}")),
            }
        }
        if !any_file && (self.trouble.is_some() || self.folder.is_empty()) {
            return self.in_trouble(EMPTY.to_owned());
        }
        self.trouble = None;
        let missing = self.missing_long_enough();
        self.believe(seen, &missing)
    }

    /// Nothing is known of the folder's files: what they defined stays.
    fn in_trouble(&mut self, message: String) -> Vec<(FileId, Seen)> {
        self.trouble = Some(message + "; what it held stays");
        self.missing.clear();
        Vec::new()
    }

    /// Leaves out the files that have only just gone missing and are not `certain` to be gone.
    fn believe(&mut self, seen: Vec<(FileId, Seen)>, certain: &BTreeSet<Arc<str>>) -> Vec<(FileId, Seen)> {
        let any_gone = seen.iter().any(|(_, seen)| *seen == Seen::Gone);
        if any_gone && !self.disk.folder().is_dir() {
            return self.in_trouble("does not exist any more".to_owned());
        }
        let is_gone = |(file, seen): &(FileId, Seen)| *seen == Seen::Gone && certain.contains(&file.name);
        if seen.iter().any(is_gone) && !self.disk.holds_any() {
            return self.in_trouble(EMPTY.to_owned());
        }
        let mut believed = Vec::with_capacity(seen.len());
        for (file, seen) in seen {
            if seen != Seen::Gone {
                self.missing.remove(&file.name);
            } else if certain.contains(&file.name) {
                self.missing.remove(&file.name);
                self.disk.forget(&file.name);
            } else {
                self.missing.entry(file.name).or_insert_with(Instant::now);
                continue;
            }
            believed.push((file, seen));
        }
        believed
    }

    fn missing_long_enough(&self) -> BTreeSet<Arc<str>> {
        let over = self.missing.iter().filter(|(_, since)| since.elapsed() >= MISSING);
        over.map(|(name, _)| Arc::clone(name)).collect()
    }
}

impl Look {
    /// Adds what a signal asks for, and answers when it was seen; `None` is the end.
    fn add(&mut self, signal: Signal) -> Option<Instant> {
        match signal {
            Signal::Stop => None,
            Signal::Everything(at) => {
                *self = Self::All;
                Some(at)
            }
            Signal::File(at, name) => {
                if let Self::Files(files) = self {
                    files.entry(name).or_default();
                }
                Some(at)
            }
            Signal::Renamed(at, name) => {
                if let Self::Files(files) = self {
                    files.insert(name, true);
                }
                Some(at)
            }
        }
    }
}
