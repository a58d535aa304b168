//! One request at a time to the API server, each with an end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use kube::client::Body;
use tokio::time::timeout;

use super::config::{ConnectError, KubeConfig};
use super::connection::Connection;
use super::dial::{Claim, OwnSockets};
use super::refusal::{RequestError, Status};
use super::session::Session;
use super::trust::advice;
use crate::shown::shown;

/// Bytes of an answer that is read as a whole.
const MOST_OF_A_TEXT: usize = 4 << 20;

/// The way to one API server. Its clones share connections and credentials.
#[derive(Clone)]
pub struct ApiClient {
    connection: Arc<Connection>,
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("server", &self.server()).finish_non_exhaustive()
    }
}

impl ApiClient {
    /// Reads kubeconfig, certificates and token; nothing is dialled yet, and no plugin is run. Each socket is
    /// claimed before it connects. To be called on a runtime.
    ///
    /// # Errors
    /// There is nothing to connect to, or the credentials cannot be used.
    pub async fn new(config: KubeConfig, claim: Option<Claim>) -> Result<Self, ConnectError> {
        let client = Self { connection: Connection::new(config, OwnSockets::new(claim))? };
        if client.connection.are_secrets_held_back() {
            tracing::warn!(
                server = client.server(),
                "the credentials are kept back: this is plain http to another machine; name an https address"
            );
        }
        Ok(client)
    }

    /// The address that is dialled.
    #[must_use]
    pub fn server(&self) -> String {
        let server = self.connection.server();
        let host = server.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        format!("{}://{host}", server.scheme_str().unwrap_or("https"))
    }

