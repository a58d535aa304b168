//! A way to the API server that counts what comes through it. Its bytes are passed on as they are.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::cluster::{API_SERVER_PORT, Cluster, Inside};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LOCAL: &str = "127.0.0.1";
/// For next to nothing, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 64 << 10;

pub(crate) struct Gate {
    port: u16,
    bytes: Arc<AtomicU64>,
    _inside: Inside,
}

impl Gate {
    /// On threads of its own, and on a port of its own in the control plane's network namespace.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self> {
        let inside = cluster.inside()?;
        let listener = inside.run(PATIENCE, TcpListener::bind((LOCAL, 0)))?.context("could not listen")?;
        let port = listener.local_addr().context("a listener without an address")?.port();
        let bytes = Arc::new(AtomicU64::new(0));
        inside.spawn(accept(listener, Arc::clone(&bytes)));
        Ok(Self { port, bytes, _inside: inside })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the API server has sent this way.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// That kubeconfig, but by this way.
    pub(crate) fn kubeconfig(&self, of: &PathBuf) -> Result<PathBuf> {
        let text = fs::read_to_string(of).with_context(|| format!("could not read {}", of.display()))?;
        let straight = format!("{LOCAL}:{API_SERVER_PORT}");
        let file = of.with_extension(format!("{}.conf", self.port));
        fs::write(&file, text.replace(&straight, &format!("{LOCAL}:{}", self.port)))
            .with_context(|| format!("could not write {}", file.display()))?;
        Ok(file)
    }
}

async fn accept(listener: TcpListener, bytes: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let bytes = Arc::clone(&bytes);
        tokio::spawn(async move {
            if let Err(error) = join(client, bytes).await {
                eprintln!("a connection to the API server: {error}");
            }
        });
    }
}

async fn join(client: TcpStream, bytes: Arc<AtomicU64>) -> io::Result<()> {
    let server = TcpStream::connect((LOCAL, API_SERVER_PORT)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(pass_on(from_client, to_server, |_| {}));
    pass_on(from_server, to_client, move |count| {
        bytes.fetch_add(count, Ordering::Relaxed);
    })
    .await;
    Ok(())
}

/// Until either side is gone: both directions see to that, each in its turn.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: impl Fn(u64)) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count(length as u64);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
