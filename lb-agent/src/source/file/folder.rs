//! What all files together define, and what changed. Pure: it gets texts, and never reads a file.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use crate::convert::Interner;
use crate::manifest::{self, Format, LeftOut, Manifest, Rejected, Unusable};
use crate::model::{Change, Duplicate, FileNote, FileProblem, FileReport, Object, ObjectKey, Unread};

use super::definitions::Definitions;

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
    names: Interner,
}

#[derive(Debug, Default)]
struct File {
    /// Of the text that was read last, good or not.
    hash: Option<u64>,
    /// What the last usable text defined; `None` while there was none.
    good: Option<Good>,
    problem: Option<Unusable>,
    /// The objects that unusable texts named since then.
    unread: BTreeMap<ObjectKey, Unread>,
}

/// How an object stands in the files.
#[derive(Debug, PartialEq, Eq)]
enum State<O, U> {
    Read(O),
    /// A file names it that cannot be used, and no other defines it.
    Unread(U),
    Absent,
}

/// How objects stood before something was seen.
type Before = BTreeMap<ObjectKey, State<Object, Unread>>;

#[derive(Debug, Default)]
struct Good {
    /// Sorted by key, each key once.
    objects: Vec<(ObjectKey, Object)>,
    /// Objects that stand in the file more than once.
    twice: Vec<ObjectKey>,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
}

