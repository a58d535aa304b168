//! Wiring: which thread owns what, what reaches which, and how it all stops.

mod ending;
mod limits;
mod self_test;
mod signs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::announce::{EventQueue, RateLimit, publish};
use crate::api::Claim;
use crate::config::{Config, EndUdp, Writing};
use crate::datapath::maps::agent_sockets::AgentSockets;
use crate::datapath::maps::counters::CounterReader;
use crate::datapath::programs::load::Features;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, cgroup, lock};
use crate::host::Interfaces;
use crate::model::EndBy;
use crate::peers::{self, Asks, PeersConfig, PeersQueue};
use crate::serve::{self, http, socket};
use crate::source::saved::{Owner, Place, Saver};
use crate::source::{Batch, Besides, Source, SourceConfig};
use crate::store::{Rules, SkipLabelled, Store};
use crate::writer::{SavedConfig, SelfTestConfig, Wake, Writer, WriterConfig};

use ending::End;

/// How the writer has ended.
type WriterThread = JoinHandle<Result<(), TakeoverError>>;

/// Runs the agent until SIGINT or SIGTERM, and ends soon after. The kernel goes on serving what it has.
///
/// # Errors
/// When it cannot start, the kernel refuses maps or programs, or a part of it ends by itself.
pub fn run(config: Config) -> anyhow::Result<()> {
    let mut asked = ending::listen().context("could not listen for signals")?;
    let descriptors = limits::raise_descriptors();
    let Config {
        node,
        source,
        rules,
        cgroup,
        pin_root,
        socket,
        writing,
        end_udp,
        signs,
        http,
        metrics,
        object,
        saved_state,
    } = config;
    let cgroup = cgroup::find(cgroup.as_deref())?;
    let lock = lock::acquire(&pin_root)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some(source) = runtime.block_on(open(source, &pin_root, &mut asked))? else {
        runtime.shutdown_background();
        return Ok(());
    };
    let besides = besides(&node, &rules);
    let events = source.api().map(|_| EventQueue::default());
    let socket = socket::listen(&socket)?;
    let (http, metrics) = (listen(http)?, listen(metrics)?);
    let (wake, inbox) = channel();
    let saved = saved(saved_state, &node, &source, &wake).context("could not start the thread that saves")?;
    let peers = peers(end_udp, &pin_root, &wake).context("could not start the thread that ends sockets")?;
    let (ports, self_test) = self_test::set_up(writing.self_test, &cgroup, &wake)?;
    let rules = Rules { self_test: ports, ..rules };
    let settings = settings(writing, &source, events.clone(), saved, peers, self_test);
    let programs = Features { mode: rules.mode, tcp_peername: writing.tcp_peername, ..Features::THIS };
    let datapath = Datapath::new(lock, cgroup, object).on(programs).for_at_most(writing.max_stale);
    let store = store(&node, rules, &wake).context("could not read the addresses of this machine")?;
    let writer = Writer::new(settings, store, datapath, inbox, wake.clone());
    tracing::info!(node, source = %source, pin_root = %pin_root.display(), "starting");
    let entered = runtime.enter();
    let mut follower = source.follow(besides, to_writer(wake.clone()))?;
    let mut publisher = publisher(&source, events, &node);
    let mut signs = signs::start(&source, &node, signs, writer.published(), &pin_root);
    drop(entered);

    let counters = CounterReader::new(&pin_root);
    let mut doors = serve::open(socket, http, metrics, writer.published(), counters, descriptors)?;
    let (writer, writer_ended) = start(writer)?;
    let (events, on_node) = (ended(publisher.as_mut()), ended(signs.as_mut()));
    let parts = ending::Parts { source: follower.ended(), events, on_node, doors: doors.ended() };
    let end = runtime.block_on(ending::first(&mut asked, writer_ended, parts));
    ending::fault(&end)?;
    drop((follower, publisher, signs));
    // Look-ups of names and the like end with the process.
    runtime.shutdown_background();
    stop(&wake, writer)?;
    if let End::Part(part) = end {
        return Err(part.into());
    }
    tracing::info!("stopped; the kernel goes on serving");
    Ok(())
}

/// Sends what a source says to the writer.
fn to_writer(wake: Sender<Wake>) -> impl FnMut(Batch) -> bool + Send + 'static {
    move |batch| wake.send(Wake::Source(batch)).is_ok()
}

fn besides(node: &str, rules: &Rules) -> Besides {
    let pods_of = (rules.skip_labelled == SkipLabelled::On).then(|| node.into());
    Besides { pods_of, namespaces: rules.namespace_topology }
}

