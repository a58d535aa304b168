//! `cargo xtask soak`: builds the agent and its next layout version, and becomes the soak.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::builds::Builds;
use crate::{build_ebpf, machine, programs, shell};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the soak: `--seconds N`, `--connections N`, `--seed S`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { rest } = arguments;
    machine::runs_our_programs()?;
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    // First, for the ordinary agent is built in the same place.
    let builds = Builds::next_layout()?;
    let programs = programs::build()?;
    let mut command = Command::new(programs.join("edgeloop-soak"));
    Err(shell::become_program(command.args(rest).envs(builds.environment)))
}
