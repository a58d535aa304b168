//! The last landed version, from the history of this clone: built once, and kept in the cache.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::build_ebpf::{self, Compiler};
use crate::{cache, shell};

pub(crate) const AGENT: &str = "lb-agent";
pub(crate) const OBJECT: &str = "edgeloop.o";
/// Names the commit; lines with `#` are comments.
const FILE: &str = "tests/previous-build";
/// Moves when the way of building changes.
const RECIPE: u32 = 1;

pub(crate) enum Found {
    /// The folder with [`AGENT`] and [`OBJECT`].
    Built(PathBuf),
    /// This clone cannot have it, and why.
    Nothing(String),
}

pub(crate) fn get() -> Result<Found> {
    let root = shell::root();
    let text = read(&root.join(FILE))?;
    let commit = commit_of(&text).with_context(|| format!("{FILE} names no commit"))?;
    if let Err(why) = shell::output(git(&root).args(["cat-file", "-e", &format!("{commit}^{{commit}}")])) {
        let short = &commit[..12];
        return Ok(Found::Nothing(format!(
            "this clone lacks commit {short}, the previous build: fetch the whole history ({why:#})"
        )));
    }
    let compiler = Compiler::get()?;
    let tools = cache::tools()?;
    let folder = tools.join(key(commit, &compiler)?);
    let _lock = cache::lock(&tools.join("previous.lock"))?;
    if !folder.is_dir() {
        let began = Instant::now();
        eprintln!("Building the previous version, {}, once, into {}", &commit[..12], folder.display());
        cache::install(&folder, |partial| build(&root, commit, &compiler, partial))?;
        eprintln!("Built the previous version in {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(Found::Built(folder))
}

/// A file as it is in that version; none where it or the version is not in this clone.
pub(crate) fn file(path: &str) -> Option<String> {
    let root = shell::root();
    let text = read(&root.join(FILE)).ok()?;
    shell::output(git(&root).arg("show").arg(format!("{}:{path}", commit_of(&text)?))).ok()
}

fn commit_of(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().filter(|commit| commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()))
}

/// A checkout of another user's is one too.
fn git(root: &Path) -> Command {
    let mut git = shell::clean("git");
    git.arg("-c").arg(format!("safe.directory={}", root.display())).arg("-C").arg(root);
    git
}

/// A folder name that changes with all that it is built from.
fn key(commit: &str, compiler: &Compiler) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let rustc = shell::output(Command::new("rustc").current_dir(shell::root()).arg("-vV"))?;
    (RECIPE, commit, rustc, compiler.to_string()).hash(&mut hasher);
    Ok(format!("previous-{}-{:016x}", &commit[..12], hasher.finish()))
}

fn build(root: &Path, commit: &str, compiler: &Compiler, place: &Path) -> Result<()> {
    let source = place.join("source");
    fs::create_dir(&source).with_context(|| format!("could not make {}", source.display()))?;
    extract(root, commit, &source)?;

    let version = rename_version(&source, commit)?;

    // Everything that these depend on is what the workspace depends on: built once for both.
    build_ebpf::object_of(&source, compiler, place)?;
    let mut cargo = shell::cargo();
    cargo.current_dir(&source).args(["build", "--locked", "--workspace", "--bin", AGENT]);
    let built = shell::built("debug")?;
    let target = built.parent().context("cargo's folder has no parent")?;
    shell::run(cargo.env("CARGO_TARGET_DIR", target).env("EDGELOOP_EBPF_OBJECT", place.join(OBJECT)))?;

    let agent = place.join(AGENT);
    copy(&built.join(AGENT), &agent)?;
    let says = shell::output(Command::new(&agent).arg("--version"))?;
    ensure!(says.ends_with(&version), "another build came in between: run this again ({says})");
    fs::remove_dir_all(&source).with_context(|| format!("could not remove {}", source.display()))
}

fn extract(root: &Path, commit: &str, into: &Path) -> Result<()> {
    let mut archive = git(root);
    archive.args(["archive", "--format=tar", commit]).stdout(Stdio::piped());
    let mut archive = shell::start(&mut archive)?;
    let output = archive.stdout.take().context("git has no output")?;
    shell::run(shell::clean("tar").args(["-x", "-C"]).arg(into).stdin(output))?;
    let status = archive.wait().context("could not wait for git")?;
    ensure!(status.success(), "git archive failed ({status})");
    Ok(())
}

/// Gives the packages another version, and returns it: cargo would take a package of the same name and version,
/// at the same place of its workspace, for the one that it built last, and build both again and again.
fn rename_version(source: &Path, commit: &str) -> Result<String> {
    let manifest = source.join("Cargo.toml");
    let text = read(&manifest)?;
    let old = text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let old = old.with_context(|| format!("{} has no version", manifest.display()))?;
    let new = format!("{old}-previous.g{}", &commit[..12]);
    for workspace in ["", "lb-ebpf"] {
        let (manifest, lock) =
            (source.join(workspace).join("Cargo.toml"), source.join(workspace).join("Cargo.lock"));
        write(&manifest, &read(&manifest)?.replacen(&version_line(old), &version_line(&new), 1))?;
        write(&lock, &renamed_in_lock(&read(&lock)?, old, &new))?;
    }
    Ok(new)
}

fn version_line(version: &str) -> String {
    format!("\nversion = \"{version}\"\n")
}

/// The lock file with another version of every package that lies in the tree itself: those without a source.
fn renamed_in_lock(lock: &str, old: &str, new: &str) -> String {
    let packages = lock.split("\n\n").map(|package| {
        let is_ours = package.starts_with("[[package]]") && !package.contains("\nsource = ");
        if is_ours { package.replacen(&version_line(old), &version_line(new), 1) } else { package.to_owned() }
    });
    packages.collect::<Vec<_>>().join("\n\n")
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("could not write {}", file.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to).map(|_bytes| ());
    copied.with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_one_whole_commit() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit_of(&format!("# why\n\n{commit}\n")), Some(commit));
        for text in ["", "# only a comment\n", "0123456\n", "main\n"] {
            assert_eq!(commit_of(text), None, "{text:?}");
        }
    }
    #[test]
    fn packages_of_the_tree_alone_get_the_other_version() {
        let package = |name: &str, version: &str, rest: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{rest}")
        };
        let source = "source = \"registry\"";
        let lock = |version| {
            let ours = package("lb-agent", version, "dependencies = [\n \"a\",\n]");
            ["version = 4", &ours, &package("a", "0.1.0", source)].join("\n\n")
        };
        assert_eq!(renamed_in_lock(&lock("0.1.0"), "0.1.0", "0.1.0-x"), lock("0.1.0-x"));
    }
}
