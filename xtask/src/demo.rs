//! `cargo xtask demo`: builds what the demo needs, and becomes it.

use std::ffi::OsString;

use anyhow::Result;

use crate::build_ebpf;
use crate::{machine, shell};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the demo.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { rest } = arguments;
    machine::runs_our_programs()?;
    machine::install_tools()?;
    build_ebpf::run(&build_ebpf::Arguments::default())?;
    shell::run(shell::cargo().args([
        "build",
        "--package",
        "lb-agent",
        "--package",
        "edgeloop-tests",
        "--bins",
    ]))?;
    let demo = shell::built("debug")?.join("edgeloop-demo");
    Err(shell::become_program(std::process::Command::new(demo).args(rest)))
}
