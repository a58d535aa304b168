//! Health and metrics over HTTP, for probes and for Prometheus.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};

use super::clients::Clients;
use super::exposition::Form;
use super::{HTTP_CLIENTS, Newest, metrics};
use crate::datapath::maps::counters::CounterReader;
use crate::serve::observe::count;
use crate::view::loop_page::{POLICY, page};
use crate::view::loops::{Counts, loop_view};
use crate::view::published::Published;
use crate::view::services::services;

/// What a connection may count on where others wait for its place: far more than one request takes.
const STAY: Duration = Duration::from_millis(20);
/// Connections that the kernel keeps until they are taken. Beyond it, clients try again after a second, which is
/// the whole patience of a probe.
const QUEUE: i32 = 1024;
/// For the head of the request.
const HEAD: Duration = Duration::from_secs(10);
/// For the request and the answer.
const LIFE: Duration = Duration::from_secs(30);
/// For the head of a request.
const LONGEST_HEAD: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("could not listen at {address}; name another address with --http or --metrics")]
pub struct HttpError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// An address that is listened at.
#[derive(Debug)]
pub struct HttpDoor(TcpListener);

/// What a request reads.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) newest: Newest,
    pub(super) counters: CounterReader,
    /// Held while a page is made.
    pages: tokio::sync::Mutex<()>,
}

/// Takes the address.
///
/// # Errors
/// When another process has it, or this machine does not.
pub fn listen(address: SocketAddr) -> Result<HttpDoor, HttpError> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(QUEUE)?;
        socket.set_nonblocking(true)?;
        Ok(HttpDoor(socket.into()))
    };
    listen().map_err(|source| HttpError { address, source })
}

impl HttpDoor {
    /// Serves for ever: `/healthz` says whether the writer is alive, `/readyz` whether source and
    /// kernel are in sync, `/metrics` both and what is counted, `/loop` the loop as a page. At most `room` connections at one time.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub(super) async fn serve(self, known: Arc<Known>, room: usize) -> io::Error {
        self.answer(router(known), room).await
    }

    /// Serves `/metrics` alone, for ever, to at most `room` connections at one time.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub(super) async fn serve_metrics(self, known: Arc<Known>, room: usize) -> io::Error {
        self.answer(Router::new().route("/metrics", get(metrics)).with_state(known), room).await
    }

    /// Serves for ever, without an agent: `/healthz` and `/readyz` are well.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve_well(self) -> io::Error {
        let well = Router::new().route("/healthz", get(async || ok())).route("/readyz", get(async || ok()));
        self.answer(well, HTTP_CLIENTS).await
    }

    async fn answer(self, router: Router, room: usize) -> io::Error {
        let listener = match tokio::net::TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        let mut clients = Clients::new(room, STAY);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // The client has left, or this process lacks descriptors or memory for now.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            // Slower otherwise, and no worse.
            drop(stream.set_nodelay(true));
            clients.admit(connection(stream, router.clone())).await;
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    // One request a connection: none is there for nothing, and none asks faster than it reads.
    http.keep_alive(false);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that left, sent no HTTP or takes too long is no news.
    drop(tokio::time::timeout(LIFE, served).await);
}

fn router(known: Arc<Known>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/loop", get(loops))
        .with_state(known)
}

async fn healthz(State(known): State<Arc<Known>>) -> (StatusCode, String) {
    match known.published() {
        Some(_) => ok(),
        None => stuck(),
    }
}

async fn readyz(State(known): State<Arc<Known>>) -> (StatusCode, String) {
    let Some(published) = known.published() else { return stuck() };
    match published.state.waits_for() {
        [] => ok(),
        waits => {
            let whys: Vec<&str> = waits.iter().map(|what| what.describe()).collect();
            (StatusCode::SERVICE_UNAVAILABLE, whys.join("\n") + "\n")
        }
    }
}

async fn metrics(State(known): State<Arc<Known>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let form = Form::of(&accept.join(","));
    // Also of a writer that is stuck: what is counted goes on.
    let published = Arc::clone(&known.newest.borrow());
    let counted = known.counters.read_loop();
    let of_loop =
        counted.map(|(cells, counted)| loop_view(None, &Counts { cells, counted, ..Counts::default() }));
    let text = metrics::text(&published, known.counters.read().as_ref(), of_loop.as_ref(), Timestamp::now());
    ([(header::CONTENT_TYPE, form.content_type())], form.of_text(text)).into_response()
}

/// The loop as a page. A name in `Host` that is not this machine's is a name that somebody else made point here, to have a
/// browser read what is for this machine alone.
async fn loops(State(known): State<Arc<Known>>, headers: HeaderMap) -> Response {
    if !headers.get(header::HOST).is_some_and(|host| is_ours(host.as_bytes())) {
        let says = "ask by an address or by localhost, not by another name\n";
        return (StatusCode::MISDIRECTED_REQUEST, says).into_response();
    }
    // One at a time: each reads all that is counted and decided.
    let _turn = known.pages.lock().await;
    let of = Arc::clone(&known);
    let page = tokio::task::spawn_blocking(move || {
        let published = Arc::clone(&of.newest.borrow());
        Some(page(&loop_view(Some(&services(&published)), &count(of.counters.pin_root()).ok()?)))
    });
    match page.await {
        Ok(Some(page)) => {
            let head = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::X_FRAME_OPTIONS, "DENY"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (head, page).into_response()
        }
        Ok(None) | Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the maps cannot be read yet\n").into_response()
        }
    }
}

