//! The Go that builds the tools: which of those here, and run without its user's settings.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;
use crate::tools::Unavailable;

/// Where Go's own instructions put it.
pub(crate) const USUAL: &str = "/usr/local/go/bin/go";
/// The first that fetches another when a module asks for it.
const FETCHES_ANOTHER: Release = [1, 21, 0];
/// Lines of what it said that are worth repeating.
const LAST_LINES: usize = 3;

/// `go1.26.8` as numbers.
type Release = [u32; 3];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Go {
    program: PathBuf,
    /// The value of `GOTOOLCHAIN` for it: itself, or one to fetch because it is too old.
    toolchain: String,
    /// Of the Go that compiles.
    pub(crate) version: String,
    pub(crate) arch: String,
}

/// The first Go in PATH or where it usually lies that is at least `needed`, such as `1.26.0`; else the
/// first that can fetch that.
pub(crate) fn find(needed: &str) -> Result<Go> {
    let mut programs = shell::programs("go");
    programs.push(USUAL.into());
    choose(programs.into_iter().filter_map(ask).collect(), needed)
}

/// What a Go says of itself; none where it does not run.
fn ask(program: PathBuf) -> Option<Go> {
    let mut command = shell::clean(&program);
    // Outside of any module, which could ask for another Go.
    command.current_dir("/").env("GOTOOLCHAIN", "local").args(["env", "GOVERSION", "GOHOSTARCH"]);
    let said = shell::output(&mut command).ok()?;
    let (version, arch) = said.split_once('\n')?;
    Some(Go { program, toolchain: "local".into(), version: version.into(), arch: arch.trim().into() })
}

fn choose(mut found: Vec<Go>, needed: &str) -> Result<Go> {
    let least = release(needed).with_context(|| format!("{needed} is no version of Go"))?;
    let first = |at_least: Release| {
        found.iter().position(|go| release(&go.version).is_some_and(|release| release >= at_least))
    };
    if let Some(at) = first(least) {
        return Ok(found.swap_remove(at));
    }
    if let Some(at) = first(FETCHES_ANOTHER) {
        let exact = format!("go{needed}");
        return Ok(Go { toolchain: exact.clone(), version: exact, ..found.swap_remove(at) });
    }
    let here = match found.first() {
        Some(Go { program, version, .. }) => format!("{} is {version}", program.display()),
        None => "there is no Go here".to_string(),
    };
    bail!(Unavailable(format!(
        "{here}, and a cluster is built with Go {needed} or newer: get it from https://go.dev/dl/, into \
         /usr/local/go or PATH"
    )))
}

/// Reads `1.26.0`, `go1.26.8`, `go1.27rc1` and `devel go1.28-0123abc`.
fn release(version: &str) -> Option<Release> {
    let version = version.split_once("go").map_or(version, |(_, version)| version);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut numbers = version[..end].split('.').map(str::parse);
    let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
    Some([next()?, next()?, next()?])
}

impl Go {
    /// In the folder of a module. What a user set for modules of their own would change what is built, or
    /// break it; the file of `go env -w` has no say where a variable is set.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut go = shell::clean(&self.program);
        go.current_dir(folder)
            .env("GOTOOLCHAIN", &self.toolchain)
            .env("GOFLAGS", "-mod=readonly")
            .env("GO111MODULE", "on")
            .env("GOWORK", "off")
            .env("GOOS", "linux")
            .env("GOARCH", &self.arch);
        go
    }

    /// Fetches every module that the one in `folder` names. Done before a build, so that a failure there
    /// is one of the source.
    pub(crate) fn download(&self, folder: &Path) -> Result<()> {
        let mut go = self.command(folder);
        let mut child = shell::start(go.args(["mod", "download"]).stderr(Stdio::piped()))?;
        let errors = child.stderr.take().context("a child without standard error")?;
        let mut said = Vec::new();
        let status = shell::wait_after(child, || {
            said.extend(BufReader::new(errors).lines().map_while(Result::ok));
        })?;
        if status.success() {
            return Ok(());
        }
        if is_of_the_recipe(&said) {
            bail!("{} failed in {} ({status}):\n{}", shell::shown(&go), folder.display(), said.join("\n"));
        }
        let last = said[said.len().saturating_sub(LAST_LINES)..].join("\n  ");
        bail!(Unavailable(format!("Go's modules cannot be downloaded; what go said last:\n  {last}")))
    }
}

