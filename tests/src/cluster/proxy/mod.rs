//! A proxy between agents and API server, with faults that are planted while it runs.

mod fault;
mod line;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::Cluster;
use super::api::runtime_in;

pub use fault::Fault;
pub use upstream::Upstream;

/// The first is on this port; each on one of its own, so that one that was closed can be opened again.
const FIRST_PORT: u16 = 7000;

/// Listens on every address of the control plane's network namespace, until it is dropped.
pub struct Proxy {
    port: u16,
    front: Front,
    shared: Arc<Shared>,
    /// Its end is the end of every connection.
    _runtime: Runtime,
}

/// What clients speak with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// TLS, which it does not look into.
    Raw,
    /// Plain HTTP, of which it can spoil each answer. The TLS is behind it.
    Http,
}

/// What it saw since the fault of now was planted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub connections: u64,
    /// The paths that were asked for; behind [`Front::Raw`] they are unknown.
    pub requests: Vec<String>,
    /// Bytes that were passed on to clients.
    pub bytes: u64,
    /// How often something met the fault: an answer that was spoilt, a connection that was cut or froze.
    pub planted: u64,
}

/// What all connections of a proxy share.
struct Shared {
    fault: watch::Sender<Fault>,
    report: Mutex<Report>,
    upstream: Upstream,
}

impl Proxy {
    /// One in front of the API server, which passes everything on until [`plant`](Self::plant).
    pub fn start(cluster: &Cluster, front: Front) -> Result<Self> {
        let number = u16::try_from(cluster.world.next_number()).context("too many proxies")?;
        Self::start_at(cluster, front, FIRST_PORT + number)
    }

    /// The same at this port.
    pub fn start_at(cluster: &Cluster, front: Front, port: u16) -> Result<Self> {
        let runtime = runtime_in(&cluster.netns)?;
        let (fault, _) = watch::channel(Fault::Pass);
        let shared = Arc::new(Shared { fault, report: Mutex::default(), upstream: Upstream::of(cluster)? });
        let (ready, bound) = std::sync::mpsc::channel();
        runtime.spawn(listen(port, front, Arc::clone(&shared), ready));
        bound.recv().context("a proxy ended")?.with_context(|| format!("could not listen on {port}"))?;
        Ok(Self { port, front, shared, _runtime: runtime })
    }

    /// For `--api-server`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_at("127.0.0.1")
    }

    /// The same at another address that the proxy's namespace answers for.
    #[must_use]
    pub fn address_at(&self, host: &str) -> String {
        let scheme = match self.front {
            Front::Raw => "https",
            Front::Http => "http",
        };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// From now on this is what happens, to open connections as well. Counts from 0 again.
    pub fn plant(&self, fault: Fault) {
        *self.shared.report() = Report::default();
        self.shared.fault.send_replace(fault);
    }

    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report().clone()
    }
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_planted(&self) {
        self.report().planted += 1;
    }
}

/// Takes connections while the fault of now lets it, and says once whether it can.
async fn listen(
    port: u16,
    front: Front,
    shared: Arc<Shared>,
    ready: std::sync::mpsc::Sender<std::io::Result<()>>,
) {
    let mut fault = shared.fault.subscribe();
    loop {
        while matches!(*fault.borrow_and_update(), Fault::Drop) {
            if fault.changed().await.is_err() {
                return;
            }
        }
        let listener = match TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("proxy: could not listen on {port}: {error}");
                drop(ready.send(Err(error)));
                return;
            }
        };
        drop(ready.send(Ok(())));
        while let Some(stream) = accept(&listener, &mut fault).await {
            shared.report().connections += 1;
            tokio::spawn(line::carry(stream, front, Arc::clone(&shared)));
        }
    }
}

/// The next connection; none when there shall be none.
async fn accept(listener: &TcpListener, fault: &mut watch::Receiver<Fault>) -> Option<TcpStream> {
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted { return Some(stream) },
            changed = fault.changed() => {
                if changed.is_err() || matches!(*fault.borrow_and_update(), Fault::Drop) {
                    return None;
                }
            }
        }
    }
}
