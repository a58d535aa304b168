//! An API server asked once.

use std::time::{Duration, Instant};

use crate::model::{Change, Kind, Object, ObjectKey};

use super::list::Page;
use super::tracker::Tracker;
use crate::api::Backoff;
use crate::api::query::VersionMatch;
use crate::api::{ApiClient, RequestError};
use crate::api::{ConnectError, KubeConfig};

/// For how long a server that is busy, or cannot be reached, is asked again.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long it may say nothing.
const SILENCE: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
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
    pub objects: Vec<Object>,
    /// Objects that cannot be used, or not as a whole, and why.
    pub problems: Vec<(ObjectKey, String)>,
    /// None of them is left out altogether.
    pub is_complete: bool,
}

/// Lists Services, slices and Nodes once. It takes the right to list them, and no other.
///
/// # Errors
/// There is nothing to connect to, or one of the lists cannot be had.
pub fn load(config: KubeConfig) -> Result<Loaded, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(LoadError::Runtime)?.block_on(load_all(config))
}

async fn load_all(config: KubeConfig) -> Result<Loaded, LoadError> {
    let link = ApiClient::new(config, None).await?;
    let server = link.server();
    let mut loaded = Loaded { server, objects: Vec::new(), problems: Vec::new(), is_complete: true };
    for kind in Kind::ALL {
        let failed = |source| LoadError::List { kind, server: link.server(), source };
        let mut track = load_kind(&link, kind).await.map_err(failed)?;
        loaded.is_complete &= track.unread() == 0;
        loaded.problems.extend(track.take_news().unwrap_or_default());
        let objects = track.take_changes().into_iter().filter_map(|change| match change {
            Change::Apply(object) => Some(object),
            Change::Delete(_)
            | Change::Unread(_)
            | Change::Synced(_)
            | Change::Incomplete
            | Change::Complete => None,
        });
        loaded.objects.extend(objects);
    }
    Ok(loaded)
}

/// A list that broke off is begun anew.
async fn load_kind(link: &ApiClient, kind: Kind) -> Result<Tracker, RequestError> {
    let until = Instant::now() + PATIENCE;
    let mut backoff = Backoff::default();
    loop {
        let trouble = match list(link, kind).await {
            Ok(track) => return Ok(track),
            Err(trouble) => trouble,
        };
        let wait = backoff.after(&trouble);
        let may_pass = trouble.is_of_the_link() || matches!(trouble.code(), Some(429 | 500 | 502..=504));
        if !may_pass || Instant::now() + wait > until {
            return Err(trouble);
        }
        tokio::time::sleep(wait).await;
    }
}

async fn list(link: &ApiClient, kind: Kind) -> Result<Tracker, RequestError> {
    let mut track = Tracker::new(kind);
    track.begin();
    let mut continued: Option<String> = None;
    loop {
        let mut page = Page::ask(link, kind, &VersionMatch::Any, continued.as_deref(), SILENCE).await?;
        while page.more(&mut track).await? {}
        continued = page.end()?.continued;
        if continued.is_none() {
            track.end();
            return Ok(track);
        }
    }
}
