//! What the agent knows, as one value: sent over the socket, shown by `lb-agent status`.

use serde::{Deserialize, Serialize};

use crate::model::{ApiReport, FileReport, SourceReport};
use crate::plan::Mirror;
use crate::store::Store;

use super::diagnostics::{Mark, marks};

/// What a running agent knows beyond what the maps show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    pub pid: u32,
    pub version: String,
    pub node: String,
    pub pool: Option<String>,
    /// This node's object exists now; while it does not, its last known labels hold.
    pub node_known: bool,
    /// Its labels were known at least once.
    #[serde(default)]
    pub labels_known: bool,
    pub source: String,
    pub in_sync: bool,
    /// In sync, attached, and waiting for nothing.
    pub ready: bool,
    pub attached: bool,
    /// How a refused connection fails: ECONNREFUSED from `connect`, or by way of loopback port 0.
    pub refuses_by: Option<String>,
    pub passes: u64,
    /// Services that could not be written, and why.
    pub failed: Vec<Failed>,
    pub marks: Vec<Mark>,
    pub files: Files,
    /// Present where an API server is the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub service: String,
    pub why: String,
}

/// What the source of files has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Files that cannot be used; what they defined before stays.
    pub problems: Vec<String>,
    /// Parts of usable objects that were left out.
    pub oddities: Vec<String>,
    pub duplicates: Vec<String>,
    pub notes: Vec<String>,
    /// Files that were never usable since the start: until they are, nothing is removed.
    pub incomplete: Vec<String>,
}

/// How things stand with the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    pub server: String,
    pub kinds: Vec<ApiKind>,
    /// Objects that cannot be used, or not as a whole, and why.
    pub objects: Vec<String>,
    pub notes: Vec<String>,
}

/// One kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKind {
    pub kind: String,
    /// `starting`, `in sync`, or `behind`: then the last known state holds.
    pub state: String,
    /// Since when it is in that state.
    pub since: String,
    /// The last thing that went wrong, also when all is well again.
    pub last_failure: Option<String>,
    pub last_failure_at: Option<String>,
}

impl From<&ApiReport> for Api {
    fn from(report: &ApiReport) -> Self {
        let ApiReport { server, kinds, objects, notes } = report;
        let kinds = kinds.iter().map(|of| ApiKind {
            kind: of.kind.label().to_owned(),
            state: of.state.label().to_owned(),
            since: of.since.clone(),
            last_failure: of.last_failure.as_ref().map(|failure| failure.what.clone()),
            last_failure_at: of.last_failure.as_ref().map(|failure| failure.at.clone()),
        });
        Self {
            server: server.clone(),
            kinds: kinds.collect(),
            objects: objects.iter().map(|(object, why)| format!("{object}: {why}")).collect(),
            notes: notes.clone(),
        }
    }
}

impl From<&FileReport> for Files {
    fn from(report: &FileReport) -> Self {
        let FileReport { problems, oddities, duplicates, notes, incomplete } = report;
        Self {
            problems: problems.iter().map(ToString::to_string).collect(),
            oddities: oddities.iter().map(ToString::to_string).collect(),
            duplicates: duplicates.iter().map(ToString::to_string).collect(),
            notes: notes.iter().map(ToString::to_string).collect(),
            incomplete: incomplete.iter().map(|file| file.display().to_string()).collect(),
        }
    }
}

impl AgentView {
    /// The source follows what it reads, as far as it can tell.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        let behind = |api: &Api| api.kinds.iter().any(|kind| kind.state != "in sync");
        self.in_sync && !self.api.as_ref().is_some_and(behind)
    }

    /// What readiness waits for, in a sentence; `None` when it waits for nothing.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<&'static str> {
        if !self.is_up_to_date() {
            Some("the source is not in sync; what the kernel holds goes on\n")
        } else if !self.attached {
            Some("the programs are not attached yet\n")
        } else if !self.ready {
            Some("this node's labels were never known, and a topology reads them\n")
        } else {
            None
        }
    }

    /// Adds what the source says.
    #[must_use]
    pub fn with(self, report: &SourceReport) -> Self {
        match report {
            SourceReport::Files(report) => Self { files: report.into(), ..self },
            SourceReport::Api(report) => Self { api: Some(report.into()), ..self },
        }
    }

    /// The parts that follow from store and plan; the caller fills in the rest.
    #[must_use]
    pub fn of(store: &Store, mirror: Option<&Mirror>) -> Self {
        let places = store.places();
        Self {
            node: places.here.to_string(),
            pool: places.own_pool().map(ToString::to_string),
            node_known: store.own_node_exists(),
            labels_known: places.own.is_some(),
            in_sync: store.is_synced(),
            marks: marks(store, mirror),
            ..Self::default()
        }
    }
}
