//! The agent's lives: started, killed, and started again, as this build or another, over these maps or others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_agent::plants::VARIABLE;
use nix::sys::signal::Signal;

use super::Build;
use super::in_kernel::InKernel;
use crate::Pod;
use crate::ours::agent::Agent;
use crate::ours::pins::{assert_generation_of, folder_of};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries that were deleted come back after this many seconds at the latest.
const AUDIT: &str = "1";
/// How much of a log is shown with an error.
const LOG_LINES: usize = 20;
/// Room for the regions that wait for a grace period.
const ROOM: &str = "16384";

/// How an agent is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Over the maps there are.
    Again,
    /// It wants maps of another size.
    Resized,
    /// Another build.
    OtherBuild,
}

pub(super) struct Process {
    /// Its network is the agent's.
    host: Arc<Pod>,
    builds: Vec<Build>,
    /// Which of the builds is next to run, or runs.
    build: usize,
    /// Service ports that the maps have room for.
    frontends: u32,
    agent: Option<Agent>,
}

impl Process {
    pub(super) const fn new(host: Arc<Pod>, builds: Vec<Build>) -> Self {
        Self { host, builds, build: 0, frontends: 64, agent: None }
    }

    /// Begins a start. It is ready once [`ready`](Self::ready) says so.
    pub(super) fn spawn(&mut self, start: Start) -> Result<()> {
        match start {
            Start::Again => {}
            Start::Resized => self.frontends = if self.frontends == 64 { 96 } else { 64 },
            Start::OtherBuild => self.build = (self.build + 1) % self.builds.len(),
        }
        let frontends = self.frontends.to_string();
        let flags = ["--audit-interval", AUDIT, "--max-services", &frontends, "--max-backends", ROOM];
        let Build { program, plant, .. } = &self.builds[self.build];
        let mut command = self.host.command(program);
        command.envs(plant.map(|plant| (VARIABLE, plant.name())));
        self.agent = Some(Agent::spawn_as(self.host.node(), &mut command, &flags)?);
        Ok(())
    }

    /// Waits until it serves, and all programs run on the maps that are pinned. Opens these.
    pub(super) fn ready(&mut self) -> Result<InKernel> {
        let version = self.builds[self.build].version;
        let agent = self.agent.as_mut().context("no agent was started")?;
        let give_up = Instant::now() + PATIENCE;
        if let Some(status) = agent.ready_or_ended()? {
            bail!("the agent ended at its start ({status}):\n{}", agent.log());
        }
        let node = self.host.node();
        let serves = || {
            assert_generation_of(node, version)?;
            let maps = InKernel::open(&folder_of(node, version))?;
            ensure!(maps.knows_the_host()?, "it has not read the addresses of the host");
            Ok(maps)
        };
        loop {
            match serves() {
                Ok(maps) => return Ok(maps),
                Err(error) if Instant::now() > give_up => {
                    return Err(error.context(format!("the agent does not come up\n{}", agent.log())));
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// SIGKILL. Returns once it is gone.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(agent) = self.agent.take() {
            let log = agent.log();
            let code = agent.end_by(Signal::SIGKILL).with_context(|| format!("it had ended:\n{log}"))?;
            if let Some(code) = code {
                bail!("the agent ended by itself, with {code}:\n{log}");
            }
        }
        Ok(())
    }

    /// The end of the log of all agents.
    pub(super) fn log(&self) -> String {
        let log = self.agent.as_ref().map(Agent::log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    pub(super) fn has_other_builds(&self) -> bool {
        self.builds.len() > 1
    }
}
