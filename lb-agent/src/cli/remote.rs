//! A command on other nodes: by their agents' pods, where `lb-agent` runs it.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::NonEmptyStringValueParser;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::api::{Credentials, KubeConfig};
use crate::cli::print::foreign;
use crate::cli::print::nodes::texts;
use crate::remote::{self, NAMESPACE, Nodes, SELECTOR, TIMEOUT, Target};
use crate::shown::{Shown, chain, line};
use crate::view::nodes::{Fact, OfNodes, answers, mark};

use super::Output;
use super::output::unless_closed;
use super::source::ApiArgs;

/// Some nodes gave no answer; those of the others are printed.
pub const SOME: u8 = 3;

/// What each node printed, or why it did not.
pub type Printed = Vec<(String, Result<Vec<u8>, String>)>;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Other nodes")]
pub struct RemoteArgs {
    /// Ask the agent on this node, by way of the API server; more than once for several
    #[arg(long, value_name = "NODE", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "all_nodes")]
    on: Vec<String>,
    /// Ask the agents on all nodes that have one
    #[arg(long)]
    all_nodes: bool,
    #[command(flatten)]
    pods: PodsArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// Which pods are asked for other nodes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Other nodes")]
pub struct PodsArgs {
    /// The namespace of the agents' pods
    #[arg(short, long, env = "EDGELOOP_NAMESPACE", value_name = "NAMESPACE", default_value = NAMESPACE, value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// The labels of the agents' pods
    #[arg(long, env = "EDGELOOP_SELECTOR", value_name = "LABELS", default_value = SELECTOR, value_parser = NonEmptyStringValueParser::new())]
    selector: String,
}

impl PodsArgs {
    /// Runs `lb-agent` with these arguments on the nodes. Each node has so long for all of its answer.
    ///
    /// # Errors
    /// No node can be asked.
    pub fn run(
        &self,
        api: &ApiArgs,
        timeout: Duration,
        nodes: &Nodes,
        arguments: &[&str],
    ) -> anyhow::Result<Printed> {
        let target = self.target(timeout);
        let printed = by_the_server(api, |config| remote::run(config, &target, nodes, arguments))?;
        let printed = printed.into_iter();
        Ok(printed.map(|(node, printed)| (node, printed.map_err(|error| line(&chain(&error))))).collect())
    }

    /// The image of the agents' pods.
    ///
    /// # Errors
    /// They cannot be listed, or there are none.
    pub fn image(&self, api: &ApiArgs) -> anyhow::Result<String> {
        let target = self.target(TIMEOUT);
        by_the_server(api, |config| remote::image(config, &target))
    }

    fn target(&self, timeout: Duration) -> Target {
        let Self { namespace, selector } = self;
        Target { namespace: namespace.clone(), selector: selector.clone(), timeout }
    }
}

/// The names of all nodes.
///
/// # Errors
/// They cannot be listed.
pub fn all_nodes(api: &ApiArgs) -> anyhow::Result<BTreeSet<String>> {
    by_the_server(api, remote::all_nodes)
}

/// Asks what `question` asks the API server.
pub fn by_the_server<T, E, F>(api: &ApiArgs, question: impl FnOnce(KubeConfig) -> F) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<T, E>>,
{
    let config = api.clone().settle(None)?;
    let is_named = config.server.is_some() || config.credentials != Credentials::Ambient;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let answer = runtime.block_on(question(config));
    // A name server that hangs holds nothing up.
    runtime.shutdown_background();
    answer.with_context(|| {
        let hint =
            if is_named { "" } else { " (--kubeconfig names a file with its address and credentials)" };
        format!("could not ask other nodes by way of the API server{hint}")
    })
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The agent of this very node.
    Here,
    /// One other: its answer is as it would be there.
    One(String),
    Several(Nodes),
}

impl RemoteArgs {
    #[must_use]
    pub fn asked(&self) -> Asked {
        let mut named: BTreeSet<String> = self.on.iter().cloned().collect();
        match (named.len(), self.all_nodes) {
            (0, true) => Asked::Several(Nodes::All),
            (0, false) => Asked::Here,
            (1, _) => named.pop_first().map_or(Asked::Here, Asked::One),
            (_, _) => Asked::Several(Nodes::These(named)),
        }
    }

    /// Where the API server is, also for what a command asks of it from this very node.
    #[must_use]
    pub const fn api(&self) -> &ApiArgs {
        &self.api
    }

