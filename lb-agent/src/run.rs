//! Wiring: which thread owns what, who tells whom, and how it all stops.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::{Agent, Orders, Wake};
use crate::config::{Config, SourceConfig};
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, cgroup, load, lock};
use crate::source::file::follow;
use crate::status::serve::{Served, listen, serve};
use crate::store::Store;

/// Runs the agent until SIGINT or SIGTERM. The kernel goes on serving what it has.
///
/// # Errors
/// When it cannot start, or the kernel refuses maps or programs.
pub fn run(config: Config) -> anyhow::Result<()> {
    let Config { node, source, rules, cgroup, pin_root, socket, sizes, audit } = config;
    let cgroup = cgroup::find(cgroup.as_deref())?;
    let _lock = lock::acquire(&pin_root)?;
    let orders = Orders { source: source.to_string(), sizes, audit, grace: Grace::probe() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = {
        let _entered = runtime.enter();
        listen(&socket)?
    };

    let (wake, inbox) = channel();
    let datapath = Datapath::new(&pin_root, cgroup, load::OBJECT);
    let agent = Agent::new(orders, Store::new(&node, rules), datapath, inbox, wake.clone());
    tracing::info!(node, source = %source, pin_root = %pin_root.display(), "starting");
    let SourceConfig::File(folder) = source;
    let to_writer = wake.clone();
    let follower = follow(folder, move |batch| to_writer.send(Wake::Source(batch)).is_ok())?;

    let (ended, writer_ended) = tokio::sync::oneshot::channel();
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let result = agent.run();
        // Nobody waits once a signal came first.
        _ = ended.send(());
        result
    })?;
    runtime.block_on(until_stopped(&served, &wake, writer_ended))?;
    drop(follower);
    stop(&wake, writer)?;
    tracing::info!("stopped; the kernel goes on serving");
    Ok(())
}

/// Waits for a signal, or for the writer to end by itself.
async fn until_stopped(
    served: &Served,
    wake: &Sender<Wake>,
    writer_ended: tokio::sync::oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = writer_ended => {}
        () = serve(&served.listener, wake.clone()) => {}
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
