//! One container under `runc`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cluster::tool;
use crate::harness::child::Child;
use crate::harness::node::Node;

use super::bundle::ALL;

pub(super) const RUNC: &str = "runc";

/// It ends when dropped, and what the runtime keeps of it goes.
pub(super) struct Container {
    /// Waits for the container, and passes signals on to it.
    runc: Child,
    id: String,
    state: PathBuf,
}

impl Container {
    /// Starts what lies in `bundle`, as a process of this node. What it says is added to `log`.
    pub(super) fn start(node: &Node, bundle: &Path, state: &Path, id: &str, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log);
        let log = log.context("could not make a log")?;
        let also = log.try_clone().context("could not share a log")?;
        let mut command = node.command(RUNC);
        command.arg("--root").arg(state).args(["run", "--bundle"]).arg(bundle).arg(id);
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        let runc = Child::spawn(&format!("the container {id}"), &mut command)?;
        Ok(Self { runc, id: id.to_owned(), state: state.to_owned() })
    }

    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.runc.wait(Duration::ZERO)
    }

    /// Asks its first process to end. None is there any more where it has ended.
    pub(super) fn ask_to_end(&mut self) {
        drop(self.runc.signal(Signal::SIGTERM));
    }

    pub(super) fn kill(&self) {
        // Not a signal that could be passed on.
        drop(self.runc(&["kill", &self.id, "KILL"]));
    }

    /// Runs a program in it, and waits for its end.
    pub(super) fn exec(&self, arguments: &[&str]) -> Result<Output> {
        let mut all = vec!["exec", &self.id];
        all.extend(arguments);
        self.runc(&all)
    }

    fn runc(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(RUNC);
        command.arg("--root").arg(&self.state).args(arguments).stdin(Stdio::null());
        command.output().context("could not run runc")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(error) = self.runc(&["delete", "--force", &self.id]) {
            eprintln!("{error:#}");
        }
        if let Err(error) = self.runc.wait(Duration::from_secs(5)) {
            eprintln!("{error:#}");
        }
    }
}

/// What the runtime begins a bundle with.
pub(super) fn base(folder: &Path) -> Result<Value> {
    let output = Command::new(RUNC).args(["spec", "--bundle"]).arg(folder).output();
    let output = output.context("could not run runc: install Debian's package runc")?;
    ensure!(output.status.success(), "runc spec failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read(folder.join("config.json")).context("runc wrote no configuration")?;
    serde_json::from_slice(&text).context("runc's configuration is no JSON")
}

/// The capabilities that this process can pass on.
pub(super) fn held() -> Result<Vec<&'static str>> {
    let status = fs::read_to_string("/proc/self/status").context("could not read /proc/self/status")?;
    let bits = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = u64::from_str_radix(bits.unwrap_or_default().trim(), 16).context("no set of capabilities")?;
    Ok(ALL.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| name).collect())
}

/// The configuration with the default seccomp profile for its capabilities.
pub(super) fn confined(config: &Value) -> Result<Value> {
    let mut command = Command::new(tool("add-seccomp")?);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
    let child = child.context("could not run add-seccomp")?;
    let text = serde_json::to_vec(config).context("no JSON")?;
    child.stdin.take().context("no input")?.write_all(&text).context("could not pass a configuration on")?;
    let mut said = Vec::new();
    let mut output = child.stdout.take().context("no output")?;
    std::io::Read::read_to_end(&mut output, &mut said).context("could not read a configuration")?;
    ensure!(child.wait().context("add-seccomp does not end")?.success(), "add-seccomp failed");
    serde_json::from_slice(&said).context("add-seccomp's configuration is no JSON")
}
