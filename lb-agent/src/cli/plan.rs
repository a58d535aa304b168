//! `lb-agent plan`: what a node would use and why, without root and without a kernel.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::model::{Change, Kind, Object};
use crate::source::file::{self, Report};
use crate::status::decisions::{Decisions, Ignored, decisions};
use crate::status::table;
use crate::store::{Rules, Store};

use super::Output;
use super::near::near;
use super::rules::RuleArgs;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A folder of manifests, as for `run --source file:DIR`; may be repeated
    #[arg(long, value_name = "DIR", required = true, env = "EDGELOOP_MANIFESTS")]
    manifests: Vec<PathBuf>,

    /// The node to plan for
    #[arg(long, value_name = "NAME", env = "EDGELOOP_NODE")]
    node: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t, env = "EDGELOOP_OUTPUT")]
    output: Output,

    #[command(flatten)]
    rules: RuleArgs,
}

/// Prints the plan of what is usable. What is not goes to stderr, and a file that cannot be
/// used makes the command fail, since the plan may lack something.
///
/// # Errors
/// A folder cannot be read, a rule is malformed, or no manifest defines the node.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { manifests, node, output, rules } = args;
    let rules = rules.settle()?;
    let (objects, report) = file::load(&manifests)?;
    warn(&report, io::stderr().lock()).context("could not write the warnings")?;
    let plan = plan(objects, &report, &node, rules)?;
    print(&plan, output, io::stdout().lock()).context("could not write the plan")?;
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(objects: Vec<Object>, report: &Report, node: &str, rules: Rules) -> anyhow::Result<Decisions> {
    know(node, &objects)?;
    let mut store = Store::new(node, rules);
    for object in objects {
        store.take(Change::Now(object));
    }
    for kind in [Kind::Service, Kind::EndpointSlice, Kind::Node] {
        store.take(Change::Synced(kind));
    }
    let mut plan = decisions(&store);
    plan.ignored.extend(report.notes.iter().map(|note| Ignored {
        object: note.file.display().to_string(),
        why: note.text.clone(),
        mark: None,
    }));
    Ok(plan)
}

/// Fails unless the objects define `node`: a misspelt name would pass for a node in no pool.
fn know(node: &str, objects: &[Object]) -> anyhow::Result<()> {
    let nodes: Vec<&str> = objects
        .iter()
        .filter_map(|object| match object {
            Object::Node(node) => Some(&*node.name),
            Object::Service(_) | Object::Slice(_) => None,
        })
        .collect();
    if nodes.contains(&node) {
        return Ok(());
    }
    let near = near(node, &nodes);
    if nodes.is_empty() {
        bail!("node {node:?} is not known: the manifests define no Node");
    } else if !near.is_empty() {
        bail!("node {node:?} is not known: did you mean {}?", near.join(", "));
    } else if nodes.len() <= FEW {
        bail!("node {node:?} is not known: the manifests define {}", nodes.join(", "));
    }
    bail!("node {node:?} is not known, and none of the {} known ones has a name near it", nodes.len());
}

/// So many names are simply listed.
const FEW: usize = 10;

fn warn(report: &Report, mut to: impl Write) -> io::Result<()> {
    for problem in &report.problems {
        writeln!(to, "error: {problem}; nothing of this file is used")?;
    }
    for duplicate in &report.duplicates {
        writeln!(to, "warning: {duplicate}")?;
    }
    for oddity in &report.oddities {
        writeln!(to, "warning: {oddity}")?;
    }
    Ok(())
}

fn print(plan: &Decisions, output: Output, mut to: impl Write) -> io::Result<()> {
    let text = match output {
        Output::Table => table::of(plan),
        Output::Json => serde_json::to_string_pretty(plan)? + "\n",
    };
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
