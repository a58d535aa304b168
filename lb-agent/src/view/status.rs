//! What the agent knows, as one value: sent over the socket, shown by `lb-agent status`. Pure.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ApiReport, KindState, PeersReport, SelfTest, SourceReport};
use crate::shown::{line, shown};

use super::diagnostic::{Diagnostic, Reason};
use super::published::{NodeLabels, Published, WaitsFor};
use super::skips::SkippedPod;
use super::state::StateView;
use super::topologies::{OfNamespace, Topology, of_namespaces};

/// What a running agent knows beyond what the maps show.
///
/// Its JSON is read by `lb-agent` of other versions too: what is missing there is empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentView {
    pub pid: u32,
    pub version: String,
    pub node: String,
    pub pool: Option<String>,
    pub node_labels: NodeLabels,
    pub source: String,
    /// Where what decides comes from; agents of version 0.1 do not say it.
    pub state: Option<StateView>,
    /// `beside` kube-proxy, or in its place (`replace`).
    pub mode: String,
    /// Nothing is waited for: what `/readyz` says.
    pub ready: bool,
    /// Empty exactly when it is ready.
    pub waits_for: Vec<WaitsFor>,
    /// How a refused connection fails: ECONNREFUSED from `connect`, or by way of loopback port 0.
    pub refuses_by: Option<String>,
    pub passes: u64,
    /// Those that were given by flag.
    pub topologies: Vec<Topology>,
    /// Those that Namespaces give their Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_topologies: Vec<OfNamespace>,
    /// The pods of this node that are left out.
    pub skipped_pods: Vec<SkippedPod>,
    /// What became of UDP sockets whose backend is gone.
    pub peers: PeersReport,
    /// How the self-test went last, as a clause; `null` with `--self-test off`.
    pub self_test: Option<String>,
    /// The severe ones first.
    pub diagnostics: Vec<Diagnostic>,
    /// Present where an API server is the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

/// How things stand with the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    pub server: String,
    pub kinds: Vec<ApiKind>,
}

/// One kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

impl AgentView {
    /// What `published` says, by the process `pid`.
    #[must_use]
    pub fn new(published: &Published, pid: u32) -> Self {
        let Published { source, report, state, node, mode, refuses_by, passes, .. } = published;
        let waits_for = state.waits_for();
        Self {
            pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: shown(&node.name),
            pool: node.pool.as_deref().map(shown),
            node_labels: node.labels,
            source: line(source),
            state: Some(StateView::of(published)),
            mode: mode.label().to_owned(),
            ready: waits_for.is_empty(),
            waits_for: waits_for.to_vec(),
            refuses_by: refuses_by.map(str::to_owned),
            passes: *passes,
            topologies: published.topologies.clone(),
            namespace_topologies: of_namespaces(&published.store),
            skipped_pods: published.skips.pods.clone(),
            peers: (*published.peers).clone(),
            self_test: self_test(published),
            diagnostics: diagnostics(published),
            api: match report.report() {
                SourceReport::Files(_) => None,
                SourceReport::Api(report) => Some(report.into()),
            },
        }
    }

    /// The source sends changes as they happen, as far as it is known.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        !self.waits_for.contains(&WaitsFor::Source)
    }

    /// Its programs run at every hook.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        !self.waits_for.contains(&WaitsFor::Programs)
    }

    /// The diagnostics with this reason.
    pub fn with(&self, reason: Reason) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(move |diagnostic| diagnostic.reason == reason)
    }
}

fn self_test(published: &Published) -> Option<String> {
    let ago = |passed: Instant| {
        format!("passed {} s ago", published.at.saturating_duration_since(passed).as_secs())
    };
    Some(match &published.self_test {
        SelfTest::Off => return None,
        SelfTest::NotTested(why) => format!("not tested: {why}"),
        SelfTest::Pending => "no connection was dialled yet".to_owned(),
        SelfTest::Passed { at } => ago(*at),
        SelfTest::Failed { passed, .. } => {
            format!("fails; {}", passed.map_or_else(|| "it never passed".to_owned(), ago))
        }
    })
}

fn diagnostics(published: &Published) -> Vec<Diagnostic> {
    let mut all = published.others();
    all.extend(published.diagnostics.iter().cloned());
    all.sort_unstable();
    all
}

impl From<&ApiReport> for Api {
    fn from(report: &ApiReport) -> Self {
        let ApiReport { server, kinds, objects: _, notes: _, namespaces: _ } = report;
        let kinds = kinds.iter().map(|of| {
            let KindState { kind, state, since, last_failure } = of;
            ApiKind {
                kind: kind.label().to_owned(),
                state: state.label().to_owned(),
                since: since.clone(),
                last_failure: last_failure.as_ref().map(|failure| line(&failure.what)),
                last_failure_at: last_failure.as_ref().map(|failure| failure.at.clone()),
            }
        });
        Self { server: shown(server), kinds: kinds.collect() }
    }
}
