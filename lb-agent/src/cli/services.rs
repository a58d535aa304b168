//! `lb-agent services`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::print::services::{pinned, text};
use crate::serve::request::{Reply, Request};
use crate::view::held::beside_all;

use super::Output;
use super::explain::Place;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the Services that the kernel does not hold as they are wanted
  lb-agent services -o json | jq '.servicePorts[] | select(.kernel.state != \"same\")'")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
}

/// Prints what this node does with each service port, and what the kernel holds for it.
///
/// # Errors
/// No agent replies, or nothing is pinned.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { place, output } = args;
    if place.is_pinned() {
        let kernel = place.kernel()?;
        output.print(&kernel.services, || pinned(&kernel)).context("could not write what the maps hold")?;
        return Ok(ExitCode::SUCCESS);
    }
    let Reply::Services(mut services) = place.ask(&Request::Services)? else {
        bail!("the agent replied with something else than its Services: is it of this version?");
    };
    // Before it has opened its maps, an agent decides all the same.
    if let Ok(kernel) = place.kernel() {
        beside_all(&mut services, &kernel);
    }
    output.print(&services, || text(&services)).context("could not write the Services")?;
    Ok(ExitCode::SUCCESS)
}