impl Folder {
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            files: BTreeMap::new(),
            definitions: Definitions::default(),
            names: Interner::default(),
        }
    }

    /// Takes note of what was seen; returns what changed by it, all sightings together.
    ///
    /// 1. A file that cannot be used changes nothing: what it defined last stays. What it names
    ///    and no file defines exists and cannot be read.
    /// 2. Of several definitions the first by file is used; when it goes, the next takes over.
    /// 3. An object that reads as before is no change, wherever it stands now.
    pub fn take(&mut self, sightings: Vec<(FileId, Seen)>) -> Vec<Change> {
        let mut before = Before::new();
        for (file, seen) in sightings {
            match seen {
                Seen::Text(text) => self.take_text(&file, &text, &mut before),
                Seen::Unreadable(why) => self.take_problem(&file, unreadable(why)),
                Seen::BeingWritten => self.take_unfinished(&file),
                Seen::Gone => self.take_gone(&file, &mut before),
            }
        }
        let changes = before.into_iter().filter_map(|(key, old)| match (old, self.state(&key)) {
            (State::Read(old), State::Read(new)) if old == *new => None,
            (_, State::Read(new)) => Some(Change::Apply(new.clone())),
            (State::Unread(old), State::Unread(new)) if old == *new => None,
            (_, State::Unread(new)) => Some(Change::Unread(new.clone())),
            (State::Absent, State::Absent) => None,
            (State::Read(_) | State::Unread(_), State::Absent) => Some(Change::Delete(key)),
        });
        changes.collect()
    }

    /// The objects that count, in order of their keys.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.definitions.keys().filter_map(|key| self.object(key))
    }

    /// No file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    #[must_use]
    pub fn report(&self) -> FileReport {
        let mut report = FileReport::default();
        for (id, file) in &self.files {
            let path = || self.path(id);
            if let Some(Unusable { document, field, message }) = file.problem.clone() {
                report.problems.push(FileProblem { file: path(), document, field, message });
            }
            let Some(good) = &file.good else {
                report.incomplete.push(path());
                continue;
            };
            report.left_out.extend(good.left_out.iter().map(|part| FileNote {
                file: path(),
                document: Some(part.document),
                text: part.text.clone(),
            }));
            let notes = good.notes.iter().cloned();
            report.notes.extend(notes.map(|text| FileNote { file: path(), document: None, text }));
            let twice = good.twice.iter().cloned();
            report.duplicates.extend(twice.map(|object| Duplicate { object, used: path(), ignored: path() }));
        }
        for (object, used, others) in self.definitions.several() {
            report.duplicates.extend(others.iter().map(|other| Duplicate {
                object: object.clone(),
                used: self.path(used),
                ignored: self.path(other),
            }));
        }
        report
    }

    fn path(&self, file: &FileId) -> PathBuf {
        let folder = self.folders.get(file.folder).cloned().unwrap_or_default();
        folder.join(&*file.name)
    }

    fn object(&self, key: &ObjectKey) -> Option<&Object> {
        let file = self.definitions.used(key)?;
        let objects = &self.files.get(file)?.good.as_ref()?.objects;
        let at = objects.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        objects.get(at).map(|(_, object)| object)
    }

    fn state(&self, key: &ObjectKey) -> State<&Object, &Unread> {
        let unread = || self.files.get(self.definitions.unread(key)?)?.unread.get(key);
        match (self.object(key), unread()) {
            (Some(object), _) => State::Read(object),
            (None, Some(unread)) => State::Unread(unread),
            (None, None) => State::Absent,
        }
    }

    fn take_text(&mut self, id: &FileId, text: &str, before: &mut Before) {
        let hash = Some(hash(text));
        if self.files.get(id).is_some_and(|file| file.hash == hash) {
            return;
        }
        let format = Format::of(&id.name).unwrap_or(Format::Yaml);
        match usable(text).and_then(|text| manifest::read(text, format, &mut self.names)) {
            Err(Rejected { why, objects }) => {
                self.take_problem(id, why);
                self.take_unread(id, objects, before);
            }
            Ok(manifest) => {
                self.replace(id, Good::new(manifest), before);
                self.files.entry(id.clone()).or_default().problem = None;
            }
        }
        self.files.entry(id.clone()).or_default().hash = hash;
    }

    fn take_problem(&mut self, id: &FileId, problem: Unusable) {
        let file = self.files.entry(id.clone()).or_default();
        file.hash = None;
        file.problem = Some(problem);
    }

    /// What the file names stays until it can be used: more of it may be malformed by now.
    fn take_unread(&mut self, id: &FileId, objects: Vec<Unread>, before: &mut Before) {
        for object in objects {
            let key = object.key();
            self.note(&key, before);
            self.definitions.add_unread(&key, id);
            self.files.entry(id.clone()).or_default().unread.insert(key, object);
        }
    }

    /// A usable file that is being edited is as good as before, until the writer closes it.
    fn take_unfinished(&mut self, id: &FileId) {
        let known = self.files.get(id).is_some_and(|file| file.good.is_some() || file.problem.is_some());
        if !known {
            self.take_problem(id, unreadable("is still being written".to_owned()));
        }
    }

    fn take_gone(&mut self, id: &FileId, before: &mut Before) {
        if self.files.contains_key(id) {
            self.replace(id, Good::default(), before);
            self.files.remove(id);
        }
    }

    /// Puts `new` in the place of all that the file defined or named.
    fn replace(&mut self, id: &FileId, new: Good, before: &mut Before) {
        let file = self.files.get(id);
        let unread: Vec<ObjectKey> = file.iter().flat_map(|file| file.unread.keys()).cloned().collect();
        let old = file.and_then(|file| file.good.as_ref());
        let old: Vec<ObjectKey> = old.iter().flat_map(|good| good.keys()).cloned().collect();
        for key in unread.iter().chain(&old).chain(new.keys()) {
            self.note(key, before);
        }
        for key in &unread {
            self.definitions.remove_unread(key, id);
        }
        for key in &old {
            self.definitions.remove(key, id);
        }
        for key in new.keys() {
            self.definitions.add(key, id);
        }
        let file = self.files.entry(id.clone()).or_default();
        file.unread.clear();
        file.good = Some(new);
    }

    /// Notes how an object stands, before it may stand otherwise.
    fn note(&self, key: &ObjectKey, before: &mut Before) {
        if before.contains_key(key) {
            return;
        }
        let state = match self.state(key) {
            State::Read(object) => State::Read(object.clone()),
            State::Unread(unread) => State::Unread(unread.clone()),
            State::Absent => State::Absent,
        };
        before.insert(key.clone(), state);
    }
}

impl Good {
    fn new(manifest: Manifest) -> Self {
        let mut keyed: Vec<(ObjectKey, Object)> =
            manifest.objects.into_iter().map(|defined| (defined.object.key(), defined.object)).collect();
        // Stable: of one key the first written stays first, and is the one kept.
        keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut objects: Vec<(ObjectKey, Object)> = Vec::with_capacity(keyed.len());
        let mut twice = Vec::new();
        for (key, object) in keyed {
            if objects.last().is_none_or(|(last, _)| *last != key) {
                objects.push((key, object));
            } else if twice.last() != Some(&key) {
                twice.push(key);
            }
        }
        objects.shrink_to_fit();
        Self { objects, twice, left_out: manifest.left_out, notes: manifest.notes }
    }

    fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.iter().map(|(key, _)| key)
    }
}

/// A power cut leaves files of length zero: that does not prove that nothing was to be defined.
fn usable(text: &str) -> Result<&str, Rejected> {
    if text.is_empty() {
        let message = "is empty, as a half-written file is; one that is to define nothing holds a comment";
        return Err(Rejected { why: unreadable(message.to_owned()), objects: Vec::new() });
    }
    Ok(text)
}

fn unreadable(message: String) -> Unusable {
    Unusable { document: None, field: None, message }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
