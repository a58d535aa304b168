//! The command line: one command a file.

pub mod cleanup;
mod near;
pub mod plan;
pub mod rules;
pub mod run;
pub mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

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
    Run(run::Args),
    /// Say what a node would use and why, without root and without a kernel.
    Plan(plan::Args),
    /// Show what is in the kernel right now, also when no agent runs.
    Status(status::Args),
    /// Detach the programs and remove the maps.
    Cleanup(cleanup::Args),
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What the user has to know and do something about.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { command } = self;
        match command {
            Command::Run(args) => run::run(args),
            Command::Plan(args) => plan::run(args),
            Command::Status(args) => status::run(args),
            Command::Cleanup(args) => cleanup::run(args),
        }
    }
}