    /// Whether the kernel programs treat this client's connections like those of any process.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.connection.is_unclaimed()
    }

    /// Leaves behind what may have led to this error: connections after a dead one, certificates that were not
    /// trusted. Nothing is read or run here, but before the next request where it is due.
    pub(crate) fn recover(&self, error: &RequestError) {
        match error {
            RequestError::Unreachable(_) | RequestError::Silent { .. } | RequestError::Ended => {
                self.connection.forget_connections();
            }
            RequestError::Untrusted(_) => self.connection.doubt_certificates(),
            RequestError::Response { .. } | RequestError::NoCredentials(_) | RequestError::Garbage(_) => {}
        }
    }

    /// Asks for `path`. Returns the body as it arrives.
    pub(crate) async fn get(
        &self,
        path: &str,
        accept: &str,
        patience: Duration,
    ) -> Result<Response, RequestError> {
        self.send(Request::get(path).header(ACCEPT, accept), Body::empty(), patience).await
    }

    /// A short answer as a whole: what goes on for longer is cut off.
    pub(crate) async fn text(&self, path: &str, patience: Duration) -> Result<String, RequestError> {
        let mut answer = self.get(path, JSON, patience).await?;
        let mut text = Vec::new();
        while text.len() < MOST_OF_A_TEXT
            && let Some(part) = answer.next().await?
        {
            text.extend_from_slice(&part);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Makes an object from this text, at `path`.
    pub(crate) async fn post(
        &self,
        path: &str,
        json: Vec<u8>,
        patience: Duration,
    ) -> Result<(), RequestError> {
        self.write(Request::post(path).header(CONTENT_TYPE, JSON), json, patience).await
    }

    /// Changes the object at `path`: a strategic merge patch.
    pub(crate) async fn patch(
        &self,
        path: &str,
        patch: Vec<u8>,
        patience: Duration,
    ) -> Result<(), RequestError> {
        self.write(Request::patch(path).header(CONTENT_TYPE, STRATEGIC_MERGE), patch, patience).await
    }

    /// Changes the object at `path` step by step: a JSON patch, which is refused as a whole where a test in it fails.
    pub(crate) async fn json_patch(
        &self,
        path: &str,
        patch: Vec<u8>,
        patience: Duration,
    ) -> Result<(), RequestError> {
        self.write(Request::patch(path).header(CONTENT_TYPE, JSON_PATCH), patch, patience).await
    }

    /// Removes the object at `path`.
    pub(crate) async fn delete(&self, path: &str, patience: Duration) -> Result<(), RequestError> {
        self.write(Request::delete(path), Vec::new(), patience).await
    }

    async fn write(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<(), RequestError> {
        // Read to its end, the connection can be used again.
        let mut answer = self.send(request.header(ACCEPT, JSON), Body::from(body), patience).await?;
        while answer.next().await?.is_some() {}
        Ok(())
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Response, RequestError> {
        let Exchange { session, head, body } = self.exchange(request, body, patience).await?;
        let answer = Response { body, patience };
        if head.status.is_success() {
            return match other_than_json(head.headers.get(CONTENT_TYPE)) {
                None => Ok(answer),
                Some(other) => Err(RequestError::Garbage(format!("{other} instead of JSON"))),
            };
        }
        Err(refusal(&session, &head, answer).await)
    }

    /// Asks for another protocol at `path`. Returns the connection once it is spoken, and the head that says so.
    pub(super) async fn upgrade(
        &self,
        request: http::request::Builder,
        patience: Duration,
    ) -> Result<(http::response::Parts, Upgraded), RequestError> {
        let Exchange { session, mut head, body } = self.exchange(request, Body::empty(), patience).await?;
        let upgraded = head.extensions.remove::<OnUpgrade>();
        let (StatusCode::SWITCHING_PROTOCOLS, Some(upgraded)) = (head.status, upgraded) else {
            return Err(refusal(&session, &head, Response { body, patience }).await);
        };
        let silent = |_elapsed| RequestError::Silent { after: patience };
        let upgraded = timeout(patience, upgraded).await.map_err(silent)?;
        Ok((head, upgraded.map_err(|_broken| RequestError::Ended)?))
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Exchange, RequestError> {
        let session = self.connection.session().await.map_err(RequestError::NoCredentials)?;
        let request = request
            .header(USER_AGENT, concat!("edgeloop/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|error| RequestError::Unreachable(error.to_string()))?;
        let request = session.prepare(request).map_err(RequestError::Unreachable)?;
        let silent = |_elapsed| RequestError::Silent { after: patience };
        let response = timeout(patience, session.client.send(request)).await.map_err(silent)?;
        let response = response.map_err(|error| failure(&error))?;
        let (head, body) = response.into_parts();
        self.connection.judge(&session, head.status == StatusCode::UNAUTHORIZED);
        Ok(Exchange { session, head, body })
    }
}

/// A response whose body is still to come, and what was asked with.
struct Exchange {
    session: Session,
    head: http::response::Parts,
    body: Body,
}

/// What a response says that gives nothing.
async fn refusal(session: &Session, head: &http::response::Parts, mut answer: Response) -> RequestError {
    let header = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut status = answer.status().await;
    status.code = head.status.as_u16();
    status.message = session.hide_secrets(&status.message);
    status.reason = session.hide_secrets(&status.reason);
    if status.message.is_empty() && status.reason.is_empty() {
        head.status.canonical_reason().unwrap_or("no reason given").clone_into(&mut status.message);
    }
    let details = status.details.get_or_insert_default();
    details.retry_after_seconds = header.or(details.retry_after_seconds);
    status.into()
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";

/// What a body is that is not JSON. One without a type may be.
fn other_than_json(content_type: Option<&HeaderValue>) -> Option<String> {
    let content_type = String::from_utf8_lossy(content_type?.as_bytes());
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    (!essence.is_empty() && !essence.eq_ignore_ascii_case(JSON)).then(|| essence.to_owned())
}

/// A body while it arrives.
pub(crate) struct Response {
    body: Body,
    patience: Duration,
}

impl Response {
    /// From now on it may send nothing for so long.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The next bytes; `None` is the end.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>, RequestError> {
        loop {
            let frame = timeout(self.patience, self.body.frame()).await;
            match frame.map_err(|_elapsed| RequestError::Silent { after: self.patience })? {
                None => return Ok(None),
                Some(Err(_broken)) => return Err(RequestError::Ended),
                Some(Ok(frame)) => {
                    // Trailers are no data.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// As far as it can be understood.
    async fn status(&mut self) -> Status {
        const LONGEST: usize = 64 << 10;
        let mut text = Vec::new();
        while let Ok(Some(data)) = self.next().await {
            text.extend_from_slice(&data);
            if text.len() > LONGEST {
                break;
            }
        }
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// What is at the bottom of an error: those above it say only that there is one.
fn failure(error: &kube::Error) -> RequestError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(refused) = of_tls(cause) {
            return RequestError::Untrusted(refused);
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return RequestError::Unreachable(shown(&cause.to_string())),
        }
    }
}

/// What TLS found wrong, perhaps within an error of another kind.
fn of_tls(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(inside) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return of_tls(inside);
    }
    let refused = error.downcast_ref::<rustls::Error>()?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls has words for the others")]
    let text = match refused {
        rustls::Error::InvalidCertificate(why) => advice(why),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS: should the address begin with http://?".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("it refused TLS with {alert:?}: does it take this client's certificate?")
        }
        other => other.to_string(),
    };
    Some(shown(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_and_nothing_else() {
        for (content_type, other) in [
            (None, None),
            (Some(""), None),
            (Some("application/json"), None),
            (Some("Application/JSON; charset=utf-8"), None),
            (Some("application/json;stream=watch"), None),
            (Some("application/json;as=Table;g=meta.k8s.io;v=v1"), None),
            (Some("text/html; charset=utf-8"), Some("text/html")),
            (Some("text/plain"), Some("text/plain")),
            (Some("application/vnd.kubernetes.protobuf"), Some("application/vnd.kubernetes.protobuf")),
            (Some("application/jsonp"), Some("application/jsonp")),
        ] {
            let header = content_type.map(HeaderValue::from_static);
            assert_eq!(other_than_json(header.as_ref()).as_deref(), other, "{content_type:?}");
        }
    }
}
