//! `lb-agent run`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;

use crate::config::{Config, Manifests, PIN_ROOT, SavedState, WithSelfTest, Writing, socket};
use crate::datapath::programs::load;
use crate::model::self_test::FRONTENDS;
use crate::model::{First, Mode, TcpPeername};
use crate::plan::Sizes;
use crate::source::SourceConfig;
use crate::store::{Rules, SkipLabelled};

use super::choices::Switch;
use super::environment;
use super::node_signs::NodeSignArgs;
use super::peers::PeersArgs;
use super::rules::RuleArgs;
use super::source::ApiArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: the agent of this node, which follows the API server of the own pod or kubeconfig
  lb-agent run --node \"$(hostname)\"")]
pub struct Args {
    /// Read Services, EndpointSlices and Nodes from manifests, file:FOLDER, and not from an API
    /// server.
    #[arg(long, env = "EDGELOOP_SOURCE", value_name = "SOURCE")]
    source: Option<Manifests>,
    #[command(flatten)]
    api: ApiArgs,
    /// The name of the Node that this agent decides for.
    #[arg(long, env = "EDGELOOP_NODE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    node: String,
    /// An address of this node: status says so where no interface has it that the agent sees.
    #[arg(long, env = "EDGELOOP_NODE_ADDRESS", value_name = "ADDRESS")]
    node_address: Option<IpAddr>,
    /// The cgroup2 folder to attach at; the root of the hierarchy unless named.
    #[arg(long, env = "EDGELOOP_CGROUP", value_name = "FOLDER")]
    cgroup: Option<PathBuf>,
    /// Where maps and links are pinned, on a bpf file system.
    #[arg(long, env = "EDGELOOP_PIN_ROOT", value_name = "FOLDER", default_value = PIN_ROOT)]
    pin_root: PathBuf,
    /// Where `lb-agent status` asks; below /run/edgeloop and named after the pin root unless given.
    #[arg(long, env = "EDGELOOP_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Where the state of the API server is saved, for a reboot without one: a file by its whole path, or off; below
    /// /var/lib/edgeloop and named after the pin root unless given. Manifests are there anyway and are not saved.
    #[arg(long, env = "EDGELOOP_SAVED_STATE", value_name = "FILE|off")]
    saved_state: Option<SavedState>,
    /// Service ports that the maps have room for; by need unless given.
    #[arg(long, env = "EDGELOOP_MAX_SERVICES", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_services: Option<u32>,
    /// Backends beyond six per Service that the maps have room for; by need unless given.
    #[arg(long, env = "EDGELOOP_MAX_BACKENDS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_backends: Option<u32>,
    /// Seconds between two comparisons of the kernel's maps with what was written.
    #[arg(long, env = "EDGELOOP_AUDIT_INTERVAL", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    audit_interval: u64,
    /// Where /healthz, /readyz and /metrics answer, such as 127.0.0.1:10270; nowhere unless given.
    #[arg(long, env = "EDGELOOP_HTTP", value_name = "ADDRESS:PORT")]
    http: Option<std::net::SocketAddr>,
    /// Where /metrics answers besides, and nothing else does, such as an address that Prometheus reaches.
    #[arg(long, env = "EDGELOOP_METRICS", value_name = "ADDRESS:PORT")]
    metrics: Option<std::net::SocketAddr>,
    /// Let the programs say in the log what they do with each connection: for people who look for a fault, since each
    /// takes longer then.
    #[arg(long, env = "EDGELOOP_PROGRAM_LOG")]
    program_log: bool,
    /// Whether what Pods dial is left alone that carry the label edgeloop.io/skip: "true", or whose Namespace does.
    #[arg(
        long,
        env = "EDGELOOP_SKIP_LABELLED_PODS",
        value_name = "WHETHER",
        value_enum,
        default_value = "on"
    )]
    skip_labelled_pods: Switch,
    /// Let getpeername show on TCP sockets what was dialled and not the backend, as it does on UDP sockets: each connection is
    /// remembered then.
    #[arg(long, env = "EDGELOOP_TCP_PEERNAME")]
    tcp_peername: bool,
    /// Leave every connection as it is dialled once no source has been in sync for this long, such as 12h, also when no agent
    /// runs; never unless given.
    #[arg(long, env = "EDGELOOP_MAX_STALE", value_name = "DURATION", value_parser = super::duration::max_stale)]
    max_stale: Option<Duration>,
    /// Be ready only while no other program decides before ours where connections go.
    #[arg(long, env = "EDGELOOP_REQUIRE_FIRST")]
    require_first: bool,
    /// Whether the agent dials 192.0.2.1:1 and [2001:db8::1]:1 every 10 s, which the maps lead to the agent itself, and is ready
    /// only while that works.
    #[arg(long, env = "EDGELOOP_SELF_TEST", value_name = "WHETHER", value_enum, default_value = "on")]
    self_test: Switch,
    #[command(flatten)]
    signs: NodeSignArgs,
    #[command(flatten)]
    peers: PeersArgs,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Follows the source until it is stopped.
///
/// # Errors
/// When it cannot start, or the kernel refuses maps or programs.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    environment::warn_of_unknown();
    let Args {
        source,
        api,
        node,
        node_address,
        cgroup,
        pin_root,
        socket: named,
        saved_state,
        max_services,
        max_backends,
        audit_interval,
        http,
        metrics,
        program_log,
        skip_labelled_pods,
        tcp_peername,
        max_stale,
        require_first,
        self_test,
        signs,
        peers,
        rules,
    } = args;
    let rules = Rules { skip_labelled: skip(skip_labelled_pods), ..rules.settle()? };
    let signs = signs.settle(source.is_some())?;
    let api = api.settle(source.as_ref().map(|_| "--source"))?;
    if source.is_none() && rules.mode == Mode::Replace {
        api.has_real_address()?;
    }
    let source = source.map_or(SourceConfig::Kube(api), |Manifests(folder)| SourceConfig::File(folder));
    let config = Config {
        object: object(program_log)?,
        node,
        source,
        rules,
        cgroup,
        socket: socket(named, &pin_root),
        saved_state: SavedState::file(saved_state, &pin_root),
        pin_root,
        writing: Writing {
            node_address,
            sizes: sizes(max_services, max_backends, self_test),
            audit: Duration::from_secs(audit_interval),
            max_stale,
            first: if require_first { First::Required } else { First::Wanted },
            self_test: with(self_test),
            tcp_peername: if tcp_peername { TcpPeername::Dialled } else { TcpPeername::Backend },
        },
        end_udp: peers.settle(),
        signs,
        http,
        metrics,
    };
    crate::run::run(config)?;
    Ok(ExitCode::SUCCESS)
}

fn object(program_log: bool) -> anyhow::Result<&'static [u8]> {
    if !program_log {
        return Ok(load::OBJECT);
    }
    load::log_object().context("this agent was built without the programs of --program-log: leave it out")
}

/// The room that is asked for, and what the self-test takes besides.
fn sizes(services: Option<u32>, backends: Option<u32>, self_test: Switch) -> Sizes {
    let own = if self_test == Switch::On { FRONTENDS } else { 0 };
    Sizes { frontends: services.map(|services| services + own), backends }
}

const fn with(self_test: Switch) -> WithSelfTest {
    match self_test {
        Switch::On => WithSelfTest::On,
        Switch::Off => WithSelfTest::Off,
    }
}

const fn skip(labelled: Switch) -> SkipLabelled {
    match labelled {
        Switch::On => SkipLabelled::On,
        Switch::Off => SkipLabelled::Off,
    }
}
