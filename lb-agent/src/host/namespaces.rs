//! The network namespaces of this machine, and what opens to each: a process that is in it, or a file that keeps it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::processes::{self, Namespaces};

/// What opens to a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    Process(i32),
    File(PathBuf),
}

/// The calling thread's own.
const OWN: &str = "/proc/thread-self/ns/net";

/// The number of the calling thread's own network namespace.
///
/// # Errors
/// When `/proc` does not say.
pub fn own() -> io::Result<u64> {
    Ok(fs::metadata(OWN)?.ino())
}

/// All network namespaces but the calling thread's own, by number: those that lie in `folders`, where container runtimes keep
/// them, and those of processes that can be seen from here.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn others(folders: &[PathBuf]) -> io::Result<BTreeMap<u64, Opener>> {
    let own = fs::metadata(OWN)?;
    let Namespaces { by_number, .. } = Namespaces::read()?;
    let mut found: BTreeMap<u64, Opener> =
        by_number.into_iter().map(|(number, pid)| (number, Opener::Process(pid))).collect();
    for path in folders.iter().flat_map(|folder| files(folder)) {
        // What was a namespace and is unmounted by now is a file of another file system.
        let Some(of) = fs::metadata(&path).ok().filter(|of| of.dev() == own.dev()) else { continue };
        found.entry(of.ino()).or_insert(Opener::File(path));
    }
    found.remove(&own.ino());
    Ok(found)
}

/// Opens to the network namespace of this number, by what opened to it a moment ago.
///
/// # Errors
/// When it does no more.
pub fn open(number: u64, opener: &Opener) -> io::Result<File> {
    match opener {
        Opener::Process(pid) => processes::namespace(*pid, number),
        Opener::File(path) => {
            let file = File::open(path)?;
            if file.metadata()?.ino() == number { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_no_other_and_another_file_is_not_found() {
        let folder = std::env::temp_dir().join(format!("edgeloop-namespaces-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stale"), "").unwrap();
        let found = others(std::slice::from_ref(&folder)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(!found.contains_key(&own().unwrap()));
        assert!(found.values().all(|opener| matches!(opener, Opener::Process(_))), "{found:?}");
    }
}
