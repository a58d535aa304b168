//! One request at a time to the API server, each with an end.

use std::io;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{Request, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ConfigExt as _};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

use super::config::{ConnectError, KubeConfig, hold_secrets_back};
use super::dial::{Claim, OwnSockets, dial};

/// Why a request gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("cannot be reached: {0}")]
    Unreachable(String),

    #[error("is not trusted: {0}")]
    Untrusted(String),

    /// The link may be dead, or the other end of it.
    #[error("no data for {} s", after.as_secs())]
    Silent { after: Duration },

    #[error("answered {code}: {message}")]
    Response { code: u16, message: String, retry_after: Option<Duration> },

    #[error("broke off in the middle of a response")]
    Ended,

    #[error("sent something that is not understood: {0}")]
    Garbage(String),
}

impl RequestError {
    /// The API server itself said nothing of this.
    pub(crate) const fn is_of_the_link(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent { .. } | Self::Ended => true,
            Self::Untrusted(_) | Self::Response { .. } | Self::Garbage(_) => false,
        }
    }

    /// Credentials and connections that were good may have become bad.
    pub(crate) const fn asks_for_new_credentials(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Untrusted(_) | Self::Silent { .. } | Self::Ended => true,
            Self::Response { code, .. } => *code == 401,
            Self::Garbage(_) => false,
        }
    }

    pub(crate) const fn code(&self) -> Option<u16> {
        match self {
            Self::Response { code, .. } => Some(*code),
            Self::Unreachable(_)
            | Self::Untrusted(_)
            | Self::Silent { .. }
            | Self::Ended
            | Self::Garbage(_) => None,
        }
    }
}

/// What an API server says when it does not give what was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    code: u16,
    message: String,
    reason: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u64>,
}

impl Status {
    /// Disposition by a server that was asked for what it does not do, unless it is only busy or the
    /// version is unknown to it (by now, or still).
    pub(crate) fn refusal(mut self) -> RequestError {
        if !matches!(self.code, 401 | 410 | 429 | 504) {
            self.code = 422;
        }
        self.into()
    }
}

impl From<Status> for RequestError {
    fn from(status: Status) -> Self {
        let Status { code, message, reason, details } = status;
        let message = if message.is_empty() { reason } else { message };
        let retry_after = details.and_then(|details| details.retry_after_seconds).map(Duration::from_secs);
        Self::Response { code, message, retry_after }
    }
}

/// The way to one API server.
#[derive(Clone)]
pub struct ApiClient {
    config: KubeConfig,
    client: kube::Client,
    server: Uri,
    own: OwnSockets,
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("config", &self.config).field("server", &self.server).finish()
    }
}

impl ApiClient {
    /// Reads the credentials; nothing is dialled yet. Each socket is claimed before it connects.
    ///
    /// # Errors
    /// There is nothing to connect to, or the credentials cannot be used.
    pub async fn new(config: KubeConfig, claim: Option<Claim>) -> Result<Self, ConnectError> {
        let own = OwnSockets::new(claim);
        let Connection { client, server, held_back } = client(&config, &own).await?;
        let link = Self { config, client, server, own };
        if held_back {
            tracing::warn!(
                server = link.server(),
                "the credentials are kept back: this is plain http to another machine; name an https address"
            );
        }
        Ok(link)
    }

    /// The address that is dialled.
    #[must_use]
    pub fn server(&self) -> String {
        let host = self.server.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        // A user and password may stand in front.
        let host = host.rsplit('@').next().unwrap_or_default();
        format!("{}://{host}", self.server.scheme_str().unwrap_or("https"))
    }

    /// Whether the kernel programs treat this client's connections like those of any process.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.own.failed()
    }

    /// Forgets all connections, and reads the credentials again: a connection that waits for its
    /// next use may be dead.
    pub(crate) async fn renew(&mut self) -> Result<(), ConnectError> {
        let Connection { client, server, held_back: _ } = client(&self.config, &self.own).await?;
        (self.client, self.server) = (client, server);
        Ok(())
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

    /// Makes an object from this text, at `path`.
    pub(crate) async fn post(
        &self,
        path: &str,
        json: Vec<u8>,
        patience: Duration,
    ) -> Result<(), RequestError> {
        let request = Request::post(path).header(ACCEPT, JSON).header(CONTENT_TYPE, JSON);
        // Read to its end, the connection can be used again.
        let mut answer = self.send(request, Body::from(json), patience).await?;
        while answer.next().await?.is_some() {}
        Ok(())
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Response, RequestError> {
        let request = request
            .header(USER_AGENT, concat!("edgeloop/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|error| RequestError::Unreachable(error.to_string()))?;
        let silent = |_elapsed| RequestError::Silent { after: patience };
        let response = timeout(patience, self.client.send(request)).await.map_err(silent)?;
        let response = response.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let mut answer = Response { body, patience };
        if head.status.is_success() {
            return Ok(answer);
        }
        let header = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut status = answer.status().await;
        status.code = head.status.as_u16();
        if status.message.is_empty() && status.reason.is_empty() {
            head.status.canonical_reason().unwrap_or("no reason given").clone_into(&mut status.message);
        }
        let details = status.details.get_or_insert_default();
        details.retry_after_seconds = header.or(details.retry_after_seconds);
        Err(status.into())
    }
}

const JSON: &str = "application/json";

/// A body while it arrives.
pub(crate) struct Response {
    body: Body,
    patience: Duration,
}

impl Response {
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

struct Connection {
    client: kube::Client,
    server: Uri,
    /// There are credentials, and they must not be sent there.
    held_back: bool,
}

/// `kube`'s own stack but for the connections, which are ours, and for repeating requests,
/// which the caller does.
async fn client(config: &KubeConfig, own: &OwnSockets) -> Result<Connection, ConnectError> {
    let mut config = config.read().await?;
    let held_back = hold_secrets_back(&mut config);
    let own = own.clone();
    let connect = tower::service_fn(move |uri: Uri| dial_boxed(uri, own.clone()));
    let secure = config.rustls_https_connector_with_connector(connect).map_err(ConnectError::Client)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(ConnectError::Client)?)
        .layer(config.extra_headers_layer().map_err(ConnectError::Client)?)
        .map_err(BoxError::from)
        .service(HttpClient::builder(TokioExecutor::new()).build::<_, Body>(secure));
    let server = config.cluster_url.clone();
    Ok(Connection { client: kube::Client::new(service, config.default_namespace), server, held_back })
}

type Dialling = std::pin::Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

fn dial_boxed(uri: Uri, own: OwnSockets) -> Dialling {
    Box::pin(dial(uri, own))
}

/// What is at the bottom of an error: above it everyone says only that it failed.
fn unreachable(error: &kube::Error) -> RequestError {
    let mut cause: &dyn std::error::Error = error;
    let mut untrusted = false;
    loop {
        untrusted |= cause.downcast_ref().is_some_and(is_of_trust);
        match cause.source() {
            Some(next) => cause = next,
            None if untrusted => return RequestError::Untrusted(cause.to_string()),
            None => return RequestError::Unreachable(cause.to_string()),
        }
    }
}

/// So TLS calls a certificate that it does not take, perhaps in an error of another kind.
fn is_of_trust(error: &io::Error) -> bool {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
    error.kind() == io::ErrorKind::InvalidData || inside.is_some_and(is_of_trust)
}