/// Starts the writer's thread; it says as well when it has ended.
fn start(writer: Writer) -> std::io::Result<(WriterThread, oneshot::Receiver<()>)> {
    let (ended, writer_ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let result = writer.run();
        // Nothing waits for it once a signal came first.
        _ = ended.send(());
        result
    })?;
    Ok((thread, writer_ended))
}

fn settings(
    writing: Writing,
    source: &Source,
    outbox: Option<EventQueue>,
    saved: Option<SavedConfig>,
    peers: Option<PeersQueue>,
    self_test: SelfTestConfig,
) -> WriterConfig {
    let Writing { node_address, sizes, audit, first, max_stale: _, tcp_peername: _, self_test: _ } = writing;
    WriterConfig {
        source: source.to_string(),
        node_address,
        sizes,
        audit,
        first,
        grace: Grace::Rcu,
        outbox,
        saved,
        peers,
        self_test,
    }
}

/// Starts what saves the state of an API server in `file`.
fn saved(
    file: Option<PathBuf>,
    node: &str,
    source: &Source,
    wake: &Sender<Wake>,
) -> std::io::Result<Option<SavedConfig>> {
    let Some((file, api)) = file.zip(source.api()) else { return Ok(None) };
    let place = Place { file, owner: Owner { node: node.to_owned(), server: api.server() } };
    let to_writer = wake.clone();
    // A writer that has ended needs no answer.
    let saver = Saver::new(place.clone(), move |outcome| drop(to_writer.send(Wake::Saved(outcome))))?;
    Ok(Some(SavedConfig { place, saver }))
}

/// Starts what ends UDP sockets whose backend is admitted no more; the writer says by the queue which those are.
fn peers(config: EndUdp, pin_root: &Path, wake: &Sender<Wake>) -> std::io::Result<Option<PeersQueue>> {
    let EndUdp { by, namespaces } = config;
    if by == EndBy::Off {
        return Ok(None);
    }
    let (queue, to_writer) = (PeersQueue::default(), wake.clone());
    let config = PeersConfig { by, pin_root: pin_root.to_owned(), namespaces, asks: Asks::JustBefore };
    peers::start(config, queue.clone(), move |report| to_writer.send(Wake::Peers(report)).is_ok())?;
    Ok(Some(queue))
}

/// Opens the source; `None` when the agent is asked to leave first. Its sockets are the agent's own.
async fn open(
    source: SourceConfig,
    pin_root: &Path,
    asked: &mut ending::Asked,
) -> anyhow::Result<Option<Source>> {
    let sockets = AgentSockets::new(pin_root);
    let claim: Claim = Arc::new(move |socket| sockets.claim(socket).is_ok());
    tokio::select! {
        _ = asked => Ok(None),
        source = Source::open(source, claim) => Ok(source.map(Some)?),
    }
}

/// A store that knows this machine's addresses; the writer is sent what becomes of them.
fn store(node: &str, rules: Rules, wake: &Sender<Wake>) -> std::io::Result<Store> {
    let mut store = Store::new(node, rules);
    let interfaces = Interfaces::open()?;
    let now = interfaces.read()?;
    store.set_host(now.clone());
    let to_writer = wake.clone();
    interfaces.follow(now, move |addresses| to_writer.send(Wake::Host(addresses)).is_ok())?;
    Ok(store)
}

/// Opens a door, and says so if others than this machine can reach it.
fn listen(at: Option<SocketAddr>) -> anyhow::Result<Option<http::HttpDoor>> {
    let Some(address) = at else { return Ok(None) };
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "what reaches this address is answered, without asking who it is");
    }
    Ok(Some(http::listen(address)?))
}

fn publisher(source: &Source, events: Option<EventQueue>, node: &str) -> Option<JoinSet<()>> {
    let (client, events) = source.api().zip(events)?;
    Some(publish(client, events, node, RateLimit::default()))
}

/// Waits until what makes something known at the API server, if it does, ends by itself; gives how.
async fn ended(tasks: Option<&mut JoinSet<()>>) -> String {
    let Some(tasks) = tasks else { return std::future::pending().await };
    match tasks.join_next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "without an error".to_owned(),
    }
}

fn stop(wake: &Sender<Wake>, writer: WriterThread) -> anyhow::Result<()> {
    // A writer that has ended hears nothing, and its result says why.
    drop(wake.send(Wake::Stop));
    match writer.join() {
        Ok(result) => Ok(result?),
        Err(_panic) => anyhow::bail!("the writer's thread panicked; the kernel goes on serving"),
    }
}
