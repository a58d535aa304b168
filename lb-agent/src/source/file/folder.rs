//! What all files together define, and what changed. Pure: told about files, never reads one.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use crate::convert::Interner;
use crate::manifest::{self, Format, Manifest, Oddity, Unusable};
use crate::model::{Change, Duplicate, FileProblem, FileReport, Object, ObjectKey, Remark};

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
    /// Someone has it open for writing.
    BeingWritten,
    Gone,
}

/// The files of one or more folders.
#[derive(Debug)]
pub struct Folder {
    folders: Vec<PathBuf>,
    files: BTreeMap<FileId, File>,
    /// Which file's definition of an object is used.
    used: BTreeMap<ObjectKey, FileId>,
    /// The other files that define it, where there are any.
    shadowed: BTreeMap<ObjectKey, BTreeSet<FileId>>,
    names: Interner,
}

#[derive(Debug, Default)]
struct File {
    /// Of the text that was read last, good or not.
    hash: Option<u64>,
    /// What the last usable text defined; `None` while there was none.
    good: Option<Good>,
    problem: Option<Unusable>,
}

#[derive(Debug, Default)]
struct Good {
    /// Sorted by key, each key once.
    objects: Vec<(ObjectKey, Object)>,
    /// Objects that stand in the file more than once.
    twice: Vec<ObjectKey>,
    oddities: Vec<Oddity>,
    notes: Vec<String>,
}

impl Folder {
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            files: BTreeMap::new(),
            used: BTreeMap::new(),
            shadowed: BTreeMap::new(),
            names: Interner::default(),
        }
    }

    /// Takes note of what was seen and tells what changed by it, all sightings together.
    ///
    /// 1. A file that cannot be used changes nothing: what it defined last stays.
    /// 2. Of several definitions the first by file is used; when it goes, the next takes over.
    /// 3. An object that reads as before is no change, wherever it stands now.
    pub fn take(&mut self, sightings: Vec<(FileId, Seen)>) -> Vec<Change> {
        let mut before = BTreeMap::new();
        for (file, seen) in sightings {
            match seen {
                Seen::Text(text) => self.take_text(&file, &text, &mut before),
                Seen::Unreadable(why) => self.take_problem(&file, unreadable(why)),
                Seen::BeingWritten => self.take_unfinished(&file),
                Seen::Gone => self.take_gone(&file, &mut before),
            }
        }
        let changes = before.into_iter().filter_map(|(key, old): (ObjectKey, Option<Object>)| {
            match (old, self.object(&key)) {
                (old, Some(new)) if old.as_ref() != Some(new) => Some(Change::Apply(new.clone())),
                (Some(_), None) => Some(Change::Delete(key)),
                (Some(_), Some(_)) | (None, _) => None,
            }
        });
        changes.collect()
    }

    /// The objects that count, in order of their keys.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.used.keys().filter_map(|key| self.object(key))
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
            report.oddities.extend(good.oddities.iter().map(|oddity| Remark {
                file: path(),
                document: Some(oddity.document),
                text: oddity.text.clone(),
            }));
            let notes = good.notes.iter().cloned();
            report.notes.extend(notes.map(|text| Remark { file: path(), document: None, text }));
            let twice = good.twice.iter().cloned();
            report.duplicates.extend(twice.map(|object| Duplicate { object, used: path(), ignored: path() }));
        }
        for (object, others) in &self.shadowed {
            let Some(used) = self.used.get(object) else { continue };
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
        let file = self.used.get(key)?;
        let objects = &self.files.get(file)?.good.as_ref()?.objects;
        let at = objects.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        objects.get(at).map(|(_, object)| object)
    }

    fn take_text(&mut self, id: &FileId, text: &str, before: &mut BTreeMap<ObjectKey, Option<Object>>) {
        let hash = Some(hash(text));
        if self.files.get(id).is_some_and(|file| file.hash == hash) {
            return;
        }
        let format = Format::of(&id.name).unwrap_or(Format::Yaml);
        match usable(text).and_then(|text| manifest::read(text, format, &mut self.names)) {
            Err(problem) => self.take_problem(id, problem),
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

    /// A usable file that is being edited is as good as before, until the writer closes it.
    fn take_unfinished(&mut self, id: &FileId) {
        let known = self.files.get(id).is_some_and(|file| file.good.is_some() || file.problem.is_some());
        if !known {
            self.take_problem(id, unreadable("is still being written".to_owned()));
        }
    }

    fn take_gone(&mut self, id: &FileId, before: &mut BTreeMap<ObjectKey, Option<Object>>) {
        if self.files.contains_key(id) {
            self.replace(id, Good::default(), before);
            self.files.remove(id);
        }
    }

    /// Puts `new` in the place of what the file defined, and notes in `before` how each object
    /// that it touches read until then.
    fn replace(&mut self, id: &FileId, new: Good, before: &mut BTreeMap<ObjectKey, Option<Object>>) {
        let old = self.files.get(id).and_then(|file| file.good.as_ref());
        let old: Vec<ObjectKey> =
            old.iter().flat_map(|good| &good.objects).map(|(key, _)| key.clone()).collect();
        for key in old.iter().chain(new.objects.iter().map(|(key, _)| key)) {
            if !before.contains_key(key) {
                before.insert(key.clone(), self.object(key).cloned());
            }
        }
        for key in &old {
            self.release(key, id);
        }
        for (key, _) in &new.objects {
            self.claim(key, id);
        }
        self.files.entry(id.clone()).or_default().good = Some(new);
    }

    fn claim(&mut self, key: &ObjectKey, id: &FileId) {
        let Some(used) = self.used.get_mut(key) else {
            self.used.insert(key.clone(), id.clone());
            return;
        };
        let shadowed = if id < used { std::mem::replace(used, id.clone()) } else { id.clone() };
        self.shadowed.entry(key.clone()).or_default().insert(shadowed);
    }

    fn release(&mut self, key: &ObjectKey, id: &FileId) {
        let next = match self.shadowed.get_mut(key) {
            None => None,
            Some(others) => {
                let next = if others.remove(id) { None } else { others.pop_first() };
                if others.is_empty() {
                    self.shadowed.remove(key);
                }
                next
            }
        };
        if self.used.get(key) == Some(id) {
            match next {
                Some(next) => self.used.insert(key.clone(), next),
                None => self.used.remove(key),
            };
        }
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
        Self { objects, twice, oddities: manifest.oddities, notes: manifest.notes }
    }
}

/// A power cut leaves files of length zero: that is no proof that nothing was to be defined.
fn usable(text: &str) -> Result<&str, Unusable> {
    if text.is_empty() {
        let message = "is empty, as a half-written file is; one that is to define nothing holds a comment";
        return Err(unreadable(message.to_owned()));
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
