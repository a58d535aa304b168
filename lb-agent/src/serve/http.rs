//! Health and metrics over HTTP, for probes and for Prometheus.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics;
use crate::writer::Wake;

use super::observe::observe;
use crate::view::status::AgentView;

/// A writer that does not answer within this time is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("could not listen at {address}; name another address with --http")]
pub struct HttpError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

#[derive(Clone)]
struct Asked {
    writer: Sender<Wake>,
    pin_root: PathBuf,
}

/// Takes the address.
///
/// # Errors
/// When it is taken, or is none of this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|source| HttpError { address, source })
}

/// Answers for ever: `/healthz` the writer is alive, `/readyz` source and kernel are in sync,
/// `/metrics`.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, writer: Sender<Wake>, pin_root: PathBuf) -> io::Result<()> {
    axum::serve(listener, router(Asked { writer, pin_root })).await
}

fn router(asked: Asked) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(asked)
}

async fn healthz(State(asked): State<Asked>) -> (StatusCode, &'static str) {
    match asked.view().await {
        Some(_) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the writer does not answer\n"),
    }
}

async fn readyz(State(asked): State<Asked>) -> (StatusCode, &'static str) {
    let Some(view) = asked.view().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the writer does not answer\n");
    };
    match view.why_not_ready() {
        None => (StatusCode::OK, "ok\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(asked): State<Asked>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let Some(view) = asked.view().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let pin_root = asked.pin_root.clone();
    // Reading maps is a row of system calls.
    let kernel = tokio::task::spawn_blocking(move || observe(&pin_root, None).ok()).await.ok().flatten();
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics::text(&view, kernel.as_ref())).into_response()
}

impl Asked {
    async fn view(&self) -> Option<AgentView> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.writer.send(Wake::Query(answer)).ok()?;
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    /// What is answered while the writer's view is `view`; a writer that is gone has none.
    async fn answer(path: &str, view: Option<AgentView>) -> (StatusCode, String) {
        let (writer, inbox) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            for wake in inbox.iter().take(usize::from(view.is_some())) {
                let Wake::Query(answer) = wake else { panic!("{wake:?}") };
                answer.send(view.clone().unwrap()).unwrap();
            }
        });
        let router = router(Asked { writer, pin_root: "/nowhere".into() });
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        thread.join().unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_is_source_kernel_and_node_together() {
        let ready = AgentView { in_sync: true, attached: true, ready: true, ..AgentView::default() };
        for (shows, view, status, says) in [
            ("all is well", Some(ready.clone()), 200, "ok"),
            ("no sync", Some(AgentView { in_sync: false, ..ready.clone() }), 503, "not in sync"),
            ("not attached", Some(AgentView { attached: false, ..ready.clone() }), 503, "not attached"),
            ("no node", Some(AgentView { ready: false, ..ready.clone() }), 503, "labels were never known"),
            ("no writer", None, 503, "does not answer"),
        ] {
            let (got, text) = answer("/readyz", view).await;
            assert_eq!(got.as_u16(), status, "{shows}");
            assert!(text.contains(says), "{shows}: {text}");
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_not_ready_is_healthy_and_a_stuck_one_is_not() {
        assert_eq!(answer("/healthz", Some(AgentView::default())).await.0, StatusCode::OK);
        assert_eq!(answer("/healthz", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_told_also_while_nothing_is_pinned() {
        let (status, text) = answer("/metrics", Some(AgentView::default())).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("edgeloop_ready 0.0") && text.ends_with("# EOF\n"), "{text}");
    }
}
