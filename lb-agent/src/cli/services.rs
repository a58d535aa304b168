//! `lb-agent services`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::print::nodes;
use crate::cli::print::services::{pinned, text};
use crate::serve::request::{Reply, Request};
use crate::view::held::beside_all;
use crate::view::nodes::of_services;

use super::Output;
use super::explain::Place;
use super::remote::{Asked, RemoteArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the Services that the kernel does not hold as they are wanted
  lb-agent services -o json | jq '.servicePorts[] | select(.kernel.state != \"same\")'

Example: the nodes of a pool that do not decide as the others of it
  lb-agent services --all-nodes")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Prints what this node does with each service port, and what the kernel holds for it.
///
/// # Errors
/// No agent replies, or nothing is pinned.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { place, output, remote } = args;
    match remote.asked() {
        Asked::Here => {}
        Asked::One(node) => return remote.print_of_one(&node, &place.command("services"), *output),
        Asked::Several(nodes) => {
            place.needs_agents()?;
            return remote.print_of_several(&nodes, &["services"], *output, of_services, nodes::services);
        }
    }
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
