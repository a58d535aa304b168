//! `lb-agent plan`: what a node would use and why, without root and without a kernel.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::api::KubeConfig;
use crate::cli::print;
use crate::model::{Change, FileReport, Kind, NamespaceTopology, Object, path};
use crate::shown::{line, shown};
use crate::source::file;
use crate::source::kube::load;
use crate::store::{Rules, Store};
use crate::suggest::suggest;
use crate::view::decisions::{Decisions, Ignored, decisions};
use crate::view::json;

use super::output::yaml;
use super::rules::RuleArgs;
use super::source::ApiArgs;
use super::{Output, unless_closed};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Example: what every node of a cluster would use, without touching any
  lb-agent plan --all-nodes")]
pub struct Args {
    /// A folder of manifests instead of an API server, as DIR or, as `run --source` has it,
    /// file:DIR; may be repeated
    #[arg(long, value_name = "DIR", env = "EDGELOOP_MANIFESTS")]
    manifests: Vec<PathBuf>,

    #[command(flatten)]
    api: ApiArgs,

    /// The node to plan for
    #[arg(long, value_name = "NAME", required_unless_present = "all_nodes", env = "EDGELOOP_NODE")]
    node: Option<String>,

    /// Plan for every Node that there is, whichever --node names
    #[arg(long, env = "EDGELOOP_ALL_NODES")]
    all_nodes: bool,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t, env = "EDGELOOP_OUTPUT")]
    output: Output,

    #[command(flatten)]
    rules: RuleArgs,
}

/// Prints the plan of what is usable. What is not goes to stderr, and a file or an object that
/// cannot be used makes the command fail, since the plan may lack something.
///
/// # Errors
/// Objects cannot be had, a rule is malformed, or no Node is of that name.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { manifests, api, node, all_nodes, output, rules } = args;
    let rules = rules.settle()?;
    let api = api.settle((!manifests.is_empty()).then_some("--manifests"))?;
    let manifests: Vec<PathBuf> = manifests.into_iter().map(folder).collect();
    let picture =
        if manifests.is_empty() { from_api(api, rules.namespace_topology)? } else { from_files(&manifests)? };
    let is_complete = picture.is_complete;
    let nodes = if all_nodes { picture.nodes() } else { vec![picture.know(node.unwrap_or_default())?] };
    if nodes.is_empty() {
        bail!("there is no node to plan for: {} no Node", picture.said_by);
    }
    let shape = Shape { output, many: all_nodes };
    unless_closed(print(picture, &nodes, rules, shape, io::stdout().lock()))
        .context("could not write the plan")?;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is written as for `run` means the same here.
fn folder(written: PathBuf) -> PathBuf {
    match written.to_str().and_then(|text| text.strip_prefix("file:")) {
        Some(folder) if !folder.is_empty() => folder.into(),
        Some(_) | None => written,
    }
}

/// All that is known of a cluster.
struct Picture {
    /// From nothing.
    changes: Vec<Change>,
    notes: Vec<Ignored>,
    /// Nothing of it was left out.
    is_complete: bool,
    /// Who says so, as in "the manifests define".
    said_by: &'static str,
}

fn from_files(folders: &[PathBuf]) -> anyhow::Result<Picture> {
    let (mut changes, report) = file::load(folders)?;
    warn(&report, io::stderr().lock()).context("could not write the warnings")?;
    if report.unknown > 0 {
        changes.push(Change::Incomplete);
    }
    let notes = report.left_out().into_iter().chain(report.notes()).map(|note| Ignored {
        object: note.object.as_ref().map_or_else(|| path(&note.file), ToString::to_string),
        why: line(&note.text),
        diagnostic: None,
    });
    Ok(Picture {
        changes,
        notes: notes.collect(),
        is_complete: report.problems().is_empty(),
        said_by: "the manifests define",
    })
}

fn from_api(config: KubeConfig, namespaces: NamespaceTopology) -> anyhow::Result<Picture> {
    let loaded = load(config, namespaces)?;
    let mut to = io::stderr().lock();
    for (object, problem) in &loaded.problems {
        writeln!(to, "warning: {object}: {}", line(problem)).context("could not write the warnings")?;
    }
    let notes = loaded.problems.into_iter().map(|(object, why)| Ignored {
        object: object.to_string(),
        why,
        diagnostic: None,
    });
    Ok(Picture {
        changes: loaded.changes,
        notes: notes.collect(),
        is_complete: loaded.is_complete,
        said_by: "the API server has",
    })
}

fn warn(report: &FileReport, mut to: impl Write) -> io::Result<()> {
    for problem in report.problems() {
        writeln!(to, "error: {problem}; {}", problem.consequence())?;
    }
    for duplicate in report.duplicates() {
        writeln!(to, "warning: {duplicate}")?;
    }
    for part in report.left_out() {
        writeln!(to, "warning: {part}")?;
    }
    Ok(())
}

impl Picture {
    /// The names of all Nodes, sorted.
    fn nodes(&self) -> Vec<String> {
        let mut names = Vec::new();
        for change in &self.changes {
            if let Change::Apply(Object::Node(node)) = change {
                names.push(node.name.to_string());
            }
        }
        names.sort_unstable();
        names
    }

    /// Fails unless there is such a Node: a misspelt name would pass for a node in no pool.
    fn know(&self, node: String) -> anyhow::Result<String> {
        let nodes = self.nodes();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        if nodes.contains(&node.as_str()) {
            return Ok(node);
        }
        let (near, said_by) = (suggest(&node, &nodes), self.said_by);
        if nodes.is_empty() {
            bail!("node {node:?} is not known: {said_by} no Node");
        } else if !near.is_empty() {
            bail!("node {node:?} is not known: did you mean {}?", names(&near));
        } else if nodes.len() <= FEW {
            bail!("node {node:?} is not known: {said_by} {}", names(&nodes));
        }
        bail!("node {node:?} is not known, and none of the {} known ones has a name near it", nodes.len());
    }
}

fn names(names: &[&str]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}

/// So many names are simply listed.
const FEW: usize = 10;

/// How the plans are printed.
#[derive(Clone, Copy)]
struct Shape {
    output: Output,
    /// An array, however many nodes there are.
    many: bool,
}

/// One plan after the other: all of them together may be large.
fn print(
    picture: Picture,
    nodes: &[String],
    rules: Rules,
    shape: Shape,
    mut to: impl Write,
) -> io::Result<()> {
    let Picture { changes, notes, .. } = picture;
    let mut store = Store::new("", rules);
    for change in changes {
        store.apply(change);
    }
    for kind in Kind::ALL {
        store.apply(Change::Synced(kind));
    }
    let [open, between, close] = match shape {
        Shape { output: Output::Json, many: true } => ["[\n", ",\n", "\n]\n"],
        Shape { output: Output::Json, many: false } => ["", "", "\n"],
        Shape { output: Output::Yaml, .. } => ["", "---\n", ""],
        Shape { output: Output::Table, .. } => ["", "\n", ""],
    };
    to.write_all(open.as_bytes())?;
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            to.write_all(between.as_bytes())?;
        }
        store.look_from(node);
        let mut plan = decisions(&store);
        plan.ignored.extend(notes.iter().cloned());
        to.write_all(&text(&plan, shape.output)?)?;
    }
    to.write_all(close.as_bytes())?;
    to.flush()
}

fn text(plan: &Decisions, output: Output) -> io::Result<Vec<u8>> {
    Ok(match output {
        Output::Table => print::plan::of(plan).into_bytes(),
        Output::Json => json::pretty(plan)?,
        Output::Yaml => yaml(plan)?,
    })
}
