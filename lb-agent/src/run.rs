//! Wiring: which thread owns what, who tells whom, and how it all stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::announce::{EventQueue, RateLimit, publish};
use crate::api::{ApiClient, Claim};
use crate::config::{Config, SourceConfig};
use crate::datapath::maps::agent_sockets::AgentSockets;
use crate::datapath::programs::load;
use crate::datapath::takeover::{Datapath, TakeoverError};
use crate::datapath::{Grace, cgroup, lock};
use crate::serve::http;
use crate::serve::socket::{Served, listen, serve};
use crate::source::file;
use crate::source::kube::{Follower as ApiFollower, Timing, follow};
use crate::store::Store;
use crate::writer::{Wake, Writer, WriterConfig};
use tokio::task::JoinSet;

/// Runs the agent until SIGINT or SIGTERM. The kernel goes on serving what it has.
///
/// # Errors
/// When it cannot start, or the kernel refuses maps or programs.
pub fn run(config: Config) -> anyhow::Result<()> {
    let Config { node, source, rules, cgroup, pin_root, socket, sizes, audit, http } = config;
    let cgroup = cgroup::find(cgroup.as_deref())?;
    let _lock = lock::acquire(&pin_root)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = runtime.block_on(Source::new(source, &pin_root))?;
    let outbox = matches!(source, Source::Api(_)).then(EventQueue::default);
    let settings = WriterConfig {
        source: source.to_string(),
        sizes,
        audit,
        grace: Grace::probe(),
        outbox: outbox.clone(),
    };
    let served = {
        let _entered = runtime.enter();
        listen(&socket)?
    };
    let http = http.map(|address| runtime.block_on(http::listen(address))).transpose()?;

    let (wake, inbox) = channel();
    let datapath = Datapath::new(&pin_root, cgroup, load::OBJECT);
    let writer = Writer::new(settings, Store::new(&node, rules), datapath, inbox, wake.clone());
    tracing::info!(node, source = %source, pin_root = %pin_root.display(), "starting");
    let follower = {
        let _entered = runtime.enter();
        source.follow(wake.clone(), outbox, &node)?
    };

    let (ended, writer_ended) = tokio::sync::oneshot::channel();
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let result = writer.run();
        // Nobody waits once a signal came first.
        _ = ended.send(());
        result
    })?;
    if let Some(listener) = http {
        runtime.spawn(http::serve(listener, wake.clone(), pin_root.clone()));
    }
    runtime.block_on(until_stopped(&served, &wake, writer_ended))?;
    drop(follower);
    stop(&wake, writer)?;
    tracing::info!("stopped; the kernel goes on serving");
    Ok(())
}

/// A source that can be followed.
enum Source {
    Files(PathBuf),
    Api(Box<ApiClient>),
}

/// Ends the source when dropped.
enum Follower {
    Files { _follower: file::Follower },
    Api { _follower: ApiFollower, _events: JoinSet<()> },
}

impl Source {
    async fn new(config: SourceConfig, pin_root: &Path) -> anyhow::Result<Self> {
        Ok(match config {
            SourceConfig::File(folder) => Self::Files(folder),
            SourceConfig::Kube(config) => {
                let sockets = AgentSockets::new(pin_root);
                let claim: Claim = Arc::new(move |socket| sockets.claim(socket).is_ok());
                Self::Api(Box::new(ApiClient::new(config, Some(claim)).await?))
            }
        })
    }

    fn follow(self, wake: Sender<Wake>, outbox: Option<EventQueue>, node: &str) -> anyhow::Result<Follower> {
        Ok(match self {
            Self::Files(folder) => {
                let send = move |batch: file::Batch| wake.send(Wake::Source(batch.into())).is_ok();
                Follower::Files { _follower: file::follow(folder, send)? }
            }
            Self::Api(link) => {
                let send = move |batch| wake.send(Wake::Source(batch)).is_ok();
                let follower = follow(&link, Timing::default(), send);
                let events = publish(&link, outbox.unwrap_or_default(), node, RateLimit::default());
                Follower::Api { _follower: follower, _events: events }
            }
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files(folder) => write!(f, "file:{}", folder.display()),
            Self::Api(link) => write!(f, "API server {}", link.server()),
        }
    }
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
