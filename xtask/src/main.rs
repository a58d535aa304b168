//! The project's own verbs: parse, call, exit code.

mod build_ebpf;
mod packages;
mod shell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own verbs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the kernel object, installing what that needs.
    BuildEbpf(build_ebpf::Arguments),
}

fn main() -> ExitCode {
    let Xtask { verb } = Xtask::parse();
    let done = match verb {
        Verb::BuildEbpf(arguments) => build_ebpf::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
