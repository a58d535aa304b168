//! The command line: parse, call, exit code.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::process::ExitCode;

use clap::Parser as _;
use lb_agent::cli::{Cli, sentence};
use tracing_subscriber::EnvFilter;

/// What the log shows, in the syntax of `tracing` filters.
const LOG: &str = "EDGELOOP_LOG";
const LEVEL: &str = "info";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let wish = std::env::var(LOG).ok().filter(|wish| !wish.is_empty());
    let filter = EnvFilter::try_new(wish.as_deref().unwrap_or(LEVEL));
    let colours = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_writer(stderr).with_ansi(colours);
    match filter {
        Ok(filter) => log.with_env_filter(filter).init(),
        Err(error) => {
            log.with_env_filter(LEVEL).init();
            tracing::warn!(%error, "{LOG} is not a log filter, such as info or lb_agent=debug; {LEVEL} is used");
        }
    }
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            // With stderr gone there is nobody to tell.
            drop(writeln!(stderr(), "error: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}
