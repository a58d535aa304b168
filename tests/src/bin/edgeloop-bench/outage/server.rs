//! A small API server that can be taken away, and notes who asks for what.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::trouble::{Lists, Manner, Streams, Watches};

pub(crate) const KINDS: usize = 3;
/// Each agent has a connection for each kind, of which both ends are ours, and some more on the way.
const DESCRIPTORS: u64 = 60_000;
const BACKLOG: u32 = 4096;
/// No request head is longer.
const MOST_OF_A_HEAD: usize = 16 << 10;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) agent: u32,
    /// Below [`KINDS`].
    pub(crate) kind: usize,
}

pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Accepts, and holds every connection.
    task: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut();
    }
}

/// A kind as it is on the wire.
struct Kind {
    path: &'static str,
    version: &'static str,
    list: (&'static str, &'static str),
    object: Value,
}

fn kinds() -> [Kind; KINDS] {
    let of = |path, version, list, object| Kind { path, version, list, object };
    [
        of(
            "/services",
            "v1",
            ("ServiceList", "v1"),
            json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default",
                "resourceVersion": "7"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}),
        ),
        of(
            "/endpointslices",
            "discovery.k8s.io/v1",
            ("EndpointSliceList", "discovery.k8s.io/v1"),
            json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {"name": "web-1",
                "namespace": "default", "resourceVersion": "7", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4", "endpoints": [], "ports": []}),
        ),
        of(
            "/nodes",
            "meta.k8s.io/v1",
            ("PartialObjectMetadataList", "meta.k8s.io/v1"),
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"name": "n1", "resourceVersion": "7"}}),
        ),
    ]
}

/// Lets this process have what as many agents and their server take.
pub(crate) fn allow_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("could not read the limit of descriptors")?;
    let wanted = hard.min(DESCRIPTORS);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("could not raise the limit of descriptors")
}

impl Server {
    /// On a port of its own.
    pub(crate) fn start(manner: Manner) -> Result<Self> {
        let mut server = Self { address: (Ipv4Addr::LOCALHOST, 0).into(), asked: Arc::default(), task: None };
        server.serve(manner, Generation::First)?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every connection breaks, and new ones are refused.
    pub(crate) fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    pub(crate) fn come_back(&mut self, manner: Manner) -> Result<()> {
        self.serve(manner, Generation::Second)
    }

    pub(crate) fn asked_since(&self, since: Instant) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.at >= since).copied().collect()
    }

    fn serve(&mut self, manner: Manner, generation: Generation) -> Result<()> {
        ensure!(self.task.is_none(), "the server is there");
        let socket = TcpSocket::new_v4().context("could not make a socket")?;
        socket.set_reuseaddr(true).context("could not set up a socket")?;
        socket.bind(self.address).with_context(|| format!("could not listen at {}", self.address))?;
        let listener = socket.listen(BACKLOG).context("could not listen")?;
        self.address = listener.local_addr().context("a listener without an address")?;
        let asked = Arc::clone(&self.asked);
        self.task = Some(tokio::spawn(accept(listener, manner, generation, asked)));
        Ok(())
    }
}

/// Versions that the server gives out begin so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    First,
    Second,
}

impl Generation {
    const fn version(self) -> &'static str {
        match self {
            Self::First => "10",
            Self::Second => "20",
        }
    }
}

async fn accept(
    listener: TcpListener,
    manner: Manner,
    generation: Generation,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        connections.spawn(async move {
            // A client that leaves is no fault.
            drop(serve(stream, manner, generation, asked).await);
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    generation: Generation,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> Result<()> {
    let kinds = kinds();
    stream.set_nodelay(true)?;
    loop {
        let head = head(&mut stream).await?;
        let path = head.split(' ').nth(1).context("no path")?;
        let agent = path.split('/').nth(2).and_then(|number| number.parse().ok()).context("no agent")?;
        let kind = kinds.iter().position(|kind| path.contains(kind.path)).context("an unknown kind")?;
        let at = Instant::now();
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { at, agent, kind });
        if !respond(&mut stream, path, &kinds[kind], manner, generation).await? {
            return Ok(());
        }
    }
}

async fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        let length = stream.read(&mut part).await?;
        ensure!(length > 0 && head.len() < MOST_OF_A_HEAD, "a head without an end");
        head.extend_from_slice(&part[..length]);
    }
    String::from_utf8(head).context("a head that is no text")
}

/// Whether the connection can be used again.
async fn respond(
    stream: &mut TcpStream,
    path: &str,
    kind: &Kind,
    manner: Manner,
    generation: Generation,
) -> Result<bool> {
    if manner.lists == Lists::Busy {
        return whole(stream, "429 Too Many Requests\r\nRetry-After: 1", &status(429)).await.map(|()| true);
    }
    let is_watch = path.contains("watch=true");
    if path.contains("sendInitialEvents") {
        if manner.streams == Streams::Refused {
            return whole(stream, "422 Unprocessable Entity", &status(422)).await.map(|()| true);
        }
        let end = event("BOOKMARK", &bookmark(kind, generation.version()));
        let sent = [event("ADDED", &kind.object), end, event("ERROR", &status(410))];
        return match manner.watches {
            Watches::GoOn | Watches::ExpiredOnce => watch(stream, path, &sent[..2]).await,
            Watches::Expired => chunks(stream, &sent, true).await,
            Watches::End => chunks(stream, &sent[..2], true).await,
        };
    }
    if is_watch {
        let is_old = !path.contains(&format!("resourceVersion={}", generation.version()));
        let expired = [event("ERROR", &status(410))];
        return match manner.watches {
            Watches::GoOn => watch(stream, path, &[]).await,
            Watches::ExpiredOnce if !is_old => watch(stream, path, &[]).await,
            Watches::ExpiredOnce | Watches::Expired => chunks(stream, &expired, true).await,
            Watches::End => chunks(stream, &[], true).await,
        };
    }
    let (list, version) = kind.list;
    let list = json!({"kind": list, "apiVersion": version,
        "metadata": {"resourceVersion": generation.version()}, "items": [kind.object]});
    if manner.lists == Lists::Half {
        let text = list.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&text.as_bytes()[..text.len() / 2]).await?;
        return Ok(false);
    }
    whole(stream, "200 OK", &list).await.map(|()| true)
}

async fn whole(stream: &mut TcpStream, status: &str, body: &Value) -> Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(stream.write_all(head.as_bytes()).await?)
}

/// Sends this, and stays open for as long as the client has asked for.
async fn watch(stream: &mut TcpStream, path: &str, events: &[String]) -> Result<bool> {
    chunks(stream, events, false).await?;
    let seconds = path.split("timeoutSeconds=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
    sleep(Duration::from_secs(seconds.unwrap_or(30))).await;
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(true)
}

async fn chunks(stream: &mut TcpStream, events: &[String], is_all: bool) -> Result<bool> {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for event in events {
        text += &format!("{:x}\r\n{event}\r\n", event.len());
    }
    if is_all {
        text += "0\r\n\r\n";
    }
    stream.write_all(text.as_bytes()).await?;
    Ok(true)
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn bookmark(kind: &Kind, version: &str) -> Value {
    json!({"kind": kind.object["kind"], "apiVersion": kind.version, "metadata": {"resourceVersion": version,
        "annotations": {"k8s.io/initial-events-end": "true"}}})
}

fn status(code: u16) -> Value {
    let reason = match code {
        410 => "Expired",
        422 => "Invalid",
        _ => "TooManyRequests",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no"})
}
