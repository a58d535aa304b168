//! The command line: one command a file.

pub mod check;
pub mod cleanup;
pub mod duration;
pub mod environment;
pub mod init;
mod label_key;
mod peers;
pub mod plan;
pub mod print;
pub mod rules;
pub mod run;
mod signals;
pub mod sockets;
pub mod source;
pub mod status;
pub mod uninstall;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::shown::{chain, line};

/// Keeps Kubernetes Service traffic inside its node pool, decided in the kernel.
#[derive(Debug, Parser)]
#[command(name = "lb-agent", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow a source and keep this node's backends in the kernel.
    Run(Box<run::Args>),
    /// Say what a node would use and why, without root and without a kernel.
    Plan(plan::Args),
    /// Show what is in the kernel right now, also when no agent runs.
    Status(status::Args),
    /// List the UDP sockets that remember which backend stands for a Service, with their processes.
    Sockets(sockets::Args),
    /// Mount what must be there before an agent without privileges runs: a bpf file system, and cgroup2.
    Init(init::Args),
    /// Look at what this machine has of what the agent needs, and say what follows.
    Check(check::Args),
    /// Detach the programs and remove the maps.
    Cleanup(cleanup::Args),
    /// Have all pods of a DaemonSet detach and remove, before it is deleted.
    Uninstall(uninstall::Args),
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
}

/// What was done with standard output. The reader may have seen enough, as `head` does.
fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// An error and its causes in one line, as it is shown.
#[must_use]
pub fn sentence(error: &anyhow::Error) -> String {
    line(&chain(error.as_ref()))
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What the user has to know and do something about.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { command } = self;
        match command {
            Command::Run(args) => run::run(*args),
            Command::Plan(args) => plan::run(args),
            Command::Status(args) => status::run(args),
            Command::Sockets(args) => sockets::run(args),
            Command::Init(args) => init::run(args),
            Command::Check(args) => check::run(args),
            Command::Cleanup(args) => cleanup::run(args),
            Command::Uninstall(args) => uninstall::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_says_each_cause_once() {
        for (shows, error, said) in [
            ("alone", anyhow!("no folder"), "no folder"),
            (
                "with its cause",
                anyhow!("not found").context("could not open it"),
                "could not open it: not found",
            ),
            (
                "a cause that the text before ends with",
                anyhow!("not found").context("could not read x: not found").context("no usable file"),
                "no usable file: could not read x: not found",
            ),
        ] {
            assert_eq!(sentence(&error), said, "{shows}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let failed = |kind: io::ErrorKind| Err(kind.into());
        assert!(unless_closed(Ok(())).is_ok());
        assert!(unless_closed(failed(io::ErrorKind::BrokenPipe)).is_ok());
        assert!(unless_closed(failed(io::ErrorKind::StorageFull)).is_err());
    }
}
