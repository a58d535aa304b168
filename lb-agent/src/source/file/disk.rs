//! Which manifests lie in a folder, and which of them may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifest::is_manifest;

use super::folder::{FileId, Seen};
use super::look::{Look, Stamp, look};

pub(super) struct Disk {
    /// Position of the folder among those that are read together.
    index: usize,
    folder: PathBuf,
    /// The files that are not known to be gone, each with the stamp it was read under;
    /// `None`: look again.
    known: BTreeMap<Arc<str>, Option<Stamp>>,
    unfinished: BTreeSet<Arc<str>>,
    /// The files that were links when the folder was looked through.
    links: Vec<Arc<str>>,
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
        Self { index, folder, known: BTreeMap::new(), unfinished: BTreeSet::new(), links: Vec::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks through the whole folder and calls `take` with each file as it is read: no two texts are held at once.
    /// Returns whether any manifest is there.
    ///
    /// # Errors
    /// The folder cannot be listed. Nothing is said about its files then.
    pub(super) fn scan(&mut self, which: Scan, mut take: impl FnMut(FileId, Seen)) -> io::Result<bool> {
        let mut names = Vec::with_capacity(self.known.len());
        self.links.clear();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some(name) = manifest(&entry).map(|name| self.shared(&name)) else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.links.push(Arc::clone(&name));
            }
            names.push(name);
        }
        names.sort_unstable();
        let any = !names.is_empty();
        let gone: Vec<Arc<str>> =
            self.known.keys().filter(|name| names.binary_search(name).is_err()).cloned().collect();
        if !gone.is_empty() {
            names.extend(gone);
            names.sort_unstable();
        }
        for name in names {
            if let Some((file, seen)) = self.look(name, which) {
                take(file, seen);
            }
        }
        Ok(any)
    }

    /// Whether any manifest is there.
    pub(super) fn holds_any(&self) -> bool {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries.flatten().any(|entry| manifest(&entry).is_some())
    }

    /// The name as it is known, or a new one.
    fn shared(&self, name: &str) -> Arc<str> {
        self.known.get_key_value(name).map_or_else(|| name.into(), |(known, _)| Arc::clone(known))
    }

    /// Looks at one file, whatever its stamp: two writes can fall into one tick of its clock.
    pub(super) fn look_at(&mut self, name: &Arc<str>) -> Option<(FileId, Seen)> {
        self.look(Arc::clone(name), Scan::All)
    }

    /// The files that a process had open for writing when they were looked at.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = Arc<str>> {
        self.unfinished.iter().cloned()
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
        self.links.iter().map(|name| self.folder.join(&**name))
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

/// The name of a manifest; one that is not UTF-8 cannot be printed, and its suffix is not a manifest's.
fn manifest(entry: &DirEntry) -> Option<String> {
    entry.file_name().into_string().ok().filter(|name| is_manifest(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scan sees, and whether any manifest is there.
    fn scan(disk: &mut Disk, which: Scan) -> (Vec<String>, bool) {
        let mut seen = Vec::new();
        let any = disk.scan(which, |file, found| seen.push(format!("{}: {found:?}", file.name)));
        (seen, any.unwrap())
    }

    #[test]
    fn a_scan_for_changes_reads_only_what_has_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("a.yaml", "1");
        write("b.yaml", "2");
        let mut disk = Disk::new(0, root.path().to_owned());
        assert_eq!(
            scan(&mut disk, Scan::Changed),
            (vec!["a.yaml: Text(\"1\")".into(), "b.yaml: Text(\"2\")".into()], true)
        );

        assert_eq!(scan(&mut disk, Scan::Changed).0, [""; 0]);
        assert_eq!(scan(&mut disk, Scan::All).0.len(), 2);

        write("new", "1");
        fs::rename(root.path().join("new"), root.path().join("a.yaml")).unwrap();
        assert_eq!(scan(&mut disk, Scan::Changed).0, ["a.yaml: Text(\"1\")"], "another inode");
        write("b.yaml", "22");
        assert_eq!(scan(&mut disk, Scan::Changed).0, ["b.yaml: Text(\"22\")"], "another size");
    }

    #[test]
    fn a_file_that_is_gone_is_reported_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.yaml"), "1").unwrap();
        let mut disk = Disk::new(0, root.path().to_owned());
        scan(&mut disk, Scan::All);
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        for _ in 0..2 {
            assert_eq!(scan(&mut disk, Scan::Changed), (vec!["a.yaml: Gone".to_owned()], false));
        }
        disk.forget("a.yaml");
        assert_eq!(scan(&mut disk, Scan::Changed).0.len(), 0);
        assert!(disk.look_at(&"a.yaml".into()).is_none(), "what was never there is not gone");
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_looked_at_again() {
        let root = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(0, root.path().to_owned());
        let writer = fs::File::create(root.path().join("a.yaml")).unwrap();
        assert_eq!(scan(&mut disk, Scan::All).0, ["a.yaml: BeingWritten"]);
        let unfinished: Vec<_> = disk.unfinished().collect();
        assert_eq!(unfinished, ["a.yaml".into()] as [Arc<str>; 1]);
        drop(writer);
        assert_eq!(disk.look_at(&"a.yaml".into()).map(|(_, seen)| seen), Some(Seen::Text(String::new())));
        assert!(disk.unfinished().next().is_none());
    }
}