/// Whether what go says is about go.mod or go.sum, and not about the way to the modules.
fn is_of_the_recipe(said: &[String]) -> bool {
    let marks = ["SECURITY ERROR", "errors parsing go.mod", "updates to go.mod needed", "malformed go.sum"];
    said.iter().any(|line| marks.iter().any(|mark| line.contains(mark)))
}

#[cfg(test)]
impl Go {
    pub(crate) fn of_tests(version: &str) -> Self {
        let [program, toolchain, version, arch] = ["go", "local", version, "amd64"].map(String::from);
        Self { program: program.into(), toolchain, version, arch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(program: &str, version: &str) -> Go {
        Go { program: program.into(), ..Go::of_tests(version) }
    }

    #[test]
    fn the_first_go_that_is_new_enough_builds_and_else_one_that_fetches_it() {
        for (shows, found, chosen) in [
            ("new enough", vec![go("a", "go1.26.8")], "a local go1.26.8"),
            ("just so", vec![go("a", "go1.26.0")], "a local go1.26.0"),
            ("of two", vec![go("a", "go1.24.1"), go("b", "go1.30")], "b local go1.30"),
            ("a candidate", vec![go("a", "go1.27rc1")], "a local go1.27rc1"),
            ("of the day", vec![go("a", "devel go1.28-0a1b Mon")], "a local devel go1.28-0a1b Mon"),
            ("too old, fetches", vec![go("a", "go1.19"), go("b", "go1.24.1")], "b go1.26.0 go1.26.0"),
        ] {
            let Go { program, toolchain, version, .. } = choose(found, "1.26.0").unwrap();
            assert_eq!(format!("{} {toolchain} {version}", program.display()), chosen, "{shows}");
        }
    }

    #[test]
    fn without_go_the_error_says_which_and_where_from() {
        for (shows, found, says) in [
            ("none", Vec::new(), "there is no Go here"),
            ("much too old", vec![go("/usr/bin/go", "go1.19.8")], "/usr/bin/go is go1.19.8"),
        ] {
            let error = choose(found, "1.26.0").unwrap_err();
            let text = error.to_string();
            assert!(error.is::<Unavailable>(), "{shows}");
            assert!(text.starts_with(says), "{shows}: {text}");
            assert!(
                text.contains("Go 1.26.0 or newer") && text.contains("https://go.dev/dl/"),
                "{shows}: {text}"
            );
        }
    }

    #[test]
    fn what_a_user_set_for_modules_of_their_own_has_no_say() {
        let command = go("a", "go1.26.8").command(Path::new("/"));
        let set: Vec<_> = command.get_envs().collect();
        for (name, value) in [
            ("GOFLAGS", "-mod=readonly"),
            ("GOWORK", "off"),
            ("GO111MODULE", "on"),
            ("GOOS", "linux"),
            ("GOARCH", "amd64"),
            ("GOTOOLCHAIN", "local"),
        ] {
            assert!(set.contains(&(name.as_ref(), Some(value.as_ref()))), "{name}");
        }
    }

    #[test]
    fn a_sum_that_does_not_match_is_no_matter_of_the_network() {
        let of_the_recipe = |line: &str| is_of_the_recipe(&["before".into(), line.into()]);
        assert!(of_the_recipe("SECURITY ERROR"));
        assert!(of_the_recipe("go: errors parsing go.mod:"));
        assert!(!of_the_recipe("go: k8s.io/api@v0.36.3: module lookup disabled by GOPROXY=off"));
    }
}
