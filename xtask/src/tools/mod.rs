//! The programs of a real cluster, built from Go modules: once, and kept in the cache.

mod go;
mod recipe;

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cache;
use recipe::{Recipe, Set};

/// The variable that passes the folder of [`get`] to programs.
pub(crate) const VARIABLE: &str = "EDGELOOP_CLUSTER_TOOLS";

/// Where Go usually lies, if not in PATH.
pub(crate) use go::USUAL as USUAL_GO;

/// From cheap to dear. Each has a go.mod of its own, so that their dependencies cannot meet.
const SETS: [Set; 6] = [
    Set { name: "seccomp", package: ".", stamp: None, linker: None, charts: None },
    Set { name: "etcd", package: ".", stamp: None, linker: None, charts: None },
    Set { name: "helm", package: "tool", stamp: None, linker: None, charts: None },
    Set {
        name: "yurt",
        package: "tool",
        stamp: Some((OPENYURT, "github.com/openyurtio/openyurt/pkg/projectinfo.gitVersion")),
        linker: None,
        charts: Some(OPENYURT),
    },
    Set { name: "k8s", package: "tool", stamp: Some(KUBERNETES), linker: None, charts: None },
    // As old as servers get that refuse streamed lists and still serve slices of v1beta1.
    Set {
        name: "kube-apiserver-1.24",
        package: ".",
        stamp: Some(KUBERNETES),
        // It reaches into Go's own packages, which the linker has refused since Go 1.23.
        linker: Some("-checklinkname=0"),
        charts: None,
    },
];
/// Without it a server calls itself v0.0.0-master, and clients that read versions give up.
const KUBERNETES: (&str, &str) = ("k8s.io/kubernetes", "k8s.io/component-base/version.gitVersion");
const OPENYURT: &str = "github.com/openyurtio/openyurt";

/// Why this machine cannot build them, whatever the recipes say: it has no Go, or no way to the modules.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

#[cfg(test)]
impl Unavailable {
    pub(crate) fn of_tests(why: &str) -> Self {
        Self(why.to_string())
    }
}

/// The folder with all programs, and with OpenYurt's charts in `charts`; what is not in the cache is built.
///
/// The error is [`Unavailable`] unless the build itself fails.
pub(crate) fn get() -> Result<PathBuf> {
    let recipes = SETS.iter().map(Recipe::read).collect::<Result<Vec<_>>>()?;
    let go = go::find(recipe::newest_go(&recipes)?)?;
    let tools = cache::tools()?;
    let folders =
        recipes.iter().map(|recipe| Ok(tools.join(recipe.key(&go)?))).collect::<Result<Vec<_>>>()?;
    let all = tools.join(joint_key(&folders));
    let is_finished = || all.is_dir() && folders.iter().all(|folder| folder.is_dir());
    if is_finished() {
        return Ok(all);
    }

    let _lock = cache::lock(&tools.join("cluster.lock"))?;
    for (recipe, folder) in recipes.iter().zip(&folders).filter(|(_, folder)| !folder.is_dir()) {
        let (name, began) = (recipe.set.name, Instant::now());
        eprintln!("Building {name} with {}, once, into {}: this takes minutes", go.version, folder.display());
        cache::install(folder, |partial| recipe.build(&go, partial))?;
        eprintln!("Built {name} in {:.0} s", began.elapsed().as_secs_f64());
    }
    if !is_finished() {
        cache::install(&all, |partial| join(partial, &folders))?;
    }
    Ok(all)
}

/// A folder name that changes with every one of `folders`.
fn joint_key(folders: &[PathBuf]) -> String {
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        folder.file_name().hash(&mut hasher);
    }
    format!("cluster-{:016x}", hasher.finish())
}

/// Links to everything in `folders`, which lie next to `partial`: relative, so that the cache can be moved.
fn join(partial: &Path, folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        let sibling = Path::new("..").join(folder.file_name().unwrap_or_default());
        let read = || format!("could not read {}", folder.display());
        for entry in fs::read_dir(folder).with_context(read)? {
            let name = entry.with_context(read)?.file_name();
            let link = partial.join(&name);
            std::os::unix::fs::symlink(sibling.join(&name), &link)
                .with_context(|| format!("could not make {}", link.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_has_the_programs_of_all_sets_wherever_the_cache_is_moved() {
        let cache = std::env::temp_dir().join(format!("edgeloop-tools-{}", std::process::id()));
        let (here, there) = (cache.join("here"), cache.join("there"));
        let folders = ["cluster-a-1", "cluster-b-2"].map(|name| here.join(name));
        for (folder, program) in folders.iter().zip(["etcd", "helm"]) {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(program), program).unwrap();
        }
        cache::install(&here.join("all"), |partial| join(partial, &folders)).unwrap();
        fs::rename(&here, &there).unwrap();
        for program in ["etcd", "helm"] {
            assert_eq!(fs::read_to_string(there.join("all").join(program)).unwrap(), program);
        }
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn a_set_that_changes_makes_another_joint_folder() {
        let key = |names: [&str; 2]| joint_key(&names.map(|name| Path::new("/cache").join(name)));
        assert_eq!(key(["a-1", "b-2"]), key(["a-1", "b-2"]));
        assert_ne!(key(["a-1", "b-2"]), key(["a-1", "b-3"]));
    }
}
