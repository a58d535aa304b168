//! What a look at the disk shows, and which missing files are believed to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, Scan};
use super::folder::{FileId, Folder, Seen};
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
/// Where there are very many files it is less often, so that a scan takes a two thousandth of the time; without
/// events, a hundredth.
const SHARE: u32 = 2000;
const SHARE_WITHOUT_EVENTS: u32 = 100;
const SLOWEST_SCAN: Duration = Duration::from_secs(60);

const EMPTY: &str =
    "holds no manifest; to take back everything that was defined here, leave one with nothing but a comment";

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

    /// Looks, and returns what is believed. `known` is what was seen before.
    pub(super) fn look(&mut self, look: Look, known: &Folder) -> Vec<(FileId, Seen)> {
        match look {
            _ if self.is_blind() => self.look_at_everything(Scan::All, known),
            Look::All => self.look_at_everything(Scan::All, known),
            Look::Due if self.is_scan_due() => self.look_at_everything(Scan::Changed, known),
            Look::Due => {
                let unfinished = self.disk.unfinished().map(|name| (name, false)).collect();
                self.look_at_files(unfinished)
            }
            Look::Files(files) if files.keys().any(|name| self.disk.is_link(name)) => {
                self.look_at_everything(Scan::All, known)
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
    /// says nothing about what it held, and neither does one without a single manifest: a volume
    /// that is not mounted looks so.
    fn look_at_everything(&mut self, which: Scan, known: &Folder) -> Vec<(FileId, Seen)> {
        let start = Instant::now();
        let looked = self.watch_and_scan(which);
        let (seldom, share) = match self.unwatched {
            None => (SLOW_SCAN, SHARE),
            Some(_) => (WITHOUT_EVENTS, SHARE_WITHOUT_EVENTS),
        };
        let fair = (start.elapsed() * share).clamp(seldom, SLOWEST_SCAN);
        self.next_scan = Instant::now() + if which == Scan::All { seldom } else { fair };
        let (seen, any_file) = match looked {
            Ok(found) => found,
            Err(error) => return self.go_blind(&format!("could not be listed: {error}")),
        };
        if !any_file && (self.is_blind() || known.is_empty()) {
            return self.go_blind(EMPTY);
        }
        self.blind = None;
        let missing = self.missing_long_enough();
        self.believe(seen, &missing)
    }

    /// What the folder holds, and whether it holds any manifest.
    fn watch_and_scan(&mut self, which: Scan) -> io::Result<(Vec<(FileId, Seen)>, bool)> {
        let mut seen = Vec::new();
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
            let (found, any) = self.disk.scan(which)?;
            seen.extend(found);
            any_file = any;
        }
        Ok((seen, any_file))
    }

    fn go_blind(&mut self, why: &str) -> Vec<(FileId, Seen)> {
        self.blind = Some(format!("{why}; what it held stays"));
        self.missing.clear();
        Vec::new()
    }

    /// Leaves out the files that have only just gone missing and are not `certain` to be gone.
    fn believe(&mut self, seen: Vec<(FileId, Seen)>, certain: &BTreeSet<Arc<str>>) -> Vec<(FileId, Seen)> {
        let any_gone = seen.iter().any(|(_, seen)| *seen == Seen::Gone);
        if any_gone && !self.disk.folder().is_dir() {
            return self.go_blind("does not exist any more");
        }
        let is_gone = |(file, seen): &(FileId, Seen)| *seen == Seen::Gone && certain.contains(&file.name);
        if seen.iter().any(is_gone) && !self.disk.holds_any() {
            return self.go_blind(EMPTY);
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
