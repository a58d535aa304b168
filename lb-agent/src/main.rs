//! The command line: parse, call, exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lb_agent::cli;

/// Keeps Kubernetes Service traffic inside its node pool
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What a node would use and why, without root and without a kernel
    Plan(cli::plan::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Plan(args) => cli::plan::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
