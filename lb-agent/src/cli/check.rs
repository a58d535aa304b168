//! `lb-agent check`.

mod cluster;
mod live;

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::check::{Finding, Question, State, check, exit_code};
use crate::cli::print::check::text;
use crate::cli::source::ApiArgs;
use crate::config::{Manifests, PIN_ROOT};
use crate::plan::{Capacity, Sizes};
use crate::remote::live::{Live, Printed, Seen, dial};
use crate::remote::{Nodes, TIMEOUT};
use crate::shown::{chain, line};

use super::Output;
use super::choices::ModeArg;
use super::remote::{PodsArgs, all_nodes, by_the_server};
use super::signals::asked;
use cluster::Said;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: end with 3 where the agent will not work, before it is installed
  lb-agent check --fail-on missing

Example: whether the loop is closed on all nodes
  kubectl edgeloop check --cluster")]
pub struct Args {
    /// Look at the cluster as a whole instead of at this machine: the agents of all nodes are asked by way of the API server
    #[arg(long)]
    pub(super) cluster: bool,
    /// As --cluster, and make a server and a client in each pool for a while, in a namespace that is removed again, to look at what connections get
    #[arg(long)]
    pub(super) live: bool,
    /// The image of these pods, where it is not that of the agents
    #[arg(long, value_name = "IMAGE", requires = "live")]
    image: Option<String>,
    /// The folder of manifests that the agent is to follow: no API server is asked then.
    #[arg(long, env = "EDGELOOP_SOURCE", value_name = "file:FOLDER")]
    source: Option<Manifests>,
    #[command(flatten)]
    api: ApiArgs,
    /// The cgroup2 folder that the agent is to attach at, if not the root.
    #[arg(long, env = "EDGELOOP_CGROUP", value_name = "FOLDER")]
    cgroup: Option<PathBuf>,
    /// Where maps and links are to be pinned.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    /// How many service ports the maps are to have room for, if not by need.
    #[arg(long, env = "EDGELOOP_MAX_SERVICES", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_services: Option<u32>,
    /// How many backends the maps are to have room for, if not by need.
    #[arg(long, env = "EDGELOOP_MAX_BACKENDS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_backends: Option<u32>,
    /// Whether the agent is to run beside kube-proxy or in its place.
    #[arg(long, env = "EDGELOOP_MODE", value_name = "MODE", value_enum, default_value_t)]
    mode: ModeArg,
    /// What makes the exit status another than 0.
    #[arg(long, env = "EDGELOOP_FAIL_ON", value_name = "STATE", value_enum, default_value_t)]
    fail_on: FailOn,
    #[arg(short, long, env = "EDGELOOP_OUTPUT", value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    pods: PodsArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Anything that is not well: 1 where something is degraded, 3 where the agent will not work
    #[default]
    Degraded,
    /// 3 where the agent will not work
    Missing,
}

/// Prints what this machine has of what the agent needs, or what all agents say beside one another. Exits with 0 when all is well, 1 when something is
/// degraded, 3 when the agent will not work.
///
/// # Errors
/// When flags contradict one another, or nothing can be printed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args {
        cluster,
        live,
        image,
        pods,
        source,
        api,
        cgroup,
        pin_root,
        max_services,
        max_backends,
        mode,
        fail_on,
        output,
    } = args;
    if cluster || live {
        if source.is_some() {
            bail!("--cluster asks the agents by way of an API server: leave out --source (EDGELOOP_SOURCE)");
        }
        return shown(&of_cluster(&pods, &api, live.then_some(image))?, output, fail_on);
    }
    let config = api.settle(source.is_some().then_some("--source"))?;
    let sizes = Sizes { frontends: max_services, backends: max_backends };
    let question = Question {
        cgroup,
        pin_root,
        server: source.is_none().then_some(config),
        mode: mode.into(),
        room: sizes.fresh(Capacity::of(0, 0)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let findings = runtime.block_on(check(question));
    // A name server that hangs holds nothing up.
    runtime.shutdown_background();
    shown(&findings, output, fail_on)
}

/// `live`: and the image for pods that dial, if it is not that of the agents.
fn of_cluster(pods: &PodsArgs, api: &ApiArgs, live: Option<Option<String>>) -> anyhow::Result<Vec<Finding>> {
    let ask = |command| pods.run(api, TIMEOUT, &Nodes::All, &[command, "-o", "json"]);
    let said = Said { status: ask("status")?, services: ask("services")?, loops: ask("loop")? };
    let pools = live::pools(&said.status);
    let nodes = all_nodes(api).map_err(|error| line(&format!("{error:#}")));
    let mut findings = cluster::findings(&nodes, said);
    if let Some(image) = live {
        let (printed, left) = dialled(pods, api, pools, image);
        findings.extend(match printed {
            Ok(printed) => live::findings(&printed),
            Err(why) => vec![live::not_tried(&why)],
        });
        findings.extend(left.map(|why| live::left_behind(&why)));
    }
    Ok(findings)
}

/// What the clients of all pools got, or why none dialled; and what is left behind of them.
fn dialled(
    pods: &PodsArgs,
    api: &ApiArgs,
    pools: BTreeMap<String, String>,
    image: Option<String>,
) -> (Result<Printed, String>, Option<String>) {
    if pools.is_empty() {
        return (Err("no node that answered is in a pool".to_owned()), None);
    }
    let seen = image.map_or_else(|| pods.image(api), Ok).and_then(|image| {
        let wanted = Live { pools, image };
        by_the_server(api, |config| async move { dial(config, &wanted, stopped(), live::is_as_wanted).await })
    });
    match seen {
        Ok(Seen { printed, left }) => (printed.map_err(|error| chain(&error)), left),
        Err(error) => (Err(format!("{error:#}")), None),
    }
}

/// Resolves when the command is asked to leave.
async fn stopped() {
    match asked() {
        Ok(asked) => asked.await,
        // The check goes on: its pods end by themselves.
        Err(_) => pending().await,
    }
}

fn shown(findings: &[Finding], output: Output, fail_on: FailOn) -> anyhow::Result<ExitCode> {
    output.print(&findings, || text(findings)).context("could not write what was found")?;
    let fails = match fail_on {
        FailOn::Degraded => State::Degraded,
        FailOn::Missing => State::Missing,
    };
    Ok(ExitCode::from(exit_code(findings, fails)))
}
