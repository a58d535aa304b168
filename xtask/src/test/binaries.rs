//! The workspace's test binaries: built once, and run tier by tier.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::builds::{self, Builds};
use crate::test::Counts;
use crate::{browser, machine, prometheus, schemas, shell, tools};

/// Says to the harness that it needs to build nothing.
const BUILT: &str = "EDGELOOP_BUILT";

/// One file that cargo built from `#[test]` functions.
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// The folder of its package, where it expects to run.
    folder: PathBuf,
}

/// Which of a binary's tests are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Those marked `#[ignore]`.
    Ignored,
    /// All the others.
    Others,
}

/// As much as we need of what `cargo build --message-format=json` says.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds every test, and the programs that tests call; none when something does not compile.
pub(crate) fn build() -> Result<Option<Vec<Binary>>> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--workspace", "--bins", "--tests", "--message-format", "json-render-diagnostics"]);
    let mut binaries = Vec::new();
    let status = lines_of(&mut cargo, |line| binaries.extend(binary(line)))?;
    binaries.sort_by(|a, b| a.program.cmp(&b.program));
    Ok(status.success().then_some(binaries))
}

fn binary(line: &str) -> Option<Binary> {
    let message: Message = serde_json::from_str(line).ok()?;
    message.profile?.test.then_some(())?;
    Some(Binary {
        name: message.target?.name,
        program: message.executable?,
        folder: message.manifest_path?.parent()?.to_path_buf(),
    })
}

impl Binary {
    pub(crate) fn tests(&self, selection: Selection) -> Result<BTreeSet<String>> {
        let list = |arguments: &[&str]| -> Result<BTreeSet<String>> {
            let said = shell::output(self.command().args(["--list", "--format", "terse"]).args(arguments))?;
            Ok(said.lines().filter_map(|line| line.strip_suffix(": test")).map(String::from).collect())
        };
        let ignored = list(&["--ignored"])?;
        match selection {
            Selection::Ignored => Ok(ignored),
            Selection::Others => Ok(list(&[])?.difference(&ignored).cloned().collect()),
        }
    }

    /// Ignored tests share the machine's kernel: two at a time, so that time-outs mean something.
    pub(crate) fn run(&self, selection: Selection, given: &Given, rest: &[String]) -> Result<Counts> {
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("\nRunning {folder}/{}", self.name);
        let mut command = self.command();
        if selection == Selection::Ignored {
            command.args(["--ignored", "--test-threads", "2"]);
        }
        command.envs(given.tools.iter().map(|tools| (tools::VARIABLE, tools)));
        command.envs(given.builds.environment.iter().map(|(name, path)| (name, path)));
        command.envs(given.schemas.iter().flat_map(Result::as_ref).map(|folder| (schemas::VARIABLE, folder)));
        let of_prometheus = given.prometheus.iter().flat_map(Result::as_ref);
        command.envs(of_prometheus.map(|folder| (prometheus::VARIABLE, folder)));
        let no_prometheus = given.prometheus.as_ref().and_then(|tools| tools.as_ref().err());
        command.envs(given.browser.iter().flat_map(Result::as_ref).map(|root| (browser::VARIABLE, root)));
        let no_browser = given.browser.as_ref().and_then(|root| root.as_ref().err());
        let no_schemas = given.schemas.as_ref().and_then(|schemas| schemas.as_ref().err());
        let no_memory = machine::limits_memory().err().map(|error| error.to_string());
        let no_clients = machine::CLIENT_TESTS
            .map(|(part, programs)| (part, machine::has_programs(programs).err().map(|why| why.to_string())));
        let lacking = [
            (builds::PREVIOUS_TESTS, given.builds.no_previous.as_ref()),
            (schemas::TESTS, no_schemas),
            (prometheus::TESTS, no_prometheus),
            (browser::TESTS, no_browser),
            (machine::MEMORY_TESTS, no_memory.as_ref()),
        ];
        let lacking = lacking.into_iter().chain(no_clients.iter().map(|(part, why)| (*part, why.as_ref())));
        let mut without = Vec::new();
        for (part, why) in lacking.filter_map(|(part, why)| Some((part, why?))) {
            command.args(["--skip", part]);
            let lacking = self.tests(selection)?.into_iter();
            let lacking = lacking.filter(|name| name.contains(part) && is_meant(name, rest));
            without.extend(lacking.map(|name| format!("{name}: {why}")));
        }
        let mut counts = counted(command.args(rest))?;
        counts.skipped += without.len();
        counts.ignored.extend(without);
        Ok(counts)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env(BUILT, "1");
        command
    }
}

