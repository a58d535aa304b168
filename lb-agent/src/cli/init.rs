//! `lb-agent init`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::datapath::cgroup::OWN_MOUNT;
use crate::datapath::mount::{Mounted, bpffs, cgroup2};

use super::unless_closed;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: before an agent that may not mount
  lb-agent init")]
pub struct Args {
    /// Where a bpf file system has to be.
    #[arg(long, env = "EDGELOOP_BPFFS", value_name = "FOLDER", default_value = "/sys/fs/bpf")]
    bpffs: PathBuf,
    /// Where cgroup2 is mounted if its root is seen nowhere. An agent looks at the default by itself; any other
    /// folder is to be its --cgroup.
    #[arg(
        long,
        env = "EDGELOOP_CGROUP_MOUNT",
        value_name = "FOLDER",
        default_value = OWN_MOUNT
    )]
    cgroup_mount: PathBuf,
}

/// Mounts what is not mounted yet, and says what it did. To be run before an agent that may not mount.
///
/// # Errors
/// When something is not there and cannot be mounted.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { bpffs: pins, cgroup_mount } = args;
    let pins = said("a bpf file system", &bpffs(&pins)?);
    let cgroups = said("the root of cgroup2", &cgroup2(&cgroup_mount)?);
    let text = format!("{pins}\n{cgroups}\n");
    unless_closed(std::io::stdout().write_all(text.as_bytes())).context("could not write what was done")?;
    Ok(ExitCode::SUCCESS)
}

fn said(what: &str, mounted: &Mounted) -> String {
    match mounted {
        Mounted::Before { path } => format!("{what} is at {}", path.display()),
        Mounted::Now { path } => format!("{what} was mounted at {}", path.display()),
    }
}
