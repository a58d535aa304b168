//! The program `edgeloop-pod`: finding it, starting it inside a pod, and reading its answers.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;

use crate::harness::checkout;
use crate::harness::child::Child;
use crate::harness::netns::Netns;

const NAME: &str = "edgeloop-pod";

/// Builds the helper program, for those that cargo does not build it for: all but this package's own tests.
pub fn build() -> Result<()> {
    if checkout::is_built() {
        return Ok(());
    }
    let status = checkout::cargo()
        .args(["build", "--quiet", "--package", "edgeloop-tests", "--bin", NAME])
        .status()
        .context("could not run cargo")?;
    ensure!(status.success(), "could not build {NAME}");
    Ok(())
}

pub(crate) fn find() -> Result<PathBuf> {
    checkout::program(NAME)
}

/// A program that will run in this cgroup and network namespace.
///
/// In a process group of its own: Ctrl-C is for the harness, which ends its children in order.
pub(crate) fn program(helper: &Path, cgroup: &Path, netns: Option<&Netns>, program: &OsStr) -> Command {
    let mut command = inside(helper, cgroup, netns);
    command.args(["exec", "--"]).arg(program);
    command
}

/// The helper program at work. It ends when its standard input is closed: at the latest when we do.
pub(crate) struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Helper {
    pub(crate) fn start(
        helper: &Path,
        cgroup: &Path,
        netns: &Netns,
        name: String,
        arguments: &[String],
    ) -> Result<Self> {
        let mut command = inside(helper, cgroup, Some(netns));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Child::spawn(&name, &mut command)?;
        let input = child.process().stdin.take();
        let output = child.process().stdout.take().context("the helper has no standard output")?;

        let (sender, lines) = mpsc::channel();
        thread::spawn(move || pass_on(output, &sender));
        Ok(Self { child, input, lines, name })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The next line, read as `T`; none when it has ended well.
    pub(crate) fn next<T: DeserializeOwned>(&mut self, within: Duration) -> Result<Option<T>> {
        match self.lines.recv_timeout(within) {
            Ok(line) => self.read(&line).map(Some),
            Err(RecvTimeoutError::Timeout) => Err(anyhow!("{} says nothing for {within:?}", self.name)),
            Err(RecvTimeoutError::Disconnected) => self.ended().map(|()| None),
        }
    }

    /// The next line if it comes within this time; an error when there will be none.
    pub(crate) fn poll<T: DeserializeOwned>(&mut self, within: Duration) -> Result<Option<T>> {
        match self.lines.recv_timeout(within) {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(line) => self.read(&line).map(Some),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended()?;
                bail!("{} ended too early", self.name)
            }
        }
    }

    /// The next line, which has to come.
    pub(crate) fn expect<T: DeserializeOwned>(&mut self, within: Duration) -> Result<T> {
        self.next(within)?.with_context(|| format!("{} ended too early", self.name))
    }

    /// Gives it a line to read.
    pub(crate) fn send_line(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().with_context(|| format!("{} was asked to end", self.name))?;
        writeln!(input, "{line}").with_context(|| format!("{} has ended", self.name))
    }

    /// What it still has to say, it will say, and then end.
    pub(crate) fn ask_to_end(&mut self) {
        self.input = None;
    }

    fn read<T: DeserializeOwned>(&self, line: &str) -> Result<T> {
        serde_json::from_str(line).with_context(|| format!("{} says what it should not: {line}", self.name))
    }

    fn ended(&mut self) -> Result<()> {
        match self.child.wait(Duration::from_secs(2))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} failed ({status}); what it said stands above", self.name),
            None => bail!("{} closed its output and does not end", self.name),
        }
    }
}

fn inside(helper: &Path, cgroup: &Path, netns: Option<&Netns>) -> Command {
    let mut command = Command::new(helper);
    command.process_group(0).arg("--cgroup").arg(cgroup);
    if let Some(netns) = netns {
        command.arg("--netns").arg(netns.path());
    }
    command
}

/// Until the output ends or the receiver is gone.
fn pass_on(output: ChildStdout, sender: &Sender<String>) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        if sender.send(line).is_err() {
            return;
        }
    }
}
