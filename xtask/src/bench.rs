//! `cargo xtask bench`: builds for speed, and becomes the bench.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::build_ebpf;
use crate::{machine, shell};

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// What a connect(2) costs in the kernel, beside an empty program and two other designs.
    Connect(Arguments),
    /// From one changed slice to the last map write, on the in-memory kernel.
    Plan(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the bench, such as `-o json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    let (name, Arguments { rest }) = match bench {
        Bench::Connect(arguments) => ("connect", arguments),
        Bench::Plan(arguments) => ("plan", arguments),
    };
    let on_the_kernel = matches!(bench, Bench::Connect(_));
    if on_the_kernel {
        machine::runs_our_programs()?;
        machine::install_tools()?;
    }
    // The agent's library, which the bench measures, holds the object either way.
    build_ebpf::run(&build_ebpf::Arguments { reference: on_the_kernel, ..Default::default() })?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "edgeloop-tests", "--bin", "edgeloop-bench"]);
    if on_the_kernel {
        // What runs inside of the simulated pods.
        cargo.args(["--bin", "edgeloop-pod"]);
    }
    shell::run(&mut cargo)?;
    let program = shell::built("release")?.join("edgeloop-bench");
    Err(shell::become_program(Command::new(program).arg(name).args(rest)))
}
