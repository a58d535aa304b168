//! The tutorial on this machine's kernel, step by step; what it prints comes from connections it made.

mod agent;
mod cast;
mod change;
mod cluster;
mod compare;
mod kill;
mod manifests;
mod matrix;
mod names;
mod screen;
mod stage;
mod steps;
mod table;
mod truth;

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{Node, Site, leftovers};
use cast::Cast;
use matrix::{DIALS, Seen, settle};
use screen::{Screen, grouped, short};
use stage::Stage;
use truth::{AT_FIRST, EVERYWHERE, SERVICE};

pub use cluster::{Agents, run as run_on_a_cluster};
pub use compare::run as compare_on_a_cluster;

/// The label by which OpenYurt puts a node into a pool.
const POOL: &str = "apps.openyurt.io/nodepool";

/// Shows the tutorial, and proves it: the error is a sentence that says what was not so.
///
/// # Errors
/// When anything is not as the tutorial says, or this machine cannot run it.
pub fn run() -> Result<()> {
    let started = Instant::now();
    let screen = Screen::new();
    screen.heading(
        "Edgeloop keeps the traffic of a Service in its client's node pool, from inside connect(2)",
    )?;
    screen.line(
        "examples/tutorial on this kernel: 5 nodes (each a cgroup), 4 servers and 5 clients (each a pod",
    )?;
    screen.line("in a network namespace of its own), 5 agents that follow one copy of the folder.")?;
    let mut stage = Stage::new()?;
    stage.start_agents()?;
    screen.measured(started.elapsed(), "until all agents are ready")?;

    let at_first = matrix(&screen, stage.cast())?;
    stage.names().show(&screen, |node| stage.cast().client(node))?;
    steps::run(&screen, &stage, &at_first)?;
    kill::run(&screen, &mut stage)?;

    let name = stage.name();
    drop(stage);
    end(&screen, &name, started)
}

/// Says that all was well, if nothing is left of the site of this name.
fn end(screen: &Screen, site: &str, started: Instant) -> Result<()> {
    let left = leftovers(site);
    ensure!(left.is_empty(), "the demo left something behind: {}", left.join(", "));
    screen.heading(&format!(
        "All of it was so, and nothing is left behind. {} in all.",
        short(started.elapsed())
    ))
}

/// The tutorial's nodes on a site, each with the label that puts it into its pool.
pub(crate) fn nodes(site: &Site) -> Result<Vec<(Node, Value)>> {
    let nodes = truth::PLACES.iter().zip(AT_FIRST.pools).map(|(place, pool)| {
        let labels = pool.map_or(json!({}), |pool| json!({POOL: pool}));
        Ok((site.node(place.node)?, labels))
    });
    nodes.collect()
}

fn matrix(screen: &Screen, cast: &Cast) -> Result<Seen> {
    screen.heading("1. Who is answered by whom")?;
    let seen = settle(cast, &AT_FIRST, &AT_FIRST)?;
    screen.line(&format!(
        "{} connections, {DIALS} from each client to each Service, counted by the pool that answered",
        grouped(seen.dialled())
    ))?;
    screen.line("")?;
    screen.line(&format!(
        "{} ({}), openyurt.io/topologyKeys: openyurt.io/nodepool",
        SERVICE.name, SERVICE.at
    ))?;
    table::draw_service(screen, cast.pools(), &seen)?;
    screen.line("")?;
    screen.line(&format!("{} ({}), no annotation", EVERYWHERE.name, EVERYWHERE.at))?;
    table::draw_everywhere(screen, cast.pools(), &seen)?;
    Ok(seen)
}
