//! One set of tools: a folder of `tests/cluster-tools`, what its build depends on, and the build.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;
use crate::tools::go::Go;

const HOME: &str = "tests/cluster-tools";

pub(crate) struct Set {
    /// Its folder's name.
    pub(crate) name: &'static str,
    /// What go is asked to build there.
    pub(crate) package: &'static str,
    /// A module, and the variable that its programs read their version from.
    pub(crate) stamp: Option<(&'static str, &'static str)>,
    /// A flag that the linker needs besides.
    pub(crate) linker: Option<&'static str>,
    /// The module whose folder `charts` comes along.
    pub(crate) charts: Option<&'static str>,
}

/// A set with the files of its folder.
pub(crate) struct Recipe<'a> {
    pub(crate) set: &'a Set,
    /// Name and content, in order of the names.
    files: Vec<(String, String)>,
}

/// The newest that one of them asks for in its go.mod.
pub(crate) fn newest_go<'a>(recipes: &'a [Recipe<'_>]) -> Result<&'a str> {
    let asked = recipes.iter().map(Recipe::go_line).collect::<Result<Vec<_>>>()?;
    let newest = asked.into_iter().max_by_key(|asked| {
        asked.split('.').map(|number| number.parse::<u32>().unwrap_or_default()).collect::<Vec<_>>()
    });
    newest.context("there are no recipes")
}

impl<'a> Recipe<'a> {
    pub(crate) fn read(set: &'a Set) -> Result<Self> {
        let folder = folder(set);
        let read = || format!("could not read {}", folder.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).with_context(read)? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).with_context(read)?;
            let text =
                fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            files.push((name.to_string_lossy().into_owned(), text));
        }
        files.sort();
        Ok(Self { set, files })
    }

    /// A folder name that changes with all that the programs are built from.
    pub(crate) fn key(&self, go: &Go) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (&self.files, self.flags()?, self.set.package, self.set.charts).hash(&mut hasher);
        (&go.version, &go.arch).hash(&mut hasher);
        Ok(format!("cluster-{}-{:016x}", self.set.name, hasher.finish()))
    }

    /// Builds into `place`.
    pub(crate) fn build(&self, go: &Go, place: &Path) -> Result<()> {
        let folder = folder(self.set);
        go.download(&folder)?;
        let mut build = go.command(&folder);
        shell::run(build.arg("build").args(self.flags()?).arg("-o").arg(place).arg(self.set.package))?;
        if let Some(module) = self.set.charts {
            let list = ["list", "-m", "-f", "{{.Dir}}", module];
            let module = PathBuf::from(shell::output(go.command(&folder).args(list))?);
            copy(&module.join("charts"), &place.join("charts"))?;
        }
        Ok(())
    }

    fn flags(&self) -> Result<Vec<String>> {
        // They are never debugged, and without symbols they are two thirds as large.
        let mut linker = "-s -w".to_string();
        if let Some((module, variable)) = self.set.stamp {
            let version = required(self.go_mod()?, module);
            let version = version.with_context(|| format!("{} requires no {module}", self.set.name))?;
            linker += &format!(" -X {variable}={version}");
        }
        if let Some(flag) = self.set.linker {
            linker += &format!(" {flag}");
        }
        let flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", &linker];
        Ok(flags.map(String::from).to_vec())
    }

    fn go_mod(&self) -> Result<&str> {
        let file = self.files.iter().find(|(name, _)| name == "go.mod");
        file.map(|(_, text)| text.as_str()).with_context(|| format!("{} has no go.mod", self.set.name))
    }

    fn go_line(&self) -> Result<&str> {
        let line = self.go_mod()?.lines().find_map(|line| line.strip_prefix("go "));
        line.map(str::trim).with_context(|| format!("the go.mod of {} has no go line", self.set.name))
    }
}

fn folder(set: &Set) -> PathBuf {
    shell::root().join(HOME).join(set.name)
}

/// The version of `module` that a go.mod requires.
fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim();
        let mut words = line.strip_prefix("require ").unwrap_or(line).split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        // The other lines that begin with it are replacements.
        (name == module && version.starts_with('v')).then_some(version)
    })
}

/// Not with the permissions of the original: Go's cache of modules is read-only.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("could not copy {} to {}", from.display(), to.display());
    fs::create_dir(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            let bytes = fs::read(&source).with_context(failed)?;
            fs::write(&target, bytes).with_context(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Set = Set { name: "k8s", package: "tool", stamp: None, linker: None, charts: None };
    const STAMPED: Set = Set { stamp: Some(("k8s.io/kubernetes", "x.version")), ..PLAIN };
    const GO_MOD: &str = "// Requires k8s.io/kubernetes v0.\nmodule a\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/api v0.36.3\n\
                          \tk8s.io/kubernetes v1.36.3 // indirect\n)\nreplace k8s.io/kubernetes => k8s.io/kubernetes v1.0.0\n";

    fn recipe(set: &'static Set, files: [(&str, &str); 2]) -> Recipe<'static> {
        Recipe { set, files: files.map(|(name, text)| (name.to_string(), text.to_string())).to_vec() }
    }

    #[test]
    fn the_key_changes_with_all_that_the_programs_are_built_from() {
        let go = Go::of_tests("go1.26.8");
        let key = |set, go_mod, sum| recipe(set, [("go.mod", go_mod), ("go.sum", sum)]).key(&go).unwrap();
        let first = key(&PLAIN, GO_MOD, "a h1:1");
        assert_eq!(first, key(&PLAIN, GO_MOD, "a h1:1"));
        assert_ne!(first, key(&PLAIN, GO_MOD, "a h1:2"), "go.sum");
        assert_ne!(first, key(&PLAIN, "go 1.26.1", "a h1:1"), "go.mod");
        assert_ne!(first, key(&STAMPED, GO_MOD, "a h1:1"), "flags");
        let other = [("go.mod", GO_MOD), ("main.go", "a h1:1")];
        assert_ne!(first, recipe(&PLAIN, other).key(&go).unwrap(), "another file");
        let same = recipe(&PLAIN, [("go.mod", GO_MOD), ("go.sum", "a h1:1")]);
        assert_ne!(first, same.key(&Go::of_tests("go1.26.9")).unwrap(), "the compiler");
    }

    #[test]
    fn programs_are_stamped_with_the_version_that_go_mod_requires() {
        assert_eq!(required(GO_MOD, "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(required("require k8s.io/kubernetes v1.36.3", "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(required("replace k8s.io/api => k8s.io/api v0.36.3", "k8s.io/api"), None);
        let flags = recipe(&STAMPED, [("go.mod", GO_MOD), ("go.sum", "")]).flags().unwrap();
        assert_eq!(flags.last().unwrap(), "-s -w -X x.version=v1.36.3");
        assert!(recipe(&STAMPED, [("go.mod", "go 1.26.0"), ("go.sum", "")]).flags().is_err());
    }

    #[test]
    fn the_newest_go_that_a_recipe_asks_for_is_needed() {
        let recipes = ["go 1.9.0", "module a\ngo 1.26.0\n", "go 1.25.7"]
            .map(|go_mod| recipe(&PLAIN, [("go.mod", go_mod), ("go.sum", "")]));
        assert_eq!(newest_go(&recipes).unwrap(), "1.26.0");
    }
}
