//! Which files define or name an object, and whose definition is used. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ObjectKey;

use super::folder::FileId;

/// Of several definitions the first by file is used.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    used: BTreeMap<ObjectKey, FileId>,
    /// The other files that define it, where there are any.
    shadowed: BTreeMap<ObjectKey, BTreeSet<FileId>>,
    /// The files that name it and cannot be used.
    unread: BTreeMap<ObjectKey, BTreeSet<FileId>>,
}

impl Definitions {
    pub(super) fn used(&self, key: &ObjectKey) -> Option<&FileId> {
        self.used.get(key)
    }

    /// The first file that names the object and cannot be used.
    pub(super) fn unread(&self, key: &ObjectKey) -> Option<&FileId> {
        self.unread.get(key)?.first()
    }

    /// The files that define the object and are not used for it.
    pub(super) fn shadowed(&self, key: &ObjectKey) -> impl Iterator<Item = &FileId> {
        self.shadowed.get(key).into_iter().flatten()
    }

    pub(super) fn add(&mut self, key: &ObjectKey, file: &FileId) {
        let Some(used) = self.used.get_mut(key) else {
            self.used.insert(key.clone(), file.clone());
            return;
        };
        let shadowed = if file < used { std::mem::replace(used, file.clone()) } else { file.clone() };
        self.shadowed.entry(key.clone()).or_default().insert(shadowed);
    }

    /// The next definition is used then, if there is one.
    pub(super) fn remove(&mut self, key: &ObjectKey, file: &FileId) {
        let next = match self.shadowed.get_mut(key) {
            None => None,
            Some(others) => {
                let next = if others.remove(file) { None } else { others.pop_first() };
                if others.is_empty() {
                    self.shadowed.remove(key);
                }
                next
            }
        };
        if self.used.get(key) == Some(file) {
            match next {
                Some(next) => self.used.insert(key.clone(), next),
                None => self.used.remove(key),
            };
        }
    }

    pub(super) fn add_unread(&mut self, key: &ObjectKey, file: &FileId) {
        self.unread.entry(key.clone()).or_default().insert(file.clone());
    }

    pub(super) fn remove_unread(&mut self, key: &ObjectKey, file: &FileId) {
        if let Some(files) = self.unread.get_mut(key) {
            files.remove(file);
            if files.is_empty() {
                self.unread.remove(key);
            }
        }
    }
}
