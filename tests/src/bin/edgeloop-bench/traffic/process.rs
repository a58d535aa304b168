//! A program in a pod or on its node, which is asked and answers by lines.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::Child;

/// Many times what any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Process {
    name: String,
    input: ChildStdin,
    lines: Receiver<String>,
    _child: Child,
}

impl Process {
    /// One whose standard output is read.
    pub(super) fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("could not start {name}"))?;
        let output = process.stdout.take().context("it has an output")?;
        Self::of(name, process, output)
    }

    /// One whose standard error is read.
    pub(super) fn start_logging(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("could not start {name}"))?;
        let output = process.stderr.take().context("it has a log")?;
        Self::of(name, process, output)
    }

    fn of(name: &str, mut process: std::process::Child, output: impl Read + Send + 'static) -> Result<Self> {
        let input = process.stdin.take().context("it has an input")?;
        let (send, lines) = channel();
        // Reads on when the lines are wanted no more: a full pipe would stop the program.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                send.send(line).ok();
            }
        });
        Ok(Self { name: name.to_owned(), input, lines, _child: Child::from(process) })
    }

    /// The next line.
    pub(super) fn line(&self) -> Result<String> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.with_context(|| format!("{} does not answer; what it said stands above", self.name))
    }

    /// Waits for a line with this in it.
    pub(super) fn wait_for(&self, text: &str) -> Result<()> {
        while !self.line()?.contains(text) {}
        Ok(())
    }

    /// Gives it a line, and takes the line that comes back.
    pub(super) fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}").with_context(|| format!("{} has ended", self.name))?;
        self.line()
    }
}
