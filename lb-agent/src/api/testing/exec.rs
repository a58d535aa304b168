//! The end of a WebSocket that a program in a pod is run over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::json;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What a program does that is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) end: ProgramEnd,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum ProgramEnd {
    #[default]
    Success,
    Code(i32),
    /// It was never run.
    NotRun,
    /// The connection ends, and nothing says how the program did.
    Broken,
    /// It goes on.
    Never,
}

impl Program {
    pub(crate) fn prints(stdout: &str) -> Self {
        Self { stdout: stdout.as_bytes().to_vec(), ..Self::default() }
    }

    pub(crate) fn fails(code: i32, stderr: &str) -> Self {
        Self { stdout: Vec::new(), stderr: stderr.to_owned(), end: ProgramEnd::Code(code) }
    }

    fn status(&self) -> Option<String> {
        let status = match self.end {
            ProgramEnd::Success => json!({"metadata": {}, "status": "Success"}),
            ProgramEnd::Code(code) => {
                json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: exit status {code}"),
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}})
            }
            ProgramEnd::NotRun => {
                json!({"status": "Failure", "reason": "InternalError", "message": "no such file"})
            }
            ProgramEnd::Broken | ProgramEnd::Never => return None,
        };
        Some(status.to_string())
    }
}

/// Takes the request with this head for a WebSocket, and speaks on it until the program has ended.
pub(super) async fn serve(stream: &mut BufReader<TcpStream>, head: &str, program: &Program) -> Option<()> {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "))?;
    assert!(head.contains("sec-websocket-protocol: v4.channel.k8s.io\r\n"), "{head}");
    let proof = STANDARD.encode(digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    ));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\
         Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    // Each channel is opened by an empty message, as the kubelet does it.
    let mut messages: Vec<Vec<u8>> = [1, 2, 3].map(|channel| vec![channel]).into();
    messages.extend(program.stdout.chunks(32 << 10).map(|part| [&[1], part].concat()));
    messages.push([&[2], program.stderr.as_bytes()].concat());
    messages.extend(program.status().map(|status| [&[3], status.as_bytes()].concat()));
    socket.send(Message::Ping(vec![7].into())).await.ok()?;
    let Some(Ok(Message::Pong(_))) = socket.next().await else { return None };
    for message in messages {
        socket.send(Message::Binary(message.into())).await.ok()?;
    }
    if let ProgramEnd::Never = program.end {
        while let Some(Ok(_)) = socket.next().await {}
        return None;
    }
    if !matches!(program.end, ProgramEnd::Broken) {
        socket.close(None).await.ok()?;
        while let Some(Ok(_)) = socket.next().await {}
    }
    None
}
