//! The agent's doors while many clients poll them, and what that costs a change.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use edgeloop_tests::cluster::Inside;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{interval_at, timeout};

use super::PACE;
use super::changes::make;
use super::contender::Contender;
use super::effect::{Effect, samples, signed_millis};
use super::ground::Ground;
use super::ours::{DOORS, Ours};
use super::times::Times;
use super::weigh::processor_time;

/// Each makes one request a second.
pub(crate) const CLIENTS: u32 = 50;
/// As many again, of a server that does nothing else: what this machine makes any reply wait.
const CONTROLS: u32 = CLIENTS / 3;
const SECOND: Duration = Duration::from_secs(1);
/// So many blocks of changes without clients at most, and as many with them, in turns: what else the machine
/// does meets both.
const BLOCKS: u32 = 12;
const QUIET: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients that connect, ask, and are gone.
pub(crate) const LEAVERS: u32 = 2_000;
/// For them: at 1,000 a second.
const LEAVING: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Polled {
    /// Milliseconds from connecting to the end of a reply.
    pub(crate) readyz: Effect,
    pub(crate) metrics: Effect,
    pub(crate) status: Effect,
    pub(crate) bare: Effect,
    /// A slice's change to the kernel in blocks without clients, and with them.
    pub(crate) changes: [Effect; 2],
    /// Milliseconds of processor time for all clients that leave early: the writer's, and the
    /// whole agent's.
    pub(crate) leavers: [f64; 2],
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Readyz,
    Metrics,
    Status,
    Bare,
}

impl Door {
    const OURS: [Self; 3] = [Self::Readyz, Self::Metrics, Self::Status];
}

/// Where the doors are, and what their replies took.
#[derive(Clone)]
struct Clients {
    socket: PathBuf,
    bare: u16,
    took: Arc<Mutex<Vec<(Door, f64)>>>,
    failed: Arc<Mutex<Option<String>>>,
}

/// Makes changes with these numbers, of which every second block is made while clients poll.
pub(crate) fn poll(ground: &Ground, ours: &Ours, numbers: Range<u32>) -> Result<Polled> {
    let served = ground.cluster.inside()?;
    let listener = served.run(PATIENCE, TcpListener::bind(("127.0.0.1", 0)))?.context("could not listen")?;
    let clients = Clients {
        socket: ground.node.file("agent.sock"),
        bare: listener.local_addr().context("a listener without an address")?.port(),
        took: Arc::default(),
        failed: Arc::default(),
    };
    served.spawn(serve_bare(listener));
    let mut changes = [Vec::new(), Vec::new()];
    for (turn, block) in blocks(&numbers).into_iter().enumerate() {
        // Without, with, with, without, …: what grows over time meets both.
        let with = usize::from(matches!(turn % 4, 1 | 2));
        let polling = (with == 1).then(|| clients.start(ground)).transpose()?;
        changes[with].extend(changed(ground, ours, block)?);
        drop(polling);
    }
    if let Some(failed) = clients.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bail!("a door did not reply: {failed}");
    }
    let leavers = leave(ground, ours, &clients)?;
    let took = std::mem::take(&mut *clients.took.lock().unwrap_or_else(PoisonError::into_inner));
    let of =
        |wanted| Effect::of(took.iter().filter(|(door, _)| *door == wanted).map(|(_, ms)| *ms).collect());
    Ok(Polled {
        readyz: of(Door::Readyz),
        metrics: of(Door::Metrics),
        status: of(Door::Status),
        bare: of(Door::Bare),
        changes: changes.map(Effect::of),
        leavers,
    })
}

/// As many as last a second each, so that every client asks in them.
fn blocks(numbers: &Range<u32>) -> Vec<Range<u32>> {
    let all = numbers.end - numbers.start;
    let blocks = 2 * (all / (2 * PACE)).clamp(1, BLOCKS);
    let each = all / blocks;
    (0..blocks).map(|block| numbers.start + block * each..numbers.start + (block + 1) * each).collect()
}

/// Milliseconds until each change was in the kernel.
fn changed(ground: &Ground, ours: &Ours, numbers: Range<u32>) -> Result<Vec<f64>> {
    let effective = Times::new(numbers.start, numbers.end - numbers.start);
    let watch = ours.watch(ground, effective.clone())?;
    let answered = make(ground.cluster.api(), ground.population, numbers, watch.announcer())?;
    effective.wait(QUIET);
    watch.end()?;
    Ok(samples(&answered, &effective, ground.population.services)?.0)
}

