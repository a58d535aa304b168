//! `lb-agent loop`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cli::print::loops::{text, text_of_nodes};
use crate::cli::print::nodes::counted;
use crate::serve::request::{Reply, Request};
use crate::shown::Shown;
use crate::view::loop_page::{page, page_of_nodes};
use crate::view::loops::{LoopView, loop_view};
use crate::view::loops_merged::{LoopOfNodes, merged, refused_by_pool};
use crate::view::nodes::{OfNodes, answers};

use super::Output;
use super::explain::Place;
use super::output::unless_closed;
use super::remote::{Asked, RemoteArgs, concluded};

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
  lb-agent loop -o json | jq -e '.outside == 0'

Example: the loop of all nodes as one
  lb-agent loop --all-nodes")]
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
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Prints from which pool to which the connections of this node went.
///
/// # Errors
/// No agent replies, or nothing is pinned.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { place, watch, html, output, remote } = args;
    loop {
        let seen = Seen::look(place, remote)?;
        if let Some(file) = html {
            std::fs::write(file, seen.page())
                .with_context(|| format!("could not write the page to {}", file.display()))?;
            return seen.concluded();
        }
        if *watch && *output == Output::Table && io::stdout().is_terminal() {
            unless_closed(io::stdout().write_all(CLEAR.as_bytes()))
                .context("could not clear the terminal")?;
        }
        let written = match &seen {
            Seen::OfOne(view) => output.of(view, || text(view)),
            Seen::OfNodes(view) => output.of(view, || text_of_nodes(view)),
        };
        let printed = written.and_then(|written| io::stdout().write_all(&written));
        let is_read = !printed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        unless_closed(printed).context("could not write the loop")?;
        if !watch || !is_read {
            return seen.concluded();
        }
        std::thread::sleep(EVERY);
    }
}

/// The loop of one node, or of several.
enum Seen {
    OfOne(Box<LoopView>),
    OfNodes(Box<LoopOfNodes<Value>>),
}

impl Seen {
    fn look(place: &Place, remote: &RemoteArgs) -> anyhow::Result<Self> {
        let command = [place.command("loop"), vec!["-o", "json"]].concat();
        match remote.asked() {
            Asked::Here => Ok(Self::OfOne(Box::new(look(place)?))),
            Asked::One(node) => {
                let view = serde_json::from_slice(&remote.run_on(&node, &command)?);
                let view =
                    view.with_context(|| format!("could not read the answer of node {}", Shown(&node)))?;
                Ok(Self::OfOne(Box::new(view)))
            }
            Asked::Several(nodes) => {
                let (OfNodes { nodes }, read) = answers::<LoopView>(remote.run(&nodes, &command)?);
                let loops: Vec<LoopView> = read.into_iter().flatten().collect();
                let (sum, refused_by_pool) = (merged(&loops), refused_by_pool(&loops));
                Ok(Self::OfNodes(Box::new(LoopOfNodes { sum, nodes, refused_by_pool })))
            }
        }
    }

    fn page(&self) -> String {
        match self {
            Self::OfOne(view) => page(view),
            Self::OfNodes(view) => page_of_nodes(&view.sum, &counted(&view.nodes)),
        }
    }

    fn concluded(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::OfOne(_) => Ok(ExitCode::SUCCESS),
            Self::OfNodes(view) => {
                concluded(view.nodes.len(), view.nodes.iter().filter(|of| of.error.is_some()).count())
            }
        }
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
