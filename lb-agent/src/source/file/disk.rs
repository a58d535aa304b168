//! Which manifests lie in a folder, and which of them may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::manifest::Format;

use super::folder::{FileId, Seen};
use super::look::{Look, Stamp, look};

pub(super) struct Disk {
    /// Position of the folder among those that are read together.
    index: usize,
    folder: PathBuf,
    /// The files that are not known to be gone, each with the stamp it was read under;
    /// `None`: look again.
    known: BTreeMap<Arc<str>, Option<Stamp>>,
    /// Files that someone had open for writing.
    unfinished: BTreeSet<Arc<str>>,
}

/// Which files a scan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    All,
    /// Those whose stamp is another one.
    Changed,
}

impl Disk {
    pub(super) fn new(index: usize, folder: PathBuf) -> Self {
        Self { index, folder, known: BTreeMap::new(), unfinished: BTreeSet::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks through the whole folder, and answers whether any manifest is there.
    ///
    /// # Errors
    /// The folder cannot be listed. Nothing is said about its files then.
    pub(super) fn scan(&mut self, which: Scan) -> io::Result<(Vec<(FileId, Seen)>, bool)> {
        let present = manifests(&self.folder)?;
        let any = !present.is_empty();
        let mut names: BTreeSet<Arc<str>> = self.known.keys().cloned().collect();
        names.extend(present);
        Ok((names.into_iter().filter_map(|name| self.look(name, which)).collect(), any))
    }

    /// Looks at one file, whatever its stamp: two writes can fall into one tick of its clock.
    pub(super) fn look_at(&mut self, name: Arc<str>) -> Option<(FileId, Seen)> {
        self.look(name, Scan::All)
    }

    /// Looks again at the files that someone had open for writing.
    pub(super) fn look_at_unfinished(&mut self) -> Vec<(FileId, Seen)> {
        let names = self.unfinished.clone();
        names.into_iter().filter_map(|name| self.look(name, Scan::All)).collect()
    }

    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// It is believed that this file is gone.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }

    pub(super) fn is_link(&self, name: &str) -> bool {
        self.folder.join(name).is_symlink()
    }

    /// The files that are links, by path.
    pub(super) fn links(&self) -> impl Iterator<Item = PathBuf> {
        let paths = self.known.keys().map(|name| self.folder.join(&**name));
        paths.filter(|path| path.is_symlink())
    }

    fn look(&mut self, name: Arc<str>, which: Scan) -> Option<(FileId, Seen)> {
        let known = self.known.get(&name).copied();
        let unless = if which == Scan::Changed { known.flatten() } else { None };
        let Look::Now(seen, stamp) = look(&self.folder.join(&*name), unless) else { return None };
        if seen == Seen::BeingWritten {
            self.unfinished.insert(Arc::clone(&name));
        } else {
            self.unfinished.remove(&name);
        }
        if known.is_none() && seen == Seen::Gone {
            return None; // It was never there, or is a folder with a manifest's name.
        }
        self.known.insert(Arc::clone(&name), stamp);
        Some((FileId { folder: self.index, name }, seen))
    }
}

fn manifests(folder: &Path) -> io::Result<Vec<Arc<str>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        // A name that is not UTF-8 cannot be told to anyone; its suffix is no manifest's.
        if let Some(name) = name.to_str().filter(|name| Format::of(name).is_some()) {
            found.push(name.into());
        }
    }
    Ok(found)
}
