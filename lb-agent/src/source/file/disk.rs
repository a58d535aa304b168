//! Which manifests lie in a folder, and which of them may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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

    /// Looks through the whole folder. Also returns whether any manifest is there.
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

    /// Whether any manifest is there.
    pub(super) fn holds_any(&self) -> bool {
        manifests(&self.folder).is_ok_and(|present| !present.is_empty())
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
        // A name that is not UTF-8 cannot be printed; its suffix is not a manifest's.
        if let Some(name) = name.to_str().filter(|name| is_manifest(name)) {
            found.push(name.into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(seen: &[(FileId, Seen)]) -> Vec<String> {
        seen.iter().map(|(file, seen)| format!("{}: {seen:?}", file.name)).collect()
    }

    #[test]
    fn a_scan_for_changes_reads_only_what_has_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("a.yaml", "1");
        write("b.yaml", "2");
        let mut disk = Disk::new(0, root.path().to_owned());
        let (seen, any) = disk.scan(Scan::Changed).unwrap();
        assert_eq!(
            (names(&seen), any),
            (vec!["a.yaml: Text(\"1\")".into(), "b.yaml: Text(\"2\")".into()], true)
        );

        assert_eq!(names(&disk.scan(Scan::Changed).unwrap().0), [""; 0]);
        assert_eq!(disk.scan(Scan::All).unwrap().0.len(), 2);

        write("new", "1");
        fs::rename(root.path().join("new"), root.path().join("a.yaml")).unwrap();
        assert_eq!(names(&disk.scan(Scan::Changed).unwrap().0), ["a.yaml: Text(\"1\")"], "another inode");
        write("b.yaml", "22");
        assert_eq!(names(&disk.scan(Scan::Changed).unwrap().0), ["b.yaml: Text(\"22\")"], "another size");
    }

    #[test]
    fn a_file_that_is_gone_is_reported_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.yaml"), "1").unwrap();
        let mut disk = Disk::new(0, root.path().to_owned());
        disk.scan(Scan::All).unwrap();
        fs::remove_file(root.path().join("a.yaml")).unwrap();
        for _ in 0..2 {
            let (seen, any) = disk.scan(Scan::Changed).unwrap();
            assert_eq!((names(&seen), any), (vec!["a.yaml: Gone".to_owned()], false));
        }
        disk.forget("a.yaml");
        assert_eq!(disk.scan(Scan::Changed).unwrap().0.len(), 0);
        assert!(disk.look_at(&"a.yaml".into()).is_none(), "what was never there is not gone");
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_looked_at_again() {
        let root = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(0, root.path().to_owned());
        let writer = fs::File::create(root.path().join("a.yaml")).unwrap();
        assert_eq!(names(&disk.scan(Scan::All).unwrap().0), ["a.yaml: BeingWritten"]);
        let unfinished: Vec<_> = disk.unfinished().collect();
        assert_eq!(unfinished, ["a.yaml".into()] as [Arc<str>; 1]);
        drop(writer);
        assert_eq!(disk.look_at(&"a.yaml".into()).map(|(_, seen)| seen), Some(Seen::Text(String::new())));
        assert!(disk.unfinished().next().is_none());
    }
}