    /// Runs `lb-agent` with these arguments on the nodes.
    ///
    /// # Errors
    /// No node can be asked.
    pub fn run(&self, nodes: &Nodes, arguments: &[&str]) -> anyhow::Result<Printed> {
        self.run_within(TIMEOUT, nodes, arguments)
    }

    /// Runs it as [`run`](Self::run) does. Each node has so long for all of its answer.
    ///
    /// # Errors
    /// No node can be asked.
    pub fn run_within(
        &self,
        timeout: Duration,
        nodes: &Nodes,
        arguments: &[&str],
    ) -> anyhow::Result<Printed> {
        self.pods.run(&self.api, timeout, nodes, arguments)
    }

    /// Runs it on one node alone. Returns what it printed.
    ///
    /// # Errors
    /// It gives no answer.
    pub fn run_on(&self, node: &str, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let nodes = Nodes::These(BTreeSet::from([node.to_owned()]));
        let mut printed = self.run(&nodes, arguments)?;
        let (_, printed) = printed.pop().context("no node was asked")?;
        printed.map_err(|why| anyhow!("node {} gave no answer: {why}", Shown(node)))
    }

    /// Prints what one node prints.
    ///
    /// # Errors
    /// As [`run_on`](Self::run_on).
    pub fn print_of_one(&self, node: &str, arguments: &[&str], output: Output) -> anyhow::Result<ExitCode> {
        let format = if output == Output::Table { "table" } else { "json" };
        let text = self.run_on(node, &as_format(arguments, format))?;
        let printed = match output {
            Output::Table => unless_closed(io::stdout().write_all(foreign(&text).as_bytes())),
            Output::Json | Output::Yaml => {
                let answer: Value = serde_json::from_slice(&text)
                    .with_context(|| format!("could not read the answer of node {}", Shown(node)))?;
                output.print(&answer, String::new)
            }
        };
        printed.context("could not write the answer")?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints the answers of several nodes: each in full, or a table of them with what differs.
    ///
    /// # Errors
    /// No node gives an answer.
    pub fn print_of_several<T: DeserializeOwned>(
        &self,
        nodes: &Nodes,
        arguments: &[&str],
        output: Output,
        facts: impl Fn(&T) -> Vec<Fact>,
        text: impl FnOnce(&OfNodes<Value>, &[Option<T>]) -> String,
    ) -> anyhow::Result<ExitCode> {
        let (mut of_nodes, read) = answers::<T>(self.run(nodes, &as_format(arguments, "json"))?);
        let facts: Vec<Vec<Fact>> =
            read.iter().map(|read| read.as_ref().map(&facts).unwrap_or_default()).collect();
        mark(&mut of_nodes, &facts);
        output.print(&of_nodes, || text(&of_nodes, &read)).context("could not write the answers")?;
        concluded(of_nodes.nodes.len(), of_nodes.without_answer())
    }
}

impl RemoteArgs {
    /// Prints what several nodes print, one after the other, or the answer of each in full.
    ///
    /// # Errors
    /// No node gives an answer.
    pub fn print_in_turn(
        &self,
        nodes: &Nodes,
        arguments: &[&str],
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        if output != Output::Table {
            let facts = |_: &IgnoredAny| Vec::new();
            return self.print_of_several(nodes, arguments, output, facts, |_, _| String::new());
        }
        let printed = self.run(nodes, &as_format(arguments, "table"))?;
        let text = texts(&printed);
        unless_closed(io::stdout().write_all(text.as_bytes())).context("could not write the answers")?;
        concluded(printed.len(), printed.iter().filter(|(_, printed)| printed.is_err()).count())
    }
}

/// The command, then its format: after `--` it would be taken for an argument.
fn as_format<'a>(arguments: &[&'a str], format: &'a str) -> Vec<&'a str> {
    let (command, rest) = arguments.split_at(1.min(arguments.len()));
    [command, &["-o", format], rest].concat()
}

/// The exit code, when so many of all nodes gave no answer.
///
/// # Errors
/// None gave one.
pub fn concluded(all: usize, without: usize) -> anyhow::Result<ExitCode> {
    if without == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if without == all {
        bail!("no node gave an answer: the reason of each is printed above");
    }
    // Without stderr there is no place left to say it.
    drop(writeln!(io::stderr(), "{without} of {all} nodes gave no answer"));
    Ok(ExitCode::from(SOME))
}
