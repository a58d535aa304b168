//! Wiring: which thread owns what, who tells whom, and how it all stops.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::announce::{EventQueue, RateLimit, publish};
use crate::api::Claim;
use crate::config::Config;
use crate::datapath::maps::agent_sockets::AgentSockets;
use crate::datapath::maps::counters::CounterReader;
use crate::datapath::programs::load;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, cgroup, lock};
use crate::serve::{self, http, socket};
use crate::source::Source;
use crate::store::Store;
use crate::writer::{Wake, Writer, WriterConfig};

/// Runs the agent until SIGINT or SIGTERM. The kernel goes on serving what it has.
///
/// # Errors
/// When it cannot start, or the kernel refuses maps or programs.
pub fn run(config: Config) -> anyhow::Result<()> {
    let Config { node, source, rules, cgroup, pin_root, socket: path, sizes, audit, http } = config;
    let cgroup = cgroup::find(cgroup.as_deref())?;
    let lock = lock::acquire(&pin_root)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets = AgentSockets::new(&pin_root);
    let claim: Claim = Arc::new(move |socket| sockets.claim(socket).is_ok());
    let source = runtime.block_on(Source::open(source, claim))?;
    let events = source.api().map(|_| EventQueue::default());
    let settings =
        WriterConfig { source: source.to_string(), sizes, audit, grace: Grace::Rcu, outbox: events.clone() };
    let socket = socket::listen(&path)?;
    let http = http.map(http::listen).transpose()?;

    let (wake, inbox) = channel();
    let datapath = Datapath::new(lock, cgroup, load::OBJECT);
    let writer = Writer::new(settings, Store::new(&node, rules), datapath, inbox, wake.clone());
    tracing::info!(node, source = %source, pin_root = %pin_root.display(), "starting");
    let entered = runtime.enter();
    let to_writer = wake.clone();
    let follower = source.follow(move |batch| to_writer.send(Wake::Source(batch)).is_ok())?;
    let publisher =
        source.api().zip(events).map(|(client, events)| publish(client, events, &node, RateLimit::default()));
    drop(entered);

    let _doors = serve::open(socket, http, writer.published(), CounterReader::new(&pin_root))?;
    let (ended, writer_ended) = tokio::sync::oneshot::channel();
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let result = writer.run();
        // Nobody waits once a signal came first.
        _ = ended.send(());
        result
    })?;
    runtime.block_on(until_stopped(writer_ended))?;
    drop((follower, publisher));
    stop(&wake, writer)?;
    tracing::info!("stopped; the kernel goes on serving");
    Ok(())
}

/// Waits for a signal, or for the writer to end by itself.
async fn until_stopped(writer_ended: tokio::sync::oneshot::Receiver<()>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = writer_ended => {}
    }
    Ok(())
}

fn stop(wake: &Sender<Wake>, writer: JoinHandle<Result<(), TakeoverError>>) -> anyhow::Result<()> {
    // A writer that has ended hears nothing, and its result says why.
    drop(wake.send(Wake::Stop));
    match writer.join() {
        Ok(result) => Ok(result?),
        Err(_panic) => anyhow::bail!("the writer's thread panicked; the kernel goes on serving"),
    }
}