impl Clients {
    /// They go on until what this gives is dropped.
    fn start(&self, ground: &Ground) -> Result<Inside> {
        let inside = ground.cluster.inside()?;
        for number in 0..CLIENTS + CONTROLS {
            let clients = self.clone();
            inside.spawn(async move {
                let all = CLIENTS + CONTROLS;
                let mut clock = interval_at(tokio::time::Instant::now() + SECOND * number / all, SECOND);
                for turn in number.. {
                    clock.tick().await;
                    // In between, so that both meet the same.
                    let is_bare = number % (all / CONTROLS) == 0;
                    let door = if is_bare { Door::Bare } else { Door::OURS[turn as usize % 3] };
                    clients.ask(door).await;
                }
            });
        }
        Ok(inside)
    }

    async fn ask(&self, door: Door) {
        let begun = Instant::now();
        match timeout(PATIENCE, self.reply(door)).await {
            Ok(Ok(())) => {
                let took = signed_millis(begun, Instant::now());
                self.took.lock().unwrap_or_else(PoisonError::into_inner).push((door, took));
            }
            Ok(Err(error)) => self.failed(format!("{door:?}: {error:#}")),
            Err(_) => self.failed(format!("{door:?}: nothing within {PATIENCE:?}")),
        }
    }

    fn failed(&self, why: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    async fn reply(&self, door: Door) -> Result<()> {
        let text = match door {
            Door::Readyz => request(TcpStream::connect(DOORS).await?, "/readyz").await?,
            Door::Metrics => request(TcpStream::connect(DOORS).await?, "/metrics").await?,
            Door::Bare => request(TcpStream::connect(("127.0.0.1", self.bare)).await?, "/").await?,
            Door::Status => read_all(UnixStream::connect(&self.socket).await?).await?,
        };
        let is_right = text.starts_with(b"HTTP/1.1 200") || door == Door::Status && text.starts_with(b"{");
        ensure!(is_right, "{}", String::from_utf8_lossy(&text));
        Ok(())
    }
}

/// As a probe does it: a connection for one request.
async fn request(mut stream: TcpStream, path: &str) -> io::Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    stream.write_all(head(path).as_bytes()).await?;
    read_all(stream).await
}

fn head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
}

async fn read_all(mut stream: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    Ok(text)
}

async fn serve_bare(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A client that went away.
            drop(bare_reply(stream).await);
        });
    }
}

async fn bare_reply(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut head = [0; 1024];
    let asked = stream.read(&mut head).await?;
    if asked == 0 {
        return Ok(());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n").await
}

/// Clients that leave before the reply: what they take of the writer, and of the whole agent.
fn leave(ground: &Ground, ours: &Ours, clients: &Clients) -> Result<[f64; 2]> {
    let writer = writer_time(ours.pid())?;
    let all = processor_time(ours.pid())?;
    let socket = clients.socket.clone();
    ground.cluster.inside()?.run(LEAVING, async move {
        let mut clock = interval_at(tokio::time::Instant::now(), Duration::from_millis(1));
        for number in 0..LEAVERS {
            clock.tick().await;
            match Door::OURS[number as usize % 3] {
                Door::Readyz => {
                    TcpStream::connect(DOORS).await?.write_all(head("/readyz").as_bytes()).await?
                }
                Door::Metrics => {
                    TcpStream::connect(DOORS).await?.write_all(head("/metrics").as_bytes()).await?
                }
                Door::Status | Door::Bare => drop(UnixStream::connect(&socket).await?),
            }
        }
        anyhow::Ok(())
    })??;
    Ok([(writer_time(ours.pid())? - writer).as_secs_f64(), (processor_time(ours.pid())? - all).as_secs_f64()]
        .map(|seconds| seconds * 1e3))
}

/// What the writer's thread has run for.
fn writer_time(pid: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("a process has ended")?;
    for task in tasks {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == "writer" {
            let spent = fs::read_to_string(task.join("schedstat"))?;
            let spent = spent.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
            return Ok(Duration::from_nanos(spent.context("schedstat does not read as numbers")?));
        }
    }
    bail!("process {pid} has no thread \"writer\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_every_number_once_but_for_a_rest() {
        let long = blocks(&(100..100 + 24 * 250 + 7));
        assert_eq!((long.len(), long[0].clone(), long[23].clone()), (24, 100..350, 5850..6100));
        assert_eq!(blocks(&(0..500)), [0..125, 125..250, 250..375, 375..500]);
        assert_eq!(blocks(&(0..101)), [0..50, 50..100]);
    }
}
