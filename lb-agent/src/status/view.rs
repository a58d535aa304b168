//! What the agent knows, as one value: sent over the socket, shown by `lb-agent status`.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::source::file::Report;
use crate::store::Store;

use super::marks::{Mark, marks};

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

impl From<&Report> for Files {
    fn from(report: &Report) -> Self {
        let Report { problems, oddities, duplicates, notes, incomplete } = report;
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
    /// The parts that follow from store and plan; the caller fills in the rest.
    #[must_use]
    pub fn of(store: &Store, plan: Option<&Plan>) -> Self {
        let places = store.places();
        Self {
            node: places.here.to_string(),
            pool: places.own_pool().map(ToString::to_string),
            node_known: store.own_node_exists(),
            in_sync: store.is_synced(),
            marks: marks(store, plan),
            ..Self::default()
        }
    }
}
