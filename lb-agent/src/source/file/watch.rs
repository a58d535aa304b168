//! The kernel's signals that something in the folder, or on the way to it, has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::manifest::is_manifest;

/// What the follower receives.
#[derive(Debug)]
pub(super) enum Signal {
    /// This manifest may have changed.
    File(Instant, Arc<str>),
    /// This manifest has become another one of the folder.
    Renamed(Instant, Arc<str>),
    /// Anything may have changed: a link, the folder itself, or events were lost.
    Everything(Instant),
    /// The follower is to end.
    Stop,
}

/// Watches the folder, and every place that decides what its path and the links in it lead to.
pub(super) struct Watch {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    /// Watched directories by real path, with what is watched under that path.
    watched: BTreeMap<PathBuf, Identity>,
    paths: Arc<Mutex<Paths>>,
}

/// Makes the watch of a folder.
pub(super) type MakeWatch = fn(PathBuf, Sender<Signal>) -> notify::Result<Watch>;

/// A watch, where there can be one: the kernel may have no inotify, or none left.
pub(super) struct Watching {
    folder: PathBuf,
    sender: Sender<Signal>,
    make: MakeWatch,
    watch: Option<Watch>,
}

impl Watching {
    /// Watches the folder from now on, if that is possible.
    pub(super) fn new(folder: PathBuf, sender: Sender<Signal>, make: MakeWatch) -> Self {
        let mut watching = Self { folder, sender, make, watch: None };
        if let Err(error) = watching.refresh(std::iter::empty()) {
            // It is tried again at every scan, and reported then.
            tracing::debug!(%error, "could not watch the folder at the start");
        }
        watching
    }

    /// As [`Watch::refresh`]; makes the watch where it does not exist yet.
    pub(super) fn refresh(&mut self, links: impl Iterator<Item = PathBuf>) -> notify::Result<bool> {
        match &mut self.watch {
            Some(watch) => watch.refresh(links),
            none => {
                let new = (self.make)(self.folder.clone(), self.sender.clone())?;
                none.insert(new).refresh(links)
            }
        }
    }
}

/// Device and inode: the same path may lead to another directory.
type Identity = (u64, u64);

#[derive(Debug, Default)]
struct Paths {
    /// The folder's real path, where every manifest counts.
    folder: Option<PathBuf>,
    /// Names that decide where a path leads, by their directory's real path.
    steps: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// Watched directories that were made, moved or removed: what is watched under such a path
    /// may be another directory by now, even one with the same inode.
    lost: BTreeSet<PathBuf>,
}

impl Watch {
    pub(super) fn new(folder: PathBuf, sender: Sender<Signal>) -> notify::Result<Self> {
        let paths = Arc::new(Mutex::new(Paths::default()));
        let shared = Arc::clone(&paths);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            for signal in signals(&event, &mut lock(&shared)) {
                // The follower may have ended already.
                drop(sender.send(signal));
            }
        })?;
        Ok(Self { folder, watcher, watched: BTreeMap::new(), paths })
    }

    /// Watches what has to be watched now, given the manifests that are links. Returns whether
    /// anything new is watched: what happened there before is not known.
    ///
    /// # Errors
    /// The folder is there and cannot be watched. Other directories are watched where possible.
    pub(super) fn refresh(&mut self, links: impl Iterator<Item = PathBuf>) -> notify::Result<bool> {
        let mut steps: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
        for (directory, name) in links.chain([self.folder.clone()]).flat_map(|path| steps_of(&path)) {
            steps.entry(directory).or_default().insert(name);
        }
        let folder = fs::canonicalize(&self.folder).ok().filter(|path| path.is_dir());
        let wanted: BTreeMap<PathBuf, Identity> =
            steps.keys().chain(&folder).filter_map(|path| Some((path.clone(), identity(path)?))).collect();
        let new = Paths { folder: folder.clone(), steps, lost: BTreeSet::new() };
        let lost = std::mem::replace(&mut *lock(&self.paths), new).lost;

        let stale = self.watched.iter().filter(|(path, identity)| {
            wanted.get(*path) != Some(identity) || lost.iter().any(|lost| path.starts_with(lost))
        });
        for path in stale.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            self.watched.remove(&path);
            if let Err(error) = self.watcher.unwatch(&path) {
                tracing::debug!(%error, path = %path.display(), "a watch was gone already");
            }
        }
        let mut any_new = false;
        for (path, identity) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match self.watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => any_new |= self.watched.insert(path, identity).is_none(),
                Err(error) if Some(&path) == folder.as_ref() => return Err(error),
                Err(error) => tracing::debug!(%error, path = %path.display(), "could not watch a directory"),
            }
        }
        Ok(any_new)
    }
}

