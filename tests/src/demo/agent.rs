//! One agent: started on a node, asked whether it is ready, killed.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::ours::agent::program;
use crate::{Child, Node};

const SOON: Duration = Duration::from_secs(20);

pub(super) struct Agent {
    node: Node,
    program: PathBuf,
    source: String,
    socket: PathBuf,
    log: PathBuf,
    process: Child,
}

impl Agent {
    /// `folder` is for its socket and its log, `manifests` what it follows.
    pub(super) fn start(node: Node, folder: &Path, manifests: &Path) -> Result<Self> {
        let program = program()?;
        let source = format!("file:{}", manifests.display());
        let socket = folder.join(format!("{}.sock", node.name()));
        let log = folder.join(format!("{}.log", node.name()));
        let process = spawn(&node, &program, &source, &socket, &log)?;
        Ok(Self { node, program, source, socket, log, process })
    }

    /// Takes over what a killed one left in the kernel.
    pub(super) fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.node, &self.program, &self.source, &self.socket, &self.log)?;
        Ok(())
    }

    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let give_up = Instant::now() + SOON;
        while !self.is_ready()? {
            if let Some(status) = self.process.wait(Duration::ZERO)? {
                bail!("the agent of {} ended ({status}): {}", self.node.name(), self.last_words());
            }
            ensure!(
                Instant::now() < give_up,
                "the agent of {} was not ready within {SOON:?}: {}",
                self.node.name(),
                self.last_words()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns once it is no more.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        let status = self.process.wait(SOON)?.context("an agent outlives SIGKILL")?;
        let killed = status.signal() == Some(Signal::SIGKILL as i32);
        ensure!(killed, "the agent of {} ended by itself ({status}) before it was killed", self.node.name());
        Ok(())
    }

    fn is_ready(&self) -> Result<bool> {
        let output = Command::new(&self.program)
            .args(["status", "--output", "json", "--pin-root"])
            .arg(self.node.pin_root())
            .arg("--socket")
            .arg(&self.socket)
            .arg("--cgroup")
            .arg(self.node.cgroup())
            .stdin(Stdio::null())
            .output()
            .context("could not run `lb-agent status`")?;
        // Without anything pinned yet it says so, and has the shape all the same.
        let status: Value = serde_json::from_slice(&output.stdout).with_context(|| {
            format!("`lb-agent status` failed: {}", String::from_utf8_lossy(&output.stderr).trim())
        })?;
        let agent = &status["agent"];
        Ok(agent["ready"] == true && agent["pid"] == self.process.pid())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or("its log is empty").to_owned()
    }
}

/// In the node's cgroup; its log goes to a file.
fn spawn(node: &Node, program: &Path, source: &str, socket: &Path, log: &Path) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("could not open {}", log.display()))?;
    let mut command = node.command(program);
    command
        .args(["run", "--source", source, "--node", node.name(), "--cgroup"])
        .arg(node.cgroup())
        .arg("--pin-root")
        .arg(node.pin_root())
        .arg("--socket")
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Child::spawn(&format!("the agent of {}", node.name()), &mut command)
}
