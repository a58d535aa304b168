//! What one request is sent with.

use http::uri::InvalidUri;
use http::{HeaderName, HeaderValue, Request, Uri};
use kube::client::Body;

/// Connections, the server, and who asks.
pub(crate) struct Session {
    pub(crate) client: kube::Client,
    /// Stands in front of the path.
    pub(super) server: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Which credentials these are.
    pub(super) serial: u64,
}

impl Session {
    /// Completes a request whose URI is a path: with the server, and with what says who asks.
    pub(crate) fn prepare(&self, mut request: Request<Body>) -> Result<Request<Body>, String> {
        let uri = format!("{}{}", self.server.to_string().trim_end_matches('/'), request.uri());
        *request.uri_mut() = uri.parse().map_err(|error: InvalidUri| error.to_string())?;
        for (name, value) in &self.headers {
            // There is an end to how many a request can have.
            let added = request.headers_mut().try_append(name, value.clone());
            added.map_err(|_too_many| "there are too many headers for one request")?;
        }
        Ok(request)
    }

    /// A text of the server without the credentials, which it has seen.
    pub(crate) fn hide_secrets(&self, text: &str) -> String {
        let secret = self.headers.iter().filter(|(_, value)| value.is_sensitive());
        let words = secret.flat_map(|(_, value)| value.as_bytes().split(|byte| *byte == b' ').skip(1));
        words
            .filter_map(|word| std::str::from_utf8(word).ok())
            .filter(|word| !word.is_empty())
            .fold(text.to_owned(), |text, word| text.replace(word, "(hidden)"))
    }
}
