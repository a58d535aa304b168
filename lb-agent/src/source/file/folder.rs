//! What all files together define, and what changed. Pure: it gets texts, and never reads a file.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::convert::Interner;
use crate::manifest::{self, Manifest};
use crate::model::{Change, Duplicate, FileReport, Object, ObjectKey, ObjectName, Unread};

use super::definitions::Definitions;
use super::known::File;

/// A file by its folder and name. Of several definitions of one object the first in this
/// order is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// Index into the folders.
    pub folder: usize,
    pub name: Arc<str>,
}

/// What was found when a file was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Text(String),
    /// It is there and cannot be read as a text, for this reason.
    Unreadable(String),
    /// A process has it open for writing.
    BeingWritten,
    Gone,
}

/// The files of one or more folders.
#[derive(Debug)]
pub struct Folder {
    folders: Vec<PathBuf>,
    files: BTreeMap<FileId, File>,
    definitions: Definitions,
    /// How many files have `v1` Endpoints of a Service.
    endpoints: BTreeMap<ObjectName, usize>,
    names: Interner,
    report: FileReport,
}

/// How an object stands in the files.
#[derive(Debug, PartialEq, Eq)]
enum State<O, U> {
    Read(O),
    /// A file names it that cannot be used, and no other defines it.
    Unread(U),
    Absent,
}

/// How things stood before something was seen.
#[derive(Default)]
struct Before {
    objects: BTreeMap<ObjectKey, State<Box<Object>, Box<Unread>>>,
    /// Of which Services there may be other `v1` Endpoints now, and whether there were any.
    endpoints: BTreeMap<ObjectName, bool>,
}

