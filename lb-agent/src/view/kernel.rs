//! What the kernel holds right now, as a value. Pure.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::self_test::is_self_test;
use crate::model::{Family, Frontend, Staleness};
use crate::plan::{Held, Observed, Proof};
use crate::shown::shown;

/// The kernel's side of `lb-agent status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelView {
    pub pin_root: String,
    /// The layout version of the maps in use.
    pub layout: u32,
    /// Why the maps in use are not shown.
    pub unreadable: Option<String>,
    /// The process that holds the pin root; `None` when no agent runs.
    pub held_by: Option<String>,
    pub hooks: Vec<HookView>,
    pub services: Vec<ServiceView>,
    /// How often each outcome was reached, over all hooks.
    pub outcomes: Vec<OutcomeView>,
    /// Lookups that met a write in progress and were repeated.
    pub lookup_retries: u64,
    /// Regions that were used again under their reader.
    pub stale_region_reads: u64,
    pub maps: Vec<FillView>,
    /// How old all of it is; `null` where no agent has said.
    pub age: Option<AgeView>,
}

/// How old what the maps hold is, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgeView {
    /// Since a live source was in sync.
    pub seconds: u64,
    /// `--max-stale`.
    pub max_seconds: Option<u64>,
    /// It is too old: every connection is left as it is dialled.
    pub over: bool,
}

impl From<Staleness> for AgeView {
    fn from(staleness: Staleness) -> Self {
        let Staleness { max, age } = staleness;
        Self { seconds: age.as_secs(), max_seconds: max.map(|max| max.as_secs()), over: staleness.is_over() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    pub hook: String,
    pub program_id: u32,
    /// Zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// Ids of programs that run before ours and may rewrite first; `null` where it is unknown.
    pub before: Option<Vec<u32>>,
    /// The same with their names, where the kernel shows those.
    pub before_names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    pub namespace: String,
    pub service: String,
    pub port_name: String,
    pub protocol: String,
    /// What a client dials, with the port.
    pub address: String,
    pub id: u32,
    pub revision: u32,
    pub topology: bool,
    /// `forward`, `refuse`, or `unproven` for an element that does not prove itself.
    pub outcome: String,
    pub backends: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OutcomeView {
    pub outcome: String,
    pub times: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FillView {
    pub map: String,
    pub used: u64,
    pub max_entries: u64,
}

/// The service ports in `observed`, by name; not that of the self-test.
#[must_use]
pub fn services(observed: &Observed) -> Vec<ServiceView> {
    let is_of_source =
        |held: &Held| observed.key(held.element.owner.id).is_none_or(|key| !is_self_test(&key.service));
    let of_source = observed.services.iter().filter(|(_, held)| is_of_source(held));
    let mut services: Vec<ServiceView> =
        of_source.map(|(frontend, held)| service(observed, frontend, held)).collect();
    services.sort();
    services
}

fn service(observed: &Observed, frontend: &Frontend, held: &Held) -> ServiceView {
    let Held { element, proof } = held;
    let key = observed.key(element.owner.id);
    let outcome = match (proof, element.backends.is_empty()) {
        (Proof::Unproven, _) => "unproven",
        (Proof::Proven, true) => "refuse",
        (Proof::Proven, false) => "forward",
    };
    let mut backends: Vec<String> =
        element.backends.iter().map(|backend| SocketAddr::from(backend).to_string()).collect();
    backends.sort();
    ServiceView {
        namespace: key.map(|key| shown(&key.service.namespace)).unwrap_or_default(),
        service: key.map(|key| shown(&key.service.name)).unwrap_or_default(),
        port_name: key.map(|key| shown(&key.port_name)).unwrap_or_default(),
        protocol: frontend.protocol.label().to_owned(),
        address: frontend.address.to_string(),
        id: element.owner.id,
        revision: element.owner.revision,
        topology: element.has_topology,
        outcome: outcome.to_owned(),
        backends,
    }
}

/// The elements of one family.
pub fn held(observed: &Observed, family: Family) -> impl Iterator<Item = &Held> {
    let of_family = observed.services.iter().filter(move |(frontend, _)| frontend.family() == family);
    of_family.map(|(_, held)| held)
}

/// Entries of the regions behind all elements of one family, as they are allocated.
#[must_use]
pub fn in_regions(observed: &Observed, family: Family) -> u64 {
    let tails = held(observed, family).map(|held| held.element.tail()).filter(|tail| *tail > 0);
    tails.map(|tail| tail.next_power_of_two() as u64).sum()
}
