//! `lb-agent status`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::print::nodes;
use crate::cli::print::status::{NOT_COVERED, Status, text};
use crate::config::{PIN_ROOT, socket};
use crate::datapath::cgroup;
use crate::datapath::maps::pinned::OpenError;
use crate::serve::observe::{ObserveError, observe};
use crate::serve::socket::ask;
use crate::view::nodes::of_status;

use super::Output;
use super::remote::{Asked, RemoteArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the outcomes that the programs counted
  lb-agent status -o json | jq .kernel.outcomes

Example: a line for each node of the cluster, with what differs from most of the others
  lb-agent status --all-nodes")]
pub struct Args {
    /// Where maps and links are pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    /// The agent's socket, if it was given one.
    #[arg(long, env = "EDGELOOP_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,
    /// The cgroup2 folder that the agent attached at, if it was given one.
    #[arg(long, env = "EDGELOOP_CGROUP", value_name = "FOLDER")]
    cgroup: Option<PathBuf>,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
}

/// Prints what is in the kernel, and what the agent adds to it. Exits with 1 when nothing is
/// pinned.
///
/// # Errors
/// When the maps are there and cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { pin_root, socket: named, cgroup: asked, output, remote } = args;
    match remote.asked() {
        Asked::Here => {}
        Asked::One(node) => return remote.print_of_one(&node, &["status"], output),
        Asked::Several(nodes) => {
            return remote.print_of_several(&nodes, &["status"], output, of_status, nodes::status);
        }
    }
    let cgroup = cgroup::find(asked.as_deref()).ok();
    let kernel = match observe(&pin_root, cgroup.as_ref()) {
        Ok(kernel) => Some(kernel),
        Err(ObserveError::Open(OpenError::Absent { .. })) => None,
        Err(error) => return Err(error.into()),
    };
    let status = Status { kernel, agent: ask(&socket(named, &pin_root)), not_covered: NOT_COVERED.to_vec() };
    output.print(&status, || text(&status)).context("could not write the status")?;
    if status.kernel.is_none() {
        writeln!(
            std::io::stderr(),
            "nothing of Edgeloop is pinned at {}; start `lb-agent run`, or name another folder with --pin-root",
            pin_root.display()
        )?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