impl Folder {
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            files: BTreeMap::new(),
            definitions: Definitions::default(),
            endpoints: BTreeMap::new(),
            names: Interner::default(),
            report: FileReport::default(),
        }
    }

    /// Takes note of what was seen; returns what changed by it, all sightings together.
    ///
    /// 1. What cannot be read changes nothing: what a file defined last stays. What it names and no file
    ///    defines exists and cannot be read. A file that is known in part takes nothing back.
    /// 2. Of several definitions the first by file is used; when it goes, the next takes over.
    /// 3. An object that reads as before is no change, wherever it stands now.
    pub fn take(&mut self, sightings: Vec<(FileId, Seen)>) -> Vec<Change> {
        let mut taking = self.begin();
        for (file, seen) in sightings {
            taking.see(file, seen);
        }
        taking.finish()
    }

    /// As [`Folder::take`], one sighting after the other.
    pub(super) fn begin(&mut self) -> Taking<'_> {
        Taking { folder: self, before: Before::default() }
    }

    fn changes(&mut self, before: Before) -> Vec<Change> {
        for key in before.objects.keys() {
            let several = self.duplicates(key);
            self.report.duplicates.set(key.clone(), (!several.is_empty()).then(|| several.into()));
        }
        let objects = before.objects.into_iter().filter_map(|(key, old)| match (old, self.state(&key)) {
            (State::Read(old), State::Read(new)) if *old == *new => None,
            (_, State::Read(new)) => Some(Change::Apply(new.clone())),
            (State::Unread(old), State::Unread(new)) if *old == *new => None,
            (_, State::Unread(new)) => Some(Change::Unread(new.clone())),
            (State::Absent, State::Absent) => None,
            (State::Read(_) | State::Unread(_), State::Absent) => Some(Change::Delete(key)),
        });
        let endpoints = before.endpoints.into_iter().filter_map(|(service, had)| {
            let has = self.endpoints.contains_key(&service);
            (had != has).then_some(if has {
                Change::Endpoints(service)
            } else {
                Change::NoEndpoints(service)
            })
        });
        objects.chain(endpoints).collect()
    }

    /// No file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    #[must_use]
    pub fn report(&self) -> FileReport {
        self.report.clone()
    }

    fn path(&self, file: &FileId) -> Arc<Path> {
        let folder = self.folders.get(file.folder).cloned().unwrap_or_default();
        folder.join(&*file.name).into()
    }

    fn object(&self, key: &ObjectKey) -> Option<&Object> {
        self.files.get(self.definitions.used(key)?)?.object(key)
    }

    fn state(&self, key: &ObjectKey) -> State<&Object, &Unread> {
        let unread = || self.files.get(self.definitions.unread(key)?)?.unread.get(key);
        match (self.object(key), unread()) {
            (Some(object), _) => State::Read(object),
            (None, Some(unread)) => State::Unread(unread),
            (None, None) => State::Absent,
        }
    }

    fn duplicates(&self, key: &ObjectKey) -> Vec<Duplicate> {
        let Some(used) = self.definitions.used(key) else { return Vec::new() };
        let others: Vec<&FileId> = self.definitions.shadowed(key).collect();
        let is_twice = |file: &FileId| self.files.get(file).is_some_and(|file| file.has_twice(key));
        let twice = others.iter().copied().chain([used]).filter(|file| is_twice(file));
        let twice = twice.map(|file| (file, file));
        let pairs = twice.chain(others.iter().map(|other| (used, *other)));
        let duplicate = |(used, ignored)| Duplicate {
            object: key.clone(),
            used: self.path(used).to_path_buf(),
            ignored: self.path(ignored).to_path_buf(),
        };
        pairs.map(duplicate).collect()
    }

    fn take_text(&mut self, id: &FileId, text: &str, before: &mut Before) {
        let hash = Some(hash(text));
        if self.files.get(id).is_some_and(|file| file.hash == hash) {
            return;
        }
        if text.is_empty() {
            // A power cut leaves such files: that does not prove that nothing was to be defined.
            let why = "is empty, as a half-written file is; one that is to define nothing holds a comment";
            self.take_problem(id, why.to_owned());
        } else {
            let manifest = manifest::read(text, &mut self.names);
            self.replace(id, manifest, before);
        }
        self.files.entry(id.clone()).or_default().hash = hash;
    }

    fn take_problem(&mut self, id: &FileId, why: String) {
        self.files.entry(id.clone()).or_default().set_problem(why);
        self.say(id);
    }

    /// A usable file that is being edited is as good as before, until the writer closes it.
    fn take_unfinished(&mut self, id: &FileId) {
        if !self.files.contains_key(id) {
            self.take_problem(id, "is still being written".to_owned());
        }
    }

    fn take_gone(&mut self, id: &FileId, before: &mut Before) {
        if self.files.contains_key(id) {
            self.replace(id, Manifest::default(), before);
            self.files.remove(id);
            self.say(id);
        }
    }

    /// Puts `new` in the place of what the file defined or named.
    fn replace(&mut self, id: &FileId, new: Manifest, before: &mut Before) {
        let old = self.files.get(id);
        let (had, had_unread) =
            (old.map(File::keys).unwrap_or_default(), old.map(File::unread_keys).unwrap_or_default());
        let had_endpoints = old.map(|old| old.endpoints.clone()).unwrap_or_default();
        for key in had.iter().chain(&had_unread) {
            self.note(key, before);
        }
        for defined in &new.objects {
            self.note(&defined.object.key(), before);
        }
        for unread in &new.unread {
            self.note(&unread.key(), before);
        }
        let file = self.files.remove(id).unwrap_or_default().with(new);
        for key in &had_unread {
            self.definitions.remove_unread(key, id);
        }
        for key in &had {
            self.definitions.remove(key, id);
        }
        for key in &file.keys() {
            self.definitions.add(key, id);
        }
        for key in &file.unread_keys() {
            self.definitions.add_unread(key, id);
        }
        self.count_endpoints(&had_endpoints, &file.endpoints, before);
        self.files.insert(id.clone(), file);
        self.say(id);
    }

    fn count_endpoints(
        &mut self,
        had: &BTreeSet<ObjectName>,
        has: &BTreeSet<ObjectName>,
        before: &mut Before,
    ) {
        for service in had.symmetric_difference(has) {
            let count = self.endpoints.entry(service.clone()).or_default();
            before.endpoints.entry(service.clone()).or_insert(*count > 0);
            *count = if has.contains(service) { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.endpoints.remove(service);
            }
        }
    }

    /// Notes how an object stands, before it may stand otherwise.
    fn note(&self, key: &ObjectKey, before: &mut Before) {
        if before.objects.contains_key(key) {
            return;
        }
        let state = match self.state(key) {
            State::Read(object) => State::Read(Box::new(object.clone())),
            State::Unread(unread) => State::Unread(Box::new(unread.clone())),
            State::Absent => State::Absent,
        };
        before.objects.insert(key.clone(), state);
    }

    /// Puts what there is to say of a file into the report.
    fn say(&mut self, id: &FileId) {
        let path = self.path(id);
        let said = self.files.get(id).map(|file| file.said(&path)).unwrap_or_default();
        self.report.set(&path, said);
    }
}

/// Sightings that are taken together.
pub(super) struct Taking<'a> {
    folder: &'a mut Folder,
    before: Before,
}

impl Taking<'_> {
    pub(super) fn see(&mut self, file: FileId, seen: Seen) {
        match seen {
            Seen::Text(text) => self.folder.take_text(&file, &text, &mut self.before),
            Seen::Unreadable(why) => self.folder.take_problem(&file, why),
            Seen::BeingWritten => self.folder.take_unfinished(&file),
            Seen::Gone => self.folder.take_gone(&file, &mut self.before),
        }
    }

    /// No file is known so far.
    pub(super) fn is_empty(&self) -> bool {
        self.folder.is_empty()
    }

    /// What changed.
    pub(super) fn finish(self) -> Vec<Change> {
        self.folder.changes(self.before)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
