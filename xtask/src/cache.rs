//! The folder outside of the workspace that keeps what takes long to build.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where built tools are kept, one folder each: below `$EDGELOOP_CACHE`, else in the user's cache folder.
pub(crate) fn tools() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("EDGELOOP_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("edgeloop")))
        .or_else(|| Some(set("HOME")?.join(".cache/edgeloop")))
        .context("neither EDGELOOP_CACHE nor XDG_CACHE_HOME nor HOME says where to keep built tools")?;
    // Absolute, as it is passed to programs that work in other folders.
    let tools = std::path::absolute(cache)?.join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("could not make {}", tools.display()))?;
    Ok(tools)
}

/// Waits until no other process holds `path`; held until the file is dropped.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("could not make {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("Waiting for another build, which holds {}", path.display());
        file.lock().with_context(|| format!("could not lock {}", path.display()))?;
    }
    Ok(file)
}

/// Lets `make` fill a folder next to `folder`, and renames that: a build which was stopped leaves nothing
/// that looks finished. The caller holds the lock.
pub(crate) fn install(folder: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".partial";
    let parent = folder.parent().context("a folder without a parent")?;
    for old in fs::read_dir(parent).with_context(|| format!("could not read {}", parent.display()))? {
        let old = old?.path();
        let left = old.file_name().is_some_and(|old| old.to_string_lossy().starts_with(&name));
        if left || old == folder {
            fs::remove_dir_all(&old).with_context(|| format!("could not remove {}", old.display()))?;
        }
    }
    // A name of our own: when we are killed, what we called may go on and write there.
    let partial = parent.join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&partial).with_context(|| format!("could not make {}", partial.display()))?;
    if let Err(error) = make(&partial) {
        // The next build removes what is left here.
        fs::remove_dir_all(&partial).ok();
        return Err(error);
    }
    fs::rename(&partial, folder).with_context(|| format!("could not make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_build_that_was_stopped_leaves_nothing_that_looks_finished() {
        let parent = std::env::temp_dir().join(format!("edgeloop-cache-{}", std::process::id()));
        fs::create_dir(&parent).unwrap();
        let folder = parent.join("tool");
        let half = |partial: &Path| {
            fs::write(partial.join("a"), "half")?;
            bail!("stopped")
        };
        let names = |folder: &Path| -> Vec<_> {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        assert!(install(&folder, half).is_err());
        assert!(names(&parent).is_empty());

        fs::create_dir(parent.join("tool.partial-1")).unwrap();
        install(&folder, |partial| Ok(fs::write(partial.join("b"), "whole")?)).unwrap();
        assert_eq!(names(&folder), ["b"]);
        assert_eq!(names(&parent), ["tool"], "what a killed one left is gone");
        fs::remove_dir_all(&parent).unwrap();
    }
}