/// Whether `Host` names an address, or this machine by the name that each has.
fn is_ours(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok())
}

fn ok() -> (StatusCode, String) {
    (StatusCode::OK, "ok\n".to_owned())
}

fn stuck() -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, "the writer is stuck\n".to_owned())
}

impl Known {
    pub(super) fn new(newest: Newest, counters: CounterReader) -> Self {
        Self { newest, counters, pages: tokio::sync::Mutex::default() }
    }

    /// `None` when the writer is stuck.
    fn published(&self) -> Option<Arc<Published>> {
        let published = Arc::clone(&self.newest.borrow());
        (!published.is_stuck(Instant::now())).then_some(published)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    //! For `crate::fuzzing`.

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::{Arc, CounterReader, Known, Published, connection, router};

    /// What a client receives that sends these bytes and closes its end.
    pub(crate) fn responses(data: &[u8], published: Published) -> Vec<u8> {
        let (_writer, newest) = tokio::sync::watch::channel(Arc::new(published));
        let router = router(Arc::new(Known::new(newest, CounterReader::new("/nowhere".as_ref()))));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else { return Vec::new() };
        let mut received = Vec::new();
        runtime.block_on(async {
            let (client, server) = duplex(data.len().max(1));
            let (mut reads, mut writes) = tokio::io::split(client);
            let client = async {
                drop(writes.write_all(data).await);
                drop(writes.shutdown().await);
                drop(reads.read_to_end(&mut received).await);
            };
            tokio::join!(connection(server, router), client);
        });
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Rules, Store};
    use crate::view::published::{AgentState, STUCK_AFTER, WaitsFor};
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn readiness_is_source_kernel_and_node_together() {
        let all = vec![WaitsFor::Source, WaitsFor::Programs, WaitsFor::NodeLabels];
        for (shows, state, status, says) in [
            ("all is well", AgentState::Ready, 200, "ok"),
            ("no sync yet", AgentState::Starting, 503, "not in sync"),
            ("not attached", AgentState::NotReady(vec![WaitsFor::Programs]), 503, "not attached"),
            ("no labels", AgentState::NotReady(vec![WaitsFor::NodeLabels]), 503, "labels were never known"),
            ("everything is said", AgentState::NotReady(all), 503, "on\nthe programs are not attached\nthis"),
        ] {
            let (got, text) = response("/readyz", Published { state, ..published() }).await;
            assert_eq!(got.as_u16(), status, "{shows}");
            assert!(text.contains(says), "{shows}: {text}");
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_not_ready_is_healthy_and_a_stuck_one_is_not() {
        let long_ago = Instant::now() - STUCK_AFTER - Duration::from_secs(1);
        let stuck = || Published { at: long_ago, state: AgentState::Ready, ..published() };
        assert_eq!(response("/healthz", published()).await.0, StatusCode::OK);
        for path in ["/healthz", "/readyz"] {
            let (status, text) = response(path, stuck()).await;
            assert_eq!((status.as_u16(), &*text), (503, "the writer is stuck\n"), "{path}");
        }
        assert_eq!(response("/metrics", stuck()).await.0, StatusCode::OK);
    }

    #[test]
    fn only_addresses_and_localhost_are_ours() {
        for (host, ours) in [
            ("127.0.0.1:10270", true),
            ("127.0.0.1", true),
            ("[::1]:10270", true),
            ("[fd00::1]", true),
            ("LocalHost:80", true),
            ("localhost.evil.example:10270", false),
            ("evil.example", false),
            ("127.0.0.1.evil.example:80", false),
            ("::1", false),
            ("", false),
        ] {
            assert_eq!(is_ours(host.as_bytes()), ours, "{host}");
        }
        assert!(!is_ours(&[0xff]));
    }

    #[tokio::test]
    async fn there_are_metrics_also_while_nothing_is_pinned() {
        let (status, text) = response("/metrics", published()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("edgeloop_ready 0.0") && !text.contains("# EOF"), "{text}");
        let (status, text) = accepted("/metrics", "application/openmetrics-text", published()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("edgeloop_ready 0.0") && text.ends_with("# EOF\n"), "{text}");
    }

    /// What a client receives when the writer has published `published` last.
    async fn response(path: &str, published: Published) -> (StatusCode, String) {
        accepted(path, "*/*", published).await
    }

    /// The same for a client that accepts this alone.
    async fn accepted(path: &str, accept: &str, published: Published) -> (StatusCode, String) {
        let (_writer, newest) = tokio::sync::watch::channel(Arc::new(published));
        let router = router(Arc::new(Known::new(newest, CounterReader::new("/nowhere".as_ref()))));
        let response = router
            .oneshot(Request::get(path).header(header::ACCEPT, accept).body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn published() -> Published {
        Published::first(&Store::new("n1", Rules::default()), "file:/x", Instant::now())
    }
}
