//! The tutorial on the kernel of this machine: `cargo xtask demo` runs it.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::Parser;

/// Runs the folder examples/tutorial on this machine's kernel, in cgroups and network namespaces of its own,
/// and shows which client is answered by which pool while things change. Exits with 1 when anything is not as
/// it should be. Needs root; leaves nothing behind.
#[derive(Parser)]
#[command(name = "edgeloop-demo")]
struct Arguments {}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    match edgeloop_tests::demo::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr gone there is nobody to tell.
            drop(writeln!(stderr(), "\nedgeloop-demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
