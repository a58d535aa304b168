//! What a look at the disk shows, and which missing files are believed to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, Scan};
use super::folder::{FileId, Seen};
use super::watch::{Signal, Watching};

/// A file that is missing for this long is gone. Editors move the old file away before they write
/// the new one, and whatever removes a folder removes its files first.
const MISSING: Duration = Duration::from_millis(20);
/// A file that a process has open for writing, or a folder that is gone, is looked at this often
/// without any event.
const UNFINISHED: Duration = Duration::from_secs(1);
/// All files are compared with their stamps at least this often, so that no lost event lasts; without events, every
/// second.
const SLOW_SCAN: Duration = Duration::from_secs(10);
const WITHOUT_EVENTS: Duration = Duration::from_secs(1);
/// Where there are very many files it is less often, so that scans take a four thousandth of the time; without
/// events, a hundredth.
const SHARE: u32 = 4000;
const SHARE_WITHOUT_EVENTS: u32 = 100;
const SLOWEST_SCAN: Duration = Duration::from_secs(60);

const EMPTY: &str =
    "holds no manifest; to take back everything that was defined here, leave one with nothing but a comment";

/// Takes each file that was looked at.
pub(super) type Take<'a> = dyn FnMut(FileId, Seen) + 'a;

/// Looks at the folder and its files.
pub(super) struct Scanner {
    disk: Disk,
    watch: Watching,
    /// Why nothing can be said of the folder's files.
    blind: Option<String>,
    /// Why events cannot be relied on.
    unwatched: Option<String>,
    /// Files that are not there, since when; not yet believed to be gone.
    missing: BTreeMap<Arc<str>, Instant>,
    next_scan: Instant,
}

pub(super) enum Look {
    /// These files; true where one that is missing is gone for certain.
    Files(BTreeMap<Arc<str>, bool>),
    /// Everything, because a path that leads to the files has changed.
    All,
    /// Nothing has happened; it is only time to make sure.
    Due,
}

impl Scanner {
    pub(super) fn new(disk: Disk, watch: Watching) -> Self {
        let next_scan = Instant::now() + SLOW_SCAN;
        Self { disk, watch, blind: None, unwatched: None, missing: BTreeMap::new(), next_scan }
    }

    pub(super) fn folder(&self) -> &Path {
        self.disk.folder()
    }

    /// Nothing can be said of the folder's files: what they defined stays.
    pub(super) const fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// What is wrong with the folder itself.
    pub(super) fn problems(&self) -> impl Iterator<Item = &str> {
        [&self.blind, &self.unwatched].into_iter().flatten().map(String::as_str)
    }

    pub(super) fn is_scan_due(&self) -> bool {
        Instant::now() >= self.next_scan
    }

    /// When to look again if no event comes.
    pub(super) fn next_due(&self) -> Instant {
        let soon = self.disk.unfinished().next().is_some() || self.is_blind();
        let again = soon.then(|| Instant::now() + UNFINISHED);
        let missing = self.missing.values().map(|since| *since + MISSING);
        missing.chain(again).fold(self.next_scan, Instant::min)
    }

    /// Looks, and calls `take` with what is believed. `is_empty` says that no file is known yet.
    pub(super) fn look(&mut self, look: Look, is_empty: bool, take: &mut Take<'_>) {
        match look {
            _ if self.is_blind() => self.look_at_everything(Scan::All, is_empty, take),
            Look::All => self.look_at_everything(Scan::All, is_empty, take),
            Look::Due if self.is_scan_due() => self.look_at_everything(Scan::Changed, is_empty, take),
            Look::Due => {
                let unfinished = self.disk.unfinished().map(|name| (name, false)).collect();
                self.look_at_files(unfinished, take);
            }
            Look::Files(files) if files.keys().any(|name| self.disk.is_link(name)) => {
                self.look_at_everything(Scan::All, is_empty, take);
            }
            Look::Files(files) => self.look_at_files(files, take),
        }
    }

    /// Looks at some files, and again at those that have been missing long enough.
    fn look_at_files(&mut self, mut files: BTreeMap<Arc<str>, bool>, take: &mut Take<'_>) {
        files.extend(self.missing_long_enough().into_iter().map(|name| (name, true)));
        let mut gone = BTreeSet::new();
        for name in files.keys() {
            if let Some((file, seen)) = self.disk.look_at(name) {
                sort(file, seen, &mut gone, &mut self.missing, take);
            }
        }
        let certain = files.into_iter().filter(|(_, certain)| *certain).map(|(name, _)| name).collect();
        self.believe(gone, &certain, take);
    }

