//! What is known of one file. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::manifest::{Extent, LeftOut, Manifest, Problem};
use crate::model::{FileNote, FileProblem, KnownFile, Object, ObjectKey, ObjectName, OfFile, Unread};

#[derive(Debug)]
pub(super) struct File {
    /// Of the text that was read last, good or not.
    pub(super) hash: Option<u64>,
    /// What it defines, sorted by key, each key once. Of what cannot be read any more, as it was read last.
    objects: Vec<(ObjectKey, Object)>,
    /// Objects that stand in it more than once, sorted.
    twice: Vec<ObjectKey>,
    /// Objects that stand in it and cannot be read.
    pub(super) unread: BTreeMap<ObjectKey, Unread>,
    /// Services that it has `v1` Endpoints of.
    pub(super) endpoints: BTreeSet<ObjectName>,
    known: KnownFile,
    problems: Vec<Problem>,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
}

/// One that was never read.
impl Default for File {
    fn default() -> Self {
        Self {
            hash: None,
            objects: Vec::new(),
            twice: Vec::new(),
            unread: BTreeMap::new(),
            endpoints: BTreeSet::new(),
            known: KnownFile::Never,
            problems: Vec::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl File {
    /// The file as `new` has it. What `new` has and cannot read stays as it was; where it is known in part, so does
    /// everything that it does not have.
    pub(super) fn with(self, new: Manifest) -> Self {
        let Manifest { objects, unread, problems, extent, endpoints, left_out, notes } = new;
        let (mut objects, twice) = sorted(objects.into_iter().map(|defined| defined.object).collect());
        let mut unread: BTreeMap<ObjectKey, Unread> =
            unread.into_iter().map(|unread| (unread.key(), unread)).collect();
        let mut endpoints: BTreeSet<ObjectName> = endpoints.into_iter().collect();
        let is_part = extent == Extent::Part;
        let has = |objects: &[(ObjectKey, Object)], key: &ObjectKey| find(objects, key).is_some();
        let stays = self.objects.into_iter().filter(|(key, _)| is_part || unread.contains_key(key));
        let stays: Vec<(ObjectKey, Object)> = stays.filter(|(key, _)| !has(&objects, key)).collect();
        if is_part {
            let still = self.unread.into_iter().filter(|(key, _)| !has(&objects, key));
            still.for_each(|(key, old)| _ = unread.entry(key).or_insert(old));
            endpoints.extend(self.endpoints);
        }
        if !stays.is_empty() {
            objects.extend(stays);
            objects.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        objects.shrink_to_fit();
        let known = if is_part { self.known } else { KnownFile::Once };
        Self { hash: self.hash, objects, twice, unread, endpoints, known, problems, left_out, notes }
    }

    /// Nothing of the file can be read: all stays as it was.
    pub(super) fn set_problem(&mut self, message: String) {
        self.hash = None;
        self.problems = vec![Problem { document: None, object: None, field: None, message }];
    }

    pub(super) fn object(&self, key: &ObjectKey) -> Option<&Object> {
        find(&self.objects, key)
    }

    pub(super) fn has_twice(&self, key: &ObjectKey) -> bool {
        self.twice.binary_search(key).is_ok()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.objects.iter().map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn unread_keys(&self) -> Vec<ObjectKey> {
        self.unread.keys().cloned().collect()
    }

    /// What there is to say of the file at `path`.
    pub(super) fn said(&self, path: &Path) -> OfFile {
        let problem = |problem: &Problem| FileProblem {
            file: path.to_owned(),
            document: problem.document,
            object: problem.object.clone(),
            field: problem.field.clone(),
            message: problem.message.clone(),
        };
        let note = |document, object: Option<&ObjectKey>, text: &str| FileNote {
            file: path.to_owned(),
            document,
            object: object.cloned(),
            text: text.to_owned(),
        };
        let part = |part: &LeftOut| note(Some(part.document), Some(&part.object), &part.why);
        OfFile {
            problems: self.problems.iter().map(problem).collect(),
            left_out: self.left_out.iter().map(part).collect(),
            notes: self.notes.iter().map(|text| note(None, None, text)).collect(),
            known: self.known,
        }
    }
}

fn find<'a>(objects: &'a [(ObjectKey, Object)], key: &ObjectKey) -> Option<&'a Object> {
    let at = objects.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    objects.get(at).map(|(_, object)| object)
}

/// Sorted by key, and the keys of those that come more than once: the first of them is kept.
fn sorted(objects: Vec<Object>) -> (Vec<(ObjectKey, Object)>, Vec<ObjectKey>) {
    let mut keyed: Vec<(ObjectKey, Object)> =
        objects.into_iter().map(|object| (object.key(), object)).collect();
    // Stable: of one key the first written stays first.
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut twice = Vec::new();
    keyed.dedup_by(|(key, _), (first, _)| {
        let is_same = key == first;
        if is_same && twice.last() != Some(key) {
            twice.push(key.clone());
        }
        is_same
    });
    (keyed, twice)
}