fn identity(directory: &Path) -> Option<Identity> {
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn lock(paths: &Mutex<Paths>) -> MutexGuard<'_, Paths> {
    // The value is replaced as a whole, so it is good even if a holder panicked.
    paths.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signals(event: &notify::Result<Event>, paths: &mut Paths) -> Vec<Signal> {
    let at = Instant::now();
    match event {
        Err(_) => vec![Signal::Everything(at)],
        Ok(event) if event.need_rescan() => vec![Signal::Everything(at)],
        Ok(event) if is_reading(event.kind) => Vec::new(),
        Ok(event) if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            // Both ends came before, each by itself.
            paths.renamed(&event.paths, at).into_iter().collect()
        }
        Ok(event) => {
            if is_of_names(event.kind) {
                let directories = event.paths.iter().filter(|path| paths.is_watched(path));
                let lost: Vec<PathBuf> = directories.cloned().collect();
                paths.lost.extend(lost);
            }
            event.paths.iter().filter_map(|path| paths.signal(path, at)).collect()
        }
    }
}

/// Something was made, removed or moved.
fn is_of_names(kind: EventKind) -> bool {
    matches!(kind, EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
}

/// Reading the files makes events of its own.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

impl Paths {
    fn is_watched(&self, directory: &Path) -> bool {
        self.folder.as_deref() == Some(directory) || self.steps.contains_key(directory)
    }

    fn signal(&self, path: &Path, at: Instant) -> Option<Signal> {
        if self.is_watched(path) {
            return Some(Signal::Everything(at));
        }
        let (directory, name) = (path.parent()?, path.file_name()?);
        if self.steps.get(directory).is_some_and(|names| names.contains(name)) {
            return Some(Signal::Everything(at));
        }
        let name = name.to_str().filter(|_| self.folder.as_deref() == Some(directory))?;
        if name.starts_with("..") {
            return Some(Signal::Everything(at));
        }
        is_manifest(name).then(|| Signal::File(at, name.into()))
    }

    fn renamed(&self, paths: &[PathBuf], at: Instant) -> Option<Signal> {
        let ends = paths.iter().map(|path| match self.signal(path, at) {
            Some(Signal::File(_, name)) => Some(name),
            Some(Signal::Renamed(..) | Signal::Everything(_) | Signal::Stop) | None => None,
        });
        let manifests: Vec<Arc<str>> = ends.collect::<Option<_>>()?;
        Some(Signal::Renamed(at, Arc::clone(manifests.first()?)))
    }
}

/// Every (directory, name) that decides where `path` leads: the links on the way, and the end.
fn steps_of(path: &Path) -> Vec<(PathBuf, OsString)> {
    /// As the kernel: more links than this are a loop.
    const MOST_LINKS: usize = 40;

    let mut steps = Vec::new();
    let mut here = PathBuf::from("/");
    let mut ahead: Vec<OsString> = components(path);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let is_link = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata.is_symlink(),
            Err(_) => {
                // Whatever is missing would first appear here.
                steps.push((here, name));
                return steps;
            }
        };
        if is_link {
            steps.push((here.clone(), name));
            let Ok(target) = fs::read_link(&next) else { return steps };
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            ahead.extend(components(&target));
            if steps.len() > MOST_LINKS {
                return steps;
            }
        } else {
            if ahead.is_empty() {
                steps.push((here.clone(), name));
            }
            here = next;
        }
    }
    steps
}

/// The parts of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir));
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_steps_of_a_path_are_its_links_and_its_end() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir(root.join("..1")).unwrap();
        fs::write(root.join("..1/a.yaml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();

        let steps = steps_of(&root.join("a.yaml"));

        let expected = [(root.clone(), "a.yaml"), (root.clone(), "..data"), (root.join("..1"), "a.yaml")];
        assert_eq!(steps, expected.map(|(directory, name)| (directory, OsString::from(name))));
    }

    #[test]
    fn a_missing_part_is_the_last_step_and_a_loop_ends() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        assert_eq!(steps_of(&root.join("a/b")), [(root.clone(), OsString::from("a"))]);
        symlink("loop", root.join("loop")).unwrap();
        assert!(steps_of(&root.join("loop")).len() < 50);
    }
}
