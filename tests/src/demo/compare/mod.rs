//! One cluster served in two ways: by yurthub and kube-proxy on one node, by us on another of the same pool.

mod ground;
mod nft;
mod report;
mod sides;
mod trials;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::screen::{Screen, short};
use crate::leftovers;
use ground::Ground;
use report::Row;

/// How long theirs is waited for, where it is known to be slow or never to come.
const NEVER: Duration = Duration::from_secs(30);
const LOST: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_secs(60);

/// Shows what both make of the same changes. Whatever theirs makes of them: the error is about ours.
///
/// # Errors
/// When ours is not right everywhere, or this machine cannot run it.
pub fn run() -> Result<()> {
    let started = Instant::now();
    let screen = Screen::new();
    screen.heading(
        "The same cluster, served by yurthub 1.7.0 and kube-proxy on one node and by Edgeloop on another",
    )?;
    let (services, slices) = trials::manifests()?;
    let mut ground = Ground::up(&services, &slices)?;
    trials::at_first(&ground)?;
    screen.measured(started.elapsed(), "until both have everything as it should be")?;

    let mut rows: Vec<Row> = Vec::new();
    let mut add = |row: Row| {
        let done = screen.line(&format!("{:>9}  {}", short(started.elapsed()), row.what));
        rows.push(row);
        done
    };
    add(trials::no_server(&ground)?)?;
    add(trials::ordered(&ground)?)?;
    add(trials::leaves_its_pool(&ground, NEVER)?)?;
    add(trials::changes_twice(&ground, LOST)?)?;
    trials::many_change(&ground, SLOW)?.into_iter().try_for_each(&mut add)?;
    add(trials::nameless(&mut ground, LOST)?)?;

    screen
        .heading("What both made of it; times are from the API server's answer to what the kernel holds")?;
    report::print(&screen, &rows)?;
    let name = ground.name();
    drop(ground);
    let left = leftovers(&name);
    ensure!(left.is_empty(), "the comparison left something behind: {}", left.join(", "));
    let wrong: Vec<&str> = rows.iter().filter(|row| !row.is_right).map(|row| row.what.as_str()).collect();
    ensure!(wrong.is_empty(), "Edgeloop was not as it should be: {}", wrong.join("; "));
    screen.heading(&format!("Edgeloop was right everywhere. {} in all.", short(started.elapsed())))
}
