//! A source that follows the small API server, and what it sent.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::api::testing::server::{PATIENCE, Server, config};
use crate::api::{ApiClient, KubeConfig};
use crate::model::{
    ApiReport, Change, Kind, KindState, NamespaceTopology, Object, SourceReport, SourceState,
};
use crate::source::kube::{Follower, Timing, follow};
use crate::source::{Batch, Besides};

/// Longer than any test waits, so that nothing ends by itself.
const PATIENT: Timing = Timing {
    watch: Duration::from_secs(40),
    silence: Duration::from_secs(40),
    uncertain: Duration::from_secs(60),
    doubt: Duration::from_secs(300),
    sound: Duration::from_secs(10),
};

/// A source that follows the server.
pub(super) struct Client {
    batches: UnboundedReceiver<Batch>,
    _follower: Follower,
    pub(super) report: ApiReport,
    /// Received and not yet asked for.
    waiting: VecDeque<String>,
}

impl Client {
    pub(super) async fn new(server: &Server) -> Self {
        Self::at(server.address()).await
    }

    pub(super) async fn at(address: &str) -> Self {
        Self::of(config(address)).await
    }

    pub(super) async fn with(address: &str, timing: Timing) -> Self {
        Self::start(config(address), timing, Besides::default()).await
    }

    pub(super) async fn of(config: KubeConfig) -> Self {
        Self::start(config, PATIENT, Besides::default()).await
    }

    /// The same, with the pods of this Node.
    pub(super) async fn with_pods_of(node: &str, server: &Server) -> Self {
        Self::start(server.config(), PATIENT, Besides { pods_of: Some(node.into()), ..Besides::default() })
            .await
    }

    /// The same, with Namespaces since they decide.
    pub(super) async fn with_namespaces(server: &Server) -> Self {
        let besides = Besides { pods_of: None, namespaces: NamespaceTopology::On };
        Self::start(server.config(), PATIENT, besides).await
    }

    async fn start(config: KubeConfig, timing: Timing, besides: Besides) -> Self {
        let (send, batches) = unbounded_channel();
        let api = ApiClient::new(config, None).await.unwrap();
        let follower = follow(&api, timing, besides, move |batch| send.send(batch).is_ok());
        Self { batches, _follower: follower, report: ApiReport::default(), waiting: VecDeque::new() }
    }

    /// Waits for the next change of `kind`: `+name`, `-name`, or `synced`.
    pub(super) async fn next(&mut self, kind: Kind) -> String {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return change;
            }
            let batch = self.batch().await;
            let of_kind = batch.changes.iter().filter_map(|change| words(change, kind));
            self.waiting.extend(of_kind);
        }
    }

    /// The next `count` changes of `kind`, as one text.
    pub(super) async fn changes(&mut self, kind: Kind, count: usize) -> String {
        let mut changes = Vec::new();
        for _ in 0..count {
            changes.push(self.next(kind).await);
        }
        changes.join(" ")
    }

    /// Waits until the report says so.
    pub(super) async fn until(&mut self, mut holds: impl FnMut(&ApiReport) -> bool) {
        while !holds(&self.report) {
            let batch = self.batch().await;
            self.waiting.extend(batch.changes.iter().filter_map(|change| words(change, Kind::Service)));
        }
    }

    /// How many changes wait to be taken.
    pub(super) fn backlog(&self) -> usize {
        self.batches.len()
    }

    async fn batch(&mut self) -> Batch {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await.unwrap().unwrap();
        match &batch.report {
            SourceReport::Api(report) => self.report = report.clone(),
            SourceReport::Files(_) => panic!("not of a folder"),
        }
        batch
    }
}

pub(super) fn of(report: &ApiReport, kind: Kind) -> Option<&KindState> {
    report.kinds.iter().find(|known| known.kind == kind)
}

pub(super) fn state(report: &ApiReport, kind: Kind) -> Option<SourceState> {
    of(report, kind).map(|known| known.state)
}

fn words(change: &Change, wanted: Kind) -> Option<String> {
    let (kind, text) = match change {
        Change::Apply(object) => (object.key().kind, format!("+{}", name(object))),
        Change::Delete(key) => (key.kind, format!("-{}", key.name.name)),
        Change::Unread(unread) => (unread.key().kind, format!("?{}", unread.key().name.name)),
        Change::Endpoints(_) | Change::NoEndpoints(_) | Change::Incomplete => return None,
        // Of deciding kinds alone, and of one in these tests.
        Change::Unlisted => (Kind::Service, "unlisted".to_owned()),
        Change::Complete => (Kind::Service, "complete".to_owned()),
        Change::Synced(kind) => (*kind, "synced".to_owned()),
    };
    (kind == wanted).then_some(text)
}

fn name(object: &Object) -> String {
    object.key().name.name.to_string()
}
