//! The command line: parse, call, exit code.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use lb_agent::cli::{environment, sentence};
use lb_agent::telemetry;

fn main() -> ExitCode {
    let cli = environment::parse();
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
