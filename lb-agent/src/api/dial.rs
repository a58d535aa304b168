//! TCP connections to the API server, made so that a dead link is noticed and a live one found.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::resolve::resolve;

/// A new attempt begins this often while none has succeeded: however long the link was dead, it
/// is found alive within this time, and a slow link still has [`PATIENCE`] for each attempt.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection on which nothing was heard for so long is probed, and so often.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// What was sent, probes included, has to be acknowledged within this time.
const UNHEARD: Duration = Duration::from_secs(10);

/// Makes a socket one that the kernel programs let pass, before it connects. Returns false where it
/// cannot: the programs then treat the connection like that of any process.
pub type Claim = Arc<dyn Fn(BorrowedFd<'_>) -> bool + Send + Sync>;

/// How the client's own sockets are claimed, and whether that works.
#[derive(Clone, Default)]
pub(crate) struct OwnSockets {
    /// `None` where no program of this agent can be in the way.
    claim: Option<Claim>,
    failed: Arc<AtomicBool>,
}

impl OwnSockets {
    pub(crate) fn new(claim: Option<Claim>) -> Self {
        Self { claim, failed: Arc::default() }
    }

    /// The last socket could not be claimed.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether programs of this agent can be in the way.
    pub(super) const fn are_claimed(&self) -> bool {
        self.claim.is_some()
    }

    pub(super) fn claim(&self, socket: &impl AsFd) {
        let claimed = self.claim.as_ref().is_none_or(|claim| claim(socket.as_fd()));
        self.failed.store(!claimed, Ordering::Relaxed);
    }
}

/// Connects to the host that `uri` names.
pub(crate) async fn dial(uri: Uri, own: OwnSockets) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let addresses = resolve(&host, port, &own).await?;
    let mut attempts = JoinSet::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + PATIENCE;
    let mut next = addresses.iter().cycle();
    let mut untried = addresses.len();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let address = *next.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                untried = untried.saturating_sub(1);
                attempts.spawn(attempt(address, own.clone()));
            }
            Some(done) = attempts.join_next() => match done {
                Ok(Ok(stream)) => return Ok(TokioIo::new(stream)),
                Ok(Err(error)) if untried == 0 && attempts.is_empty() => return Err(error),
                Ok(Err(_)) => ticks.reset_immediately(),
                Err(panic) => return Err(io::Error::other(panic)),
            },
            () = sleep_until(end) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

async fn attempt(address: SocketAddr, own: OwnSockets) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let options = SockRef::from(&socket);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    options.set_tcp_keepalive(&probes)?;
    options.set_tcp_user_timeout(Some(UNHEARD))?;
    // The way to the API server must not lead through the maps that the API server's word fills.
    own.claim(&socket);
    socket.connect(address).await
}