/// What tests are given besides their own package.
#[derive(Default)]
pub(crate) struct Given {
    /// The folder of a cluster's programs, for tests that start one.
    pub(crate) tools: Option<PathBuf>,
    /// The folder of the validators for the chart, or why there is none; for the tier that has such tests.
    pub(crate) schemas: Option<Result<PathBuf, String>>,
    /// promtool and a parser of OpenMetrics, or why they cannot be had.
    pub(crate) prometheus: Option<Result<PathBuf, String>>,
    /// The root of a browser, or why it cannot be had; for the tier that has pages.
    pub(crate) browser: Option<Result<PathBuf, String>>,
    pub(crate) builds: Builds,
}

/// Whether arguments for the test binaries leave this test in: those that are no flags are parts of names.
fn is_meant(name: &str, rest: &[String]) -> bool {
    let mut parts = rest.iter().filter(|part| !part.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(part.as_str()))
}

/// The examples in the documentation.
pub(crate) fn documentation() -> Result<Counts> {
    eprintln!("\nRunning the examples in the documentation");
    counted(shell::cargo().args(["test", "--workspace", "--doc", "--no-fail-fast", "--quiet"]))
}

/// Runs tests, shows what they say, and counts them.
fn counted(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    let status = lines_of(command, |line| counts.read(line))?;
    // It ended without a result: a crash, or a test that ended the process.
    if !status.success() && counts.failed.is_empty() {
        counts.failed.push(format!("{} ({status})", shell::shown(command)));
    }
    Ok(counts)
}

impl Counts {
    /// Shows a line that tests wrote, and counts what it says.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(ignored) = ignored(line) {
            self.ignored.push(ignored);
            self.left_off += 1;
        }
        if let Some(passed) = passed(line) {
            // Those that left off have passed, says their harness.
            self.passed += passed.saturating_sub(self.left_off);
            self.skipped += std::mem::take(&mut self.left_off);
        }
        self.failed.extend(failed(line).map(String::from));
        self.excerpts.read(line);
        // A reader that went away does not end the tests.
        writeln!(std::io::stdout(), "{line}").ok();
    }
}

pub(crate) fn lines_of(
    command: &mut Command,
    mut each: impl FnMut(&str),
) -> Result<std::process::ExitStatus> {
    let mut child = shell::start(command.stdout(Stdio::piped()))?;
    let output = child.stdout.take().context("a child without standard output")?;
    shell::wait_after(child, || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            each(&line);
        }
    })
}

/// Reads `test result: ok. 4 passed; 0 failed; 1 ignored; …`. Ignored ones belong to another tier.
fn passed(line: &str) -> Option<usize> {
    let facts = line.strip_prefix("test result: ")?;
    let fact = facts.split([';', '.']).find(|fact| fact.ends_with(" passed"))?;
    fact.split_whitespace().next()?.parse().ok()
}

/// Reads `test NAME ... ignored: WHY`, which a test itself writes that leaves off.
fn ignored(line: &str) -> Option<String> {
    let (name, why) = line.strip_prefix("test ")?.split_once(" ... ignored: ")?;
    Some(format!("{name}: {why}"))
}

/// Reads `test NAME ... FAILED`.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_and_other_lines_are_not() {
        let line = "test result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!((passed(line), failed(line)), (Some(4), None));
        let line = "test room::tests::a_rule_holds ... FAILED";
        assert_eq!((passed(line), failed(line)), (None, Some("room::tests::a_rule_holds")));
        assert_eq!(failed("test room::tests::a_rule_holds ... ok"), None);
    }

    #[test]
    fn a_test_that_leaves_off_is_ignored_and_has_not_passed() {
        let mut counts = Counts::default();
        for line in [
            "test room::needs_much ... ignored: this kernel has no MPTCP",
            "test room::needs_much ... ok",
            "test room::needs_little ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ] {
            counts.read(line);
        }
        assert_eq!((counts.passed, counts.skipped), (1, 1));
        assert_eq!(counts.ignored, ["room::needs_much: this kernel has no MPTCP"]);
    }

    #[test]
    fn a_test_is_meant_unless_other_names_are_given() {
        for (rest, meant) in [(&[][..], true), (&["--nocapture"], true), (&["grade"], true), (&["x"], false)]
        {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            assert_eq!(is_meant("upgrade::previous::holds", &rest), meant, "{rest:?}");
        }
    }

    #[test]
    fn only_test_binaries_are_taken_from_what_cargo_says() {
        let message = |test, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml",
                "target":{{"name":"object","kind":["test"]}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let taken = binary(&message(true, r#""/w/target/debug/deps/object-1""#)).unwrap();
        assert_eq!((taken.name.as_str(), taken.folder), ("object", PathBuf::from("/w/tests")));
        assert!(binary(&message(false, r#""/w/target/debug/edgeloop-pod""#)).is_none(), "a program");
        assert!(binary(&message(true, "null")).is_none(), "a library");
        assert!(binary(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
