//! A process that ends when its guard is dropped.

use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub struct Child {
    process: std::process::Child,
    name: String,
}

impl Child {
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        let process = command.spawn().with_context(|| format!("could not start {name}"))?;
        Ok(Self { process, name: name.to_owned() })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// To this process alone; an error when it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        let status = self.status()?;
        anyhow::ensure!(status.is_none(), "{} has ended", self.name);
        kill(self.id(), signal).with_context(|| format!("could not send {signal} to {}", self.name))
    }

    /// How it ended, if it did so within this time.
    pub fn wait(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let give_up = Instant::now() + within;
        loop {
            let status = self.status()?;
            if status.is_some() || Instant::now() > give_up {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks it to end, and makes it end when it does not.
    pub fn end(&mut self) -> Result<ExitStatus> {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if self.status()?.is_none() {
                // Its pid cannot have gone to another process: no thread has waited for this one yet.
                kill(self.id(), signal)
                    .with_context(|| format!("could not send {signal} to {}", self.name))?;
            }
            if let Some(status) = self.wait(Duration::from_secs(2))? {
                return Ok(status);
            }
        }
        anyhow::bail!("{} (pid {}) does not end", self.name, self.pid())
    }

    pub(crate) fn process(&mut self) -> &mut std::process::Child {
        &mut self.process
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait().with_context(|| format!("could not ask how {} is", self.name))
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }
}

/// A process that was started elsewhere.
impl From<std::process::Child> for Child {
    fn from(process: std::process::Child) -> Self {
        Self { name: format!("process {}", process.id()), process }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}
