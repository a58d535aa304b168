//! What an API server has at the moment, read once.

use std::time::{Duration, Instant};

use crate::model::{Change, Kind, NamespaceTopology, ObjectKey};
use crate::source::Besides;

use super::list::{Next, Page, Parts, Whole};
use super::tracker::{Extent, Tracker};
use crate::api::Backoff;
use crate::api::query::{Resource, VersionMatch};
use crate::api::{ApiClient, RequestError};
use crate::api::{ConnectError, KubeConfig};

/// A server that is busy, or cannot be reached, is asked again for this long.
const PATIENCE: Duration = Duration::from_secs(6);
/// It may send nothing for this long.
const SILENCE: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum ApiLoadError {
    #[error(transparent)]
    Connect(#[from] ConnectError),

    #[error("could not list {}s at {server}", kind.label())]
    List {
        kind: Kind,
        server: String,
        #[source]
        source: RequestError,
    },

    #[error("could not start")]
    Runtime(#[source] std::io::Error),
}

/// What an API server has at the moment.
#[derive(Debug)]
pub struct Loaded {
    pub server: String,
    /// Every object, read or not.
    pub changes: Vec<Change>,
    /// Objects that cannot be used, or not as a whole, and why.
    pub problems: Vec<(ObjectKey, String)>,
    /// Every object is among them, at least in part.
    pub is_complete: bool,
}

/// Lists Services, slices and Nodes once, and Namespaces where they decide. It takes the right to list them, and no other.
///
/// # Errors
/// There is nothing to connect to, or a list does not come.
pub fn load(config: KubeConfig, namespaces: NamespaceTopology) -> Result<Loaded, ApiLoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ApiLoadError::Runtime)?.block_on(load_all(config, namespaces))
}

async fn load_all(config: KubeConfig, namespaces: NamespaceTopology) -> Result<Loaded, ApiLoadError> {
    let client = ApiClient::new(config, None).await?;
    let server = client.server();
    let mut loaded = Loaded { server, changes: Vec::new(), problems: Vec::new(), is_complete: true };
    for kind in (Besides { pods_of: None, namespaces }).kinds() {
        let failed = |source| ApiLoadError::List { kind, server: client.server(), source };
        let mut tracker = load_kind(&client, kind).await.map_err(failed)?;
        loaded.is_complete &= tracker.unread() == 0 && tracker.extent() == Extent::Complete;
        loaded.problems.extend(tracker.take_problems().unwrap_or_default());
        let changes = tracker.take_changes().into_iter();
        loaded.changes.extend(changes.filter(|change| !matches!(change, Change::Synced(_))));
    }
    Ok(loaded)
}

/// A list that breaks off is begun again.
async fn load_kind(client: &ApiClient, kind: Kind) -> Result<Tracker, RequestError> {
    let until = Instant::now() + PATIENCE;
    let mut backoff = Backoff::default();
    let mut resource = Resource::of(kind);
    loop {
        let error = match list(client, resource).await {
            Ok(tracker) => return Ok(tracker),
            Err(error) => error,
        };
        if let (Some(404), Some(before)) = (error.code(), resource.before()) {
            resource = before;
            continue;
        }
        let wait = backoff.after(&error);
        let may_pass = error.is_of_the_link() || matches!(error.code(), Some(429 | 500 | 502..=504));
        if !may_pass || Instant::now() + wait > until {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
    }
}

async fn list(client: &ApiClient, resource: Resource) -> Result<Tracker, RequestError> {
    let mut tracker = Tracker::new(resource.kind());
    tracker.begin(resource);
    let mut parts = Parts::default();
    let mut continued: Option<String> = None;
    loop {
        let mut page =
            Page::ask(client, resource, "", &VersionMatch::Any, continued.as_deref(), SILENCE).await?;
        while page.more(&mut tracker).await? {}
        match parts.add(page.end(&mut tracker)?)? {
            Next::Part(token) => continued = Some(token),
            Next::End(Whole { version, is_named }) => {
                let is_certain = version.is_some() && is_named;
                let extent = if is_certain { Extent::Complete } else { Extent::Uncertain };
                tracker.end(extent, version.as_deref());
                return Ok(tracker);
            }
        }
    }
}
