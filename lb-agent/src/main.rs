//! The command line: parse, call, exit code.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::Parser as _;
use lb_agent::cli::{Cli, sentence};
use lb_agent::telemetry;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            // Without stderr there is no place left to say it.
            drop(writeln!(stderr(), "error: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}
