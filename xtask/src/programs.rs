//! What the verbs that run something on this machine's kernel need before they can.

use std::path::PathBuf;

use anyhow::Result;

use crate::build_ebpf;
use crate::{machine, shell, tools};

/// The tools of a cluster, on a machine that can run one. Asked for before anything else is built, which
/// would be in vain without them.
pub(crate) fn of_cluster() -> Result<PathBuf> {
    machine::runs_our_programs()?;
    let tools = tools::get()?;
    machine::install_cluster_tools()?;
    Ok(tools)
}

/// Builds the agent and the harness with all its programs, and gives the folder they are in.
pub(crate) fn build() -> Result<PathBuf> {
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
    shell::built("debug")
}
