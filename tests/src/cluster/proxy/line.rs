//! One connection through a proxy.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::upstream::{Stream, Upstream};
use super::{Fault, Front, Shared};

/// Read at once, at most.
const PIECE: usize = 64 << 10;
/// No head of a request or an answer is longer.
const LONGEST_HEAD: usize = 64 << 10;

/// Carries it until one side ends it or a fault does.
pub(super) async fn carry(near: TcpStream, front: Front, shared: Arc<Shared>) {
    let fault = shared.fault.subscribe();
    let line = async {
        match front {
            Front::Raw => raw(near, &shared).await,
            Front::Http => http(near, &shared).await,
        }
    };
    tokio::select! {
        // First the fault: what comes after it does not pass.
        biased;
        () = cut(fault) => shared.count_planted(),
        // Whatever it was: both ends find out by themselves.
        _ended = line => {}
    }
}

/// Returns when what is planted ends connections that were there before.
async fn cut(mut fault: watch::Receiver<Fault>) {
    let mut now = fault.borrow_and_update().clone();
    while fault.changed().await.is_ok() {
        let next = fault.borrow_and_update().clone();
        if now.is_cut_by(&next) {
            return;
        }
        now = next;
    }
}

async fn raw(near: TcpStream, shared: &Shared) -> Result<()> {
    thawed(shared).await?;
    let far = shared.upstream.dial().await?;
    let ((from_near, to_near), (from_far, to_far)) = (split(near), split(far));
    tokio::select! {
        done = pump(from_near, to_far, shared, |_| ()) => done,
        done = pump(from_far, to_near, shared, |piece| shared.report().bytes += piece.len() as u64) => done,
    }
}

/// One request; the reply says that there is no second one on this connection.
async fn http(mut near: TcpStream, shared: &Shared) -> Result<()> {
    let request = Request::read(&mut near).await?;
    shared.report().requests.push(request.path().to_owned());
    thawed(shared).await?;
    let fault = shared.fault.borrow().clone();
    match fault {
        Fault::Pass | Fault::Freeze | Fault::Drop => {
            let far = ask(&shared.upstream, &request).await?;
            answer(far, near, shared, |_| ()).await
        }
        Fault::Rewrite { from, to } => {
            let far = ask(&shared.upstream, &request).await?;
            answer(far, near, shared, |piece| rewrite(piece, from, to, shared)).await
        }
        Fault::Other(upstream) => {
            shared.count_planted();
            let far = ask(&upstream, &request).await?;
            answer(far, near, shared, |_| ()).await
        }
        Fault::HalfBody(bytes) => {
            let mut far = ask(&shared.upstream, &request).await?;
            let head = read_head(&mut far).await?;
            near.write_all(&head).await?;
            let mut body = far.take(bytes as u64);
            let passed = tokio::io::copy(&mut body, &mut near).await?;
            ensure!(passed == bytes as u64, "the whole body is shorter");
            shared.count_planted();
            Ok(())
        }
        Fault::Answer { code, retry_after } => {
            shared.count_planted();
            let body = json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": "planted"});
            let extra = retry_after.map(|after| format!("Retry-After: {after}\r\n")).unwrap_or_default();
            send(near, code, &extra, &format!("{body}\n")).await
        }
        Fault::Garbage => {
            shared.count_planted();
            send(near, 200, "", "<html>this is not JSON</html>\n").await
        }
    }
}

/// Returns while nothing is frozen.
async fn thawed(shared: &Shared) -> Result<()> {
    let mut fault = shared.fault.subscribe();
    if matches!(*fault.borrow_and_update(), Fault::Freeze) {
        shared.count_planted();
    }
    fault.wait_for(|fault| !matches!(fault, Fault::Freeze)).await.context("the proxy ended")?;
    Ok(())
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    mut change: impl FnMut(&mut [u8]),
) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let size = from.read(&mut piece).await?;
        thawed(shared).await?;
        if size == 0 {
            return Ok(());
        }
        change(&mut piece[..size]);
        to.write_all(&piece[..size]).await?;
    }
}

/// A request as it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(near: &mut TcpStream) -> Result<Self> {
        let head = String::from_utf8(read_head(near).await?).context("not a request")?;
        let length = lines(&head).find_map(|line| value(line, "content-length")?.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        near.read_exact(&mut body).await?;
        Ok(Self { head, body })
    }

    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// With this token if there is one, and the last on its connection.
    fn head_for(&self, token: Option<&str>) -> String {
        let mut head = String::new();
        for line in lines(&self.head) {
            let is_replaced = token.is_some() && value(line, "authorization").is_some();
            if !is_replaced && value(line, "connection").is_none() {
                head = head + line + "\r\n";
            }
        }
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!("{head}{token}Connection: close\r\n\r\n")
    }
}

fn lines(head: &str) -> impl Iterator<Item = &str> {
    head.split("\r\n").filter(|line| !line.is_empty())
}

/// What a header line says, if it is that header.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}

/// Up to and with the empty line.
async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < LONGEST_HEAD, "a head without an end");
        head.push(from.read_u8().await?);
    }
    Ok(head)
}

async fn ask(upstream: &Upstream, request: &Request) -> Result<Box<dyn Stream>> {
    let mut far = upstream.dial_tls().await?;
    far.write_all(request.head_for(upstream.token()).as_bytes()).await?;
    far.write_all(&request.body).await?;
    far.flush().await?;
    Ok(far)
}

/// Passes an answer on to its end, or until the client has gone.
async fn answer(
    far: Box<dyn Stream>,
    near: TcpStream,
    shared: &Shared,
    mut change: impl FnMut(&mut [u8]),
) -> Result<()> {
    let (mut from_near, to_near) = split(near);
    let pass = pump(far, to_near, shared, |piece| {
        change(piece);
        shared.report().bytes += piece.len() as u64;
    });
    tokio::select! {
        done = pass => done,
        // It has asked for all it may.
        gone = from_near.read_u8() => gone.map(drop).context("the client has gone"),
    }
}

async fn send(mut near: TcpStream, code: u16, extra: &str, body: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 {code} Planted\r\nContent-Type: application/json\r\nConnection: close\r\n{extra}Content-Length: {}\r\n\r\n",
        body.len()
    );
    near.write_all(head.as_bytes()).await?;
    near.write_all(body.as_bytes()).await?;
    Ok(())
}

fn rewrite(piece: &mut [u8], from: &str, to: &str, shared: &Shared) {
    let mut at = 0;
    while let Some(found) = piece[at..].windows(from.len()).position(|window| window == from.as_bytes()) {
        at += found;
        piece[at..at + to.len()].copy_from_slice(to.as_bytes());
        at += to.len();
        shared.count_planted();
    }
}
