//! The door of the kubelets for `exec`: to it an API server passes on what is to be run in a pod.

use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Cluster, Inside};

/// The API server may take so long for the next thing that it sends.
const PATIENCE: Duration = Duration::from_secs(20);
const PROTOCOL: &str = "v4.channel.k8s.io";
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Bytes in one message.
const PART: usize = 32 << 10;

/// What arrived, as a kubelet sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub command: Vec<String>,
    /// The other parameters, as they were written.
    pub streams: Vec<String>,
    /// The protocol that the connection is to become, and what is to be spoken in it.
    pub upgrade: String,
    pub protocols: String,
}

/// All nodes have the same one. It ends when dropped.
pub struct ExecDoor {
    _inside: Inside,
    called: Arc<Mutex<Vec<Called>>>,
}

type Run = dyn Fn(&Called) -> Result<Output> + Send + Sync;

impl ExecDoor {
    /// Opens it for these nodes, which are registered. `run` does what is asked for.
    pub fn open(
        cluster: &Cluster,
        nodes: &[&str],
        run: impl Fn(&Called) -> Result<Output> + Send + Sync + 'static,
    ) -> Result<Self> {
        let inside = cluster.inside()?;
        let acceptor = acceptor(cluster)?;
        let listener = inside.run(PATIENCE, TcpListener::bind("127.0.0.1:0"))??;
        let port = listener.local_addr().context("a listener has an address")?.port();
        let called = Arc::<Mutex<Vec<Called>>>::default();
        let (run, log) = (Arc::<Run>::from(Box::new(run) as Box<Run>), Arc::clone(&called));
        inside.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, run, log) = (acceptor.clone(), Arc::clone(&run), Arc::clone(&log));
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, acceptor, run, &log).await {
                        eprintln!("exec: {error:#}");
                    }
                });
            }
        });
        for node in nodes {
            let endpoint = json!({"status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            }});
            cluster.api().merge(&format!("/api/v1/nodes/{node}/status"), &endpoint)?;
        }
        Ok(Self { _inside: inside, called })
    }

    /// Everything that was asked for.
    #[must_use]
    pub fn called(&self) -> Vec<Called> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// With the certificate of the API server, which is of the same address.
fn acceptor(cluster: &Cluster) -> Result<TlsAcceptor> {
    let read = |name: &str| fs::read(cluster.folder().join(name)).with_context(|| format!("no {name}"));
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&read("api.crt")?)
        .collect::<Result<_, _>>()
        .context("no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&read("api.key")?).context("no key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no version of TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("not a pair")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    run: Arc<Run>,
    log: &Mutex<Vec<Called>>,
) -> Result<()> {
    let mut stream = acceptor.accept(stream).await.context("no TLS")?;
    let head = timeout(PATIENCE, head(&mut stream)).await.context("no request comes")??;
    let (called, key) = read(&head);
    log.lock().unwrap_or_else(PoisonError::into_inner).push(called.clone());
    if !called.upgrade.eq_ignore_ascii_case("websocket") || !called.protocols.contains(PROTOCOL) {
        return refuse(&mut stream).await;
    }
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\
         Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.context("the API server is gone")?;
    let output = tokio::task::spawn_blocking(move || run(&called)).await.context("it panicked")?;
    let (stdout, stderr, status) = match output {
        Ok(output) => {
            let status = status(output.status.code());
            (output.stdout, output.stderr, status)
        }
        Err(error) => {
            let status =
                json!({"status": "Failure", "reason": "InternalError", "message": format!("{error:#}")});
            (Vec::new(), Vec::new(), status)
        }
    };
    for (channel, data) in [(STDOUT, stdout), (STDERR, stderr), (STATUS, status.to_string().into_bytes())] {
        // Each channel begins with an empty message, as a kubelet has it.
        message(&mut stream, channel, &[]).await.context("the API server is gone")?;
        for part in data.chunks(PART) {
            message(&mut stream, channel, part).await.context("the API server is gone")?;
        }
    }
    // A closing frame, and then what the other end still has to say.
    stream.write_all(&[0x88, 0]).await.context("the API server is gone")?;
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await);
    Ok(())
}

async fn refuse(stream: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(refusal).await.context("the API server is gone")
}

fn status(code: Option<i32>) -> Value {
    match code {
        Some(0) => json!({"metadata": {}, "status": "Success"}),
        code => json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": "command terminated with non-zero exit code",
            "details": {"causes": [{"reason": "ExitCode", "message": code.unwrap_or(-1).to_string()}]}}),
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.context("the request breaks off")?);
    }
    String::from_utf8(head).context("not a request")
}

/// What a request is for, and its key.
fn read(head: &str) -> (Called, String) {
    let header = |name: &str| {
        let of = |line: &str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.lines().find_map(of).unwrap_or_default()
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // /exec/NAMESPACE/POD/CONTAINER
    let mut parts = path.split('/').skip(2).map(unescaped);
    let mut part = || parts.next().unwrap_or_default();
    let mut called = Called {
        namespace: part(),
        pod: part(),
        container: part(),
        upgrade: header("upgrade"),
        protocols: header("sec-websocket-protocol"),
        ..Called::default()
    };
    for parameter in query.split('&') {
        match parameter.strip_prefix("command=") {
            Some(word) => called.command.push(unescaped(word)),
            None => called.streams.push(parameter.to_owned()),
        }
    }
    called.streams.sort_unstable();
    (called, header("sec-websocket-key"))
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = escaped.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A binary frame of a server, which is not masked.
async fn message(stream: &mut (impl AsyncWrite + Unpin), channel: u8, data: &[u8]) -> io::Result<()> {
    let length = u16::try_from(data.len() + 1).map_err(io::Error::other)?.to_be_bytes();
    stream.write_all(&[&[0x82, 126][..], &length, &[channel], data].concat()).await
}
