//! Runs a program in a container, by way of the API server, and reads what it prints.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Request};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::client::ApiClient;
use super::exec_stream::{End, PROTOCOL, Streams};
use super::query::escaped;
use super::refusal::RequestError;
use crate::shown::shown;

/// Once it was said how a program ended, what it printed before may come for so long.
const REST: Duration = Duration::from_secs(2);

/// What is run, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exec<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: &'a str,
    /// The program and its arguments. No shell reads them.
    pub(crate) command: &'a [String],
    /// Bytes on standard output.
    pub(crate) most: usize,
    /// For all of it.
    pub(crate) limit: Duration,
}

/// Why a program's output is not there as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("the API server {0}")]
    Request(RequestError),

    #[error(
        "the API server opened no WebSocket for exec ({0}): is a proxy in between that does not pass it?"
    )]
    NoWebSocket(&'static str),

    #[error("it did not end within {} s", after.as_secs())]
    TooSlow { after: Duration },

    #[error("it printed more than {} MB", most >> 20)]
    TooMuch { most: usize },

    #[error("the connection broke off before the program's end: {}", shown(_0))]
    BrokeOff(String),

    #[error("the program could not be run: {}", shown(_0))]
    NotRun(String),

    /// With the last line of standard error.
    #[error("{}", failed(*code, says))]
    Failed { code: i32, says: String },
}

fn failed(code: i32, says: &str) -> String {
    if says.is_empty() { format!("it exited with {code}") } else { shown(says) }
}

impl ApiClient {
    /// Runs a program in a container, without standard input. Returns what it printed on standard output.
    pub(crate) async fn exec(&self, exec: &Exec<'_>) -> Result<Vec<u8>, ExecError> {
        let until = Instant::now() + exec.limit;
        let key = STANDARD.encode([random(), random()].concat());
        let request = Request::get(path(exec))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .header(SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
        let (head, upgraded) = self.upgrade(request, exec.limit).await.map_err(ExecError::Request)?;
        check(&head, &key)?;
        let streams = read(upgraded, exec, until).await?;
        match streams.end() {
            Some(End::Success) => Ok(streams.stdout),
            Some(End::Code(code)) => {
                let says = String::from_utf8_lossy(&streams.stderr);
                let last = says.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                let says = last.trim().trim_start_matches("error: ").to_owned();
                Err(ExecError::Failed { code, says })
            }
            Some(End::Failed(why)) => Err(ExecError::NotRun(why)),
            None => Err(ExecError::BrokeOff("it was not said how it ended".to_owned())),
        }
    }
}

/// Each argument is a parameter of its own.
fn path(exec: &Exec<'_>) -> String {
    let Exec { namespace, pod, container, command, .. } = exec;
    let command: String = command.iter().map(|word| format!("&command={}", escaped(word))).collect();
    format!(
        "/api/v1/namespaces/{}/pods/{}/exec?container={}&stdout=true&stderr=true{command}",
        escaped(namespace),
        escaped(pod),
        escaped(container),
    )
}

/// The other end speaks the protocol, and has read this very request (RFC 6455, 4.1).
fn check(head: &Parts, key: &str) -> Result<(), ExecError> {
    const ALWAYS: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let says = |name: HeaderName| header(&head.headers, &name);
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ALWAYS}").as_bytes()));
    if !says(UPGRADE).eq_ignore_ascii_case("websocket") {
        Err(ExecError::NoWebSocket("another protocol"))
    } else if says(SEC_WEBSOCKET_ACCEPT) != proof {
        Err(ExecError::NoWebSocket("the proof of its handshake is wrong"))
    } else if says(SEC_WEBSOCKET_PROTOCOL) != PROTOCOL {
        Err(ExecError::NoWebSocket("v4.channel.k8s.io is not spoken"))
    } else {
        Ok(())
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads to the end of the connection, or to the end of the program.
async fn read(upgraded: Upgraded, exec: &Exec<'_>, mut until: Instant) -> Result<Streams, ExecError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(exec.most.saturating_add(1)))
        .max_frame_size(Some(exec.most.saturating_add(1)));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
    let mut streams = Streams::default();
    loop {
        let has_ended = streams.end().is_some();
        match timeout_at(until, socket.next()).await {
            Ok(Some(Ok(Message::Binary(message)))) => {
                if !streams.take(&message, exec.most) {
                    return Err(ExecError::TooMuch { most: exec.most });
                }
                if !has_ended && streams.end().is_some() {
                    until = until.min(Instant::now() + REST);
                }
            }
            // A ping is replied to by the stream itself.
            Ok(Some(Ok(
                Message::Text(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::Close(_)
                | Message::Frame(_),
            ))) => {}
            Ok(None) => return Ok(streams),
            Ok(Some(Err(_))) | Err(_) if has_ended => return Ok(streams),
            Ok(Some(Err(error))) => return Err(ExecError::BrokeOff(error.to_string())),
            Err(_elapsed) => return Err(ExecError::TooSlow { after: exec.limit }),
        }
    }
}

/// What nothing but this request has.
fn random() -> [u8; 8] {
    RandomState::new().build_hasher().finish().to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_can_be_taken_for_another() {
        let command = ["/lb-agent", "explain", "a b&command=c", "-o", ""].map(str::to_owned);
        let exec = Exec {
            namespace: "kube-system",
            pod: "edgeloop-agent-x",
            container: "agent",
            command: &command,
            most: 1,
            limit: REST,
        };
        assert_eq!(
            path(&exec),
            "/api/v1/namespaces/kube-system/pods/edgeloop-agent-x/exec?container=agent&stdout=true&stderr=true\
             &command=%2Flb-agent&command=explain&command=a%20b%26command%3Dc&command=-o&command="
        );
    }

    #[test]
    fn a_handshake_is_proven_and_speaks_the_protocol() {
        // The example of RFC 6455.
        let (key, proof) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (shows, upgrade, accept, protocol, holds) in [
            ("as it should be", "WebSocket", proof, PROTOCOL, true),
            ("another protocol", "SPDY/3.1", proof, PROTOCOL, false),
            ("of another request", "websocket", "x", PROTOCOL, false),
            ("no protocol", "websocket", proof, "", false),
            ("another version", "websocket", proof, "channel.k8s.io", false),
        ] {
            let response = http::Response::builder()
                .header(UPGRADE, upgrade)
                .header(SEC_WEBSOCKET_ACCEPT, accept)
                .header(SEC_WEBSOCKET_PROTOCOL, protocol);
            let (head, ()) = response.body(()).unwrap().into_parts();
            assert_eq!(check(&head, key).is_ok(), holds, "{shows}");
        }
    }
}
