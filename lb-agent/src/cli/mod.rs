//! The command line: one command a file.

pub mod check;
pub mod choices;
pub mod cleanup;
pub mod completions;
pub mod duration;
pub mod environment;
pub mod explain;
pub mod init;
mod label_key;
pub mod loops;
mod node_signs;
mod output;
mod peers;
pub mod plan;
mod plugin;
pub mod print;
mod probe;
pub mod remote;
pub mod rules;
pub mod run;
pub mod services;
mod signals;
pub mod sockets;
pub mod source;
pub mod status;
pub mod sysdump;
pub mod trace;
pub mod uninstall;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shown::{chain, line};

pub use output::Output;
use output::unless_closed;

/// The program, and the first word of its pages.
pub const NAME: &str = "lb-agent";

/// Of all commands; docs/operations.md has those of each.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 it failed, or what was asked for is not there, and the last line says why; 2 the command line is not understood.";

/// Keeps Kubernetes Service traffic inside its node pool, decided in the kernel.
#[derive(Debug, Parser)]
#[command(name = NAME, version, about, after_help = EXIT_CODES)]
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
    /// List what this node does with every service port, and what the kernel holds for it.
    Services(services::Args),
    /// Say why connections to a Service go where they go: each of its endpoints, used or not, with the reason.
    Explain(explain::Args),
    /// Show the closed loop: how many connections of this node went from which pool to which, as the kernel counted them.
    Loop(loops::Args),
    /// Show live what the programs decide: who dials which Service, what it gets, or why it is refused.
    Trace(trace::Args),
    /// List the UDP sockets that remember which backend stands for a Service, with their processes.
    Sockets(sockets::Args),
    /// Make one file with all that a report on this node needs, without secrets.
    Sysdump(sysdump::Args),
    /// Mount what must be there before an agent without privileges runs: a bpf file system, and cgroup2.
    Init(init::Args),
    /// Look at what this machine has of what the agent needs, and say what follows.
    Check(check::Args),
    /// Detach the programs and remove the maps.
    Cleanup(cleanup::Args),
    /// Have all pods of a DaemonSet detach and remove, before it is deleted.
    Uninstall(uninstall::Args),
    /// Serve and dial in the pods of `check --cluster --live`.
    #[command(hide = true)]
    Probe(probe::Args),
    /// Print what a shell reads to complete commands and flags.
    Completions(completions::Args),
    /// Write manual pages.
    Man(completions::ManArgs),
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
            Command::Services(args) => services::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Loop(args) => loops::run(&args),
            Command::Trace(args) => trace::run(args),
            Command::Sockets(args) => sockets::run(args),
            Command::Sysdump(args) => sysdump::run(args),
            Command::Init(args) => init::run(args),
            Command::Check(args) => check::run(args),
            Command::Cleanup(args) => cleanup::run(args),
            Command::Uninstall(args) => uninstall::run(args),
            Command::Probe(args) => probe::run(args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => completions::man(&args),
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
}
