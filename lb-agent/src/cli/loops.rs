//! `lb-agent loop`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cli::print::loops::text;
use crate::serve::request::{Reply, Request};
use crate::view::loop_page::page;
use crate::view::loops::{LoopView, loop_view};

use super::Output;
use super::explain::Place;
use super::output::unless_closed;

/// From one picture to the next with `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// Clears a terminal, and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the loop of this node, anew every 2 s
  lb-agent loop --watch

Example: the same as a page for a browser, which the agent also serves at /loop of its HTTP address
  lb-agent loop --html loop.html

Example: exit code 0 only while no connection left the pool that its topology keeps to
  lb-agent loop -o json | jq -e '.outside == 0'")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Show it anew every 2 s, until it is interrupted
    #[arg(long)]
    watch: bool,
    /// Write it as one page that needs nothing else into this file, instead of printing it
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    html: Option<PathBuf>,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
}

/// Prints from which pool to which the connections of this node went.
///
/// # Errors
/// No agent replies, or nothing is pinned.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { place, watch, html, output } = args;
    if let Some(file) = html {
        std::fs::write(file, page(&look(place)?))
            .with_context(|| format!("could not write the page to {}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let view = look(place)?;
        if *watch && *output == Output::Table && io::stdout().is_terminal() {
            unless_closed(io::stdout().write_all(CLEAR.as_bytes()))
                .context("could not clear the terminal")?;
        }
        output.print(&view, || text(&view)).context("could not write the loop")?;
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(EVERY);
    }
}

/// The loop by what the maps hold alone, where no agent says more.
pub(super) fn look_or_pinned(place: &Place) -> anyhow::Result<LoopView> {
    look(place).or_else(|_silent| Ok(loop_view(None, &place.counts()?)))
}

fn look(place: &Place) -> anyhow::Result<LoopView> {
    if place.is_pinned() {
        return Ok(loop_view(None, &place.counts()?));
    }
    let Reply::Services(services) = place.ask(&Request::Services)? else {
        bail!("the agent replied with something else than its Services: is it of this version?");
    };
    Ok(loop_view(Some(&services), &place.counts()?))
}
