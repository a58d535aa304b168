//! Where objects come from: each source hands in what it sees as [`Change`]s.

pub mod file;
pub mod kube;
pub mod saved;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use crate::api::{ApiClient, Claim, ConnectError, KubeConfig};
use crate::model::{Change, Kind, NamespaceTopology, SourceReport};

/// Where objects are to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// A folder of manifests.
    File(PathBuf),
    /// An API server.
    Kube(KubeConfig),
}

/// A source that can be followed.
#[derive(Debug)]
pub enum Source {
    Files(PathBuf),
    Api(Box<ApiClient>),
}

/// What is asked of an API server besides what decides for everyone. Files say it all.
#[derive(Clone, Debug, Default)]
pub struct Besides {
    /// The Node whose pods are followed, and Namespaces, to know who is skipped; no one without one.
    pub pods_of: Option<Arc<str>>,
    /// Whether Namespaces are followed since they decide.
    pub namespaces: NamespaceTopology,
}

impl Besides {
    fn kinds(&self) -> Vec<Kind> {
        let (pods, decide) = (self.pods_of.is_some(), self.namespaces == NamespaceTopology::On);
        let is_followed = |kind: &Kind| match kind {
            Kind::Service | Kind::EndpointSlice | Kind::Node => true,
            Kind::Pod => pods,
            Kind::Namespace => pods || decide,
        };
        Kind::ALL.into_iter().filter(is_followed).collect()
    }
}

/// Ends the source when dropped.
#[derive(Debug)]
pub enum Follower {
    Files(file::Follower),
    Api(kube::Follower),
}

impl Follower {
    /// Waits until it ends by itself, which it has no reason to while `send` returns true; gives how.
    pub async fn ended(&mut self) -> String {
        match self {
            Self::Files(follower) => follower.ended().await,
            Self::Api(follower) => {
                if let Err(error) = follower.ended().await {
                    return error.to_string();
                }
            }
        }
        "without an error".to_owned()
    }
}

impl Source {
    /// Reads what it takes to connect; nothing is dialled yet. `claim` is called with every socket before
    /// it dials an API server.
    ///
    /// # Errors
    /// There is nothing to connect to, or the credentials cannot be used.
    pub async fn open(config: SourceConfig, claim: Claim) -> Result<Self, ConnectError> {
        Ok(match config {
            SourceConfig::File(folder) => Self::Files(folder),
            SourceConfig::Kube(config) => Self::Api(Box::new(ApiClient::new(config, Some(claim)).await?)),
        })
    }

    /// The API server, if that is the source.
    #[must_use]
    pub fn api(&self) -> Option<&ApiClient> {
        match self {
            Self::Files(_) => None,
            Self::Api(client) => Some(client),
        }
    }

    /// Calls `send` first with everything, then with each change, until it returns false. What goes
    /// wrong later is in the batches' reports. An API server is followed on the runtime of the caller.
    ///
    /// # Errors
    /// When a folder cannot be listed or watched.
    pub fn follow(
        &self,
        besides: Besides,
        mut send: impl FnMut(Batch) -> bool + Send + 'static,
    ) -> Result<Follower, file::FollowError> {
        Ok(match self {
            Self::Files(folder) => {
                let folder = folder.clone();
                Follower::Files(file::follow(folder, move |batch| send(batch.into()))?)
            }
            Self::Api(client) => Follower::Api(kube::follow(client, kube::Timing::default(), besides, send)),
        })
    }
}

/// What it is called in status.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(folder) => write!(f, "file:{}", folder.display()),
            Self::Api(client) => write!(f, "API server {}", client.server()),
        }
    }
}

/// What a source saw in one go.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Every object comes once, and after all of a kind [`Change::Synced`].
    pub changes: Vec<Change>,
    pub report: SourceReport,
    /// When the first of it was seen.
    pub at: Instant,
    /// Given back when the batch is dropped.
    pub backlog: Backlog,
}

/// Room that a batch takes up while it waits: when too much of it waits, its source does.
#[derive(Clone, Debug, Default)]
pub struct Backlog(
    #[expect(dead_code, reason = "held, and given back on drop")] Option<Arc<OwnedSemaphorePermit>>,
);

impl Backlog {
    pub(crate) fn of(room: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(room)))
    }
}

impl From<file::Batch> for Batch {
    fn from(batch: file::Batch) -> Self {
        let file::Batch { changes, report, at } = batch;
        Self { changes, report: SourceReport::Files(report), at, backlog: Backlog::default() }
    }
}