    /// Watches what is to be watched now, then looks through the folder. A folder that is gone
    /// says nothing about what it held, and neither does one without a single manifest: a volume
    /// that is not mounted looks so.
    fn look_at_everything(&mut self, which: Scan, is_empty: bool, take: &mut Take<'_>) {
        let start = Instant::now();
        let mut gone = BTreeSet::new();
        let looked = self.watch_and_scan(which, &mut gone, take);
        let (seldom, share) = match self.unwatched {
            None => (SLOW_SCAN, SHARE),
            Some(_) => (WITHOUT_EVENTS, SHARE_WITHOUT_EVENTS),
        };
        let fair = (start.elapsed() * share).clamp(seldom, SLOWEST_SCAN);
        self.next_scan = Instant::now() + if which == Scan::All { seldom } else { fair };
        match looked {
            Err(error) => self.go_blind(&format!("could not be listed: {error}")),
            Ok(false) if self.is_blind() || is_empty => self.go_blind(EMPTY),
            Ok(_) => {
                self.blind = None;
                let missing = self.missing_long_enough();
                self.believe(gone, &missing, take);
            }
        }
    }

    /// Takes what the folder holds, notes what is gone, and returns whether it holds any manifest.
    fn watch_and_scan(
        &mut self,
        which: Scan,
        gone: &mut BTreeSet<FileId>,
        take: &mut Take<'_>,
    ) -> io::Result<bool> {
        let mut any_file = false;
        self.unwatched = None;
        // Links that are found lead to new places, which may have changed before they were
        // watched: once more then.
        for round in 0..3 {
            match self.watch.refresh(self.disk.links()) {
                Ok(any_new) if round == 0 || any_new => {}
                Ok(_) => break,
                // One look is enough: nothing new is watched.
                Err(_) if round > 0 => break,
                Err(error) => {
                    self.unwatched = Some(format!("could not be watched, only read every second: {error}"))
                }
            }
            let missing = &mut self.missing;
            any_file = self.disk.scan(which, |file, seen| sort(file, seen, gone, missing, take))?;
        }
        Ok(any_file)
    }

    fn go_blind(&mut self, why: &str) {
        self.blind = Some(format!("{why}; what it held stays"));
        self.missing.clear();
    }

    /// Takes the files as gone that are `certain` to be; the others have only just gone missing.
    fn believe(&mut self, gone: BTreeSet<FileId>, certain: &BTreeSet<Arc<str>>, take: &mut Take<'_>) {
        if !gone.is_empty() && !self.disk.folder().is_dir() {
            return self.go_blind("does not exist any more");
        }
        if gone.iter().any(|file| certain.contains(&file.name)) && !self.disk.holds_any() {
            return self.go_blind(EMPTY);
        }
        for file in gone {
            if certain.contains(&file.name) {
                self.missing.remove(&file.name);
                self.disk.forget(&file.name);
                take(file, Seen::Gone);
            } else {
                self.missing.entry(file.name).or_insert_with(Instant::now);
            }
        }
    }

    fn missing_long_enough(&self) -> BTreeSet<Arc<str>> {
        let over = self.missing.iter().filter(|(_, since)| since.elapsed() >= MISSING);
        over.map(|(name, _)| Arc::clone(name)).collect()
    }
}

/// Takes what is there, and notes what is not.
fn sort(
    file: FileId,
    seen: Seen,
    gone: &mut BTreeSet<FileId>,
    missing: &mut BTreeMap<Arc<str>, Instant>,
    take: &mut Take<'_>,
) {
    if seen == Seen::Gone {
        gone.insert(file);
    } else {
        gone.remove(&file);
        missing.remove(&file.name);
        take(file, seen);
    }
}

impl Look {
    pub(super) const fn nothing() -> Self {
        Self::Files(BTreeMap::new())
    }

    /// Adds what a signal asks for. Returns when it was seen; `None` is the end.
    pub(super) fn add(&mut self, signal: Signal) -> Option<Instant> {
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
