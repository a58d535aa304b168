//! What the writer makes known after a pass, for every door to read. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_common::hook::Hook;
use lb_common::layout::AFFINITIES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Age, Mode, PeersReport, PerFamily, SelfTest, SourceReport, SourceState, Staleness};
use crate::plan::Mirror;
use crate::store::Store;

use super::by_service::ByService;
use super::histogram::Histogram;
use super::reported::Reported;
use super::skips::Skips;
use super::topologies::{Topology, by_flag};

/// A writer that publishes nothing for longer is stuck. It publishes about every second; a pass
/// over a whole cluster takes a few.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// One picture of the agent. To make and to copy one costs the same however large the cluster is.
#[derive(Clone, Debug)]
pub struct Published {
    /// When.
    pub at: Instant,
    /// What the source is called.
    pub source: Arc<str>,
    pub report: Reported,
    pub state: AgentState,
    pub node: NodeFacts,
    pub mode: Mode,
    /// How a refused connection fails; `None` before the programs are loaded.
    pub refuses_by: Option<&'static str>,
    /// The maps; `None` before they are open.
    pub maps: Option<MapFill>,
    pub passes: u64,
    pub diagnostics: ByService,
    /// All that decides, as it was then.
    pub store: Arc<Store>,
    /// Those that were given by flag.
    pub topologies: Vec<Topology>,
    pub skips: Arc<Skips>,
    pub saved: SavedState,
    /// What became of UDP sockets whose backend is admitted no more.
    pub peers: Arc<PeersReport>,
    /// An address of the node that no interface has which the agent sees.
    pub elsewhere: Option<IpAddr>,
    /// The programs of others that decide first.
    pub before_ours: Arc<[BeforeOurs]>,
    /// How often what another process did to pins or links was repaired.
    pub repairs: u64,
    /// How old it is what the maps hold; `None` before they are open.
    pub staleness: Option<Staleness>,
    /// Whether a connection of the agent's own arrives where the maps say.
    pub self_test: SelfTest,
    /// How long changes took until the maps had them.
    pub latencies: Arc<Latencies>,
    /// What keeps maps or programs from being as they should be.
    pub kernel_error: Option<Arc<str>>,
}

/// How long changes took until the maps had them.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    /// From the change in the cluster, as the control plane's clock has it.
    pub network_programming: Histogram,
    /// From when the source saw the first change of a pass.
    pub change_to_kernel: Histogram,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { network_programming: Histogram::of_kube_proxy(), change_to_kernel: Histogram::of_passes() }
    }
}

/// The programs of others that run before ours at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeOurs {
    pub hook: Hook,
    pub ids: Vec<u32>,
    /// With their names, where the kernel shows those.
    pub programs: Vec<String>,
}

/// How our programs stand at the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Detached,
    /// Others decide first, and they must not.
    NotFirst,
    Attached,
}

/// What is saved of the state that an API server shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedState {
    /// The saved state decides, since no source was heard of yet: how old it is, and what the machine's own clock
    /// showed when it was saved.
    pub in_use: Option<(Age, Arc<str>)>,
    /// Why it cannot be saved.
    pub trouble: Option<Arc<str>>,
}

/// How far the agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentState {
    /// The source has not shown all Services and slices yet, and nothing is opened before; what the
    /// kernel holds goes on.
    Starting,
    /// All was shown once; it waits for these, at least one.
    NotReady(Vec<WaitsFor>),
    /// The source is followed, the programs are attached, and nothing is missing.
    Ready,
}

/// What readiness waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// The source: not all objects have arrived yet, or changes do not.
    Source,
    /// The programs are not attached.
    Programs,
    /// This node's labels were never known, and a topology reads them.
    NodeLabels,
    /// Namespaces were never known, and may give Services a topology (`--namespace-topology`).
    Namespaces,
    /// Another program decides first, and none may (`--require-first`).
    First,
    /// The self-test: a connection of the agent's own does not arrive where the maps say.
    SelfTest,
}

impl WaitsFor {
    /// One sentence without a full stop.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Source => "the source is not in sync; what the kernel holds goes on",
            Self::Programs => "the programs are not attached",
            Self::First => "another program decides before ours, and --require-first is given",
            Self::SelfTest => {
                "a connection of the agent's own does not arrive where the maps say, or has not yet"
            }
            Self::Namespaces => "Namespaces were never known, and may give Services a topology",
            Self::NodeLabels => "this node's labels were never known, and a topology reads them",
        }
    }
}

/// What is known of the node that the agent decides for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    pub name: Arc<str>,
    /// `None` without a pool label: a pool of one.
    pub pool: Option<Arc<str>>,
    pub labels: NodeLabels,
}

/// How the node's labels are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeLabels {
    /// Its object exists.
    Current,
    /// Its object is gone; its last labels hold.
    LastKnown,
    #[default]
    NeverKnown,
}

/// The room in the maps, and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFill {
    /// Each family has room for as many as both together may be.
    pub frontends: PerFamily<Fill>,
    pub backends: PerFamily<Fill>,
    /// Clients of Services with session affinity, counted every 20 s.
    pub clients: Fill,
}

/// Elements, or entries of regions as they are allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub used: u32,
    pub max: u32,
}

impl Published {
    /// Of an agent that has done nothing yet.
    #[must_use]
    pub fn first(store: &Store, source: &str, now: Instant) -> Self {
        Self {
            at: now,
            source: source.into(),
            report: Reported::default(),
            state: AgentState::Starting,
            node: NodeFacts::of(store),
            mode: store.mode(),
            refuses_by: None,
            maps: None,
            passes: 0,
            diagnostics: ByService::default(),
            store: store.copy(),
            topologies: by_flag(store),
            skips: Arc::default(),
            saved: SavedState::default(),
            peers: Arc::default(),
            elsewhere: None,
            before_ours: Arc::default(),
            repairs: 0,
            staleness: None,
            self_test: SelfTest::Off,
            latencies: Arc::default(),
            kernel_error: None,
        }
    }

    /// Whether the writer has not been heard of for too long.
    #[must_use]
    pub fn is_stuck(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > STUCK_AFTER
    }
}

impl AgentState {
    /// Of a `store` that a source with this `report` fills, over programs that stand so and are tested so.
    #[must_use]
    pub fn of(store: &Store, report: &Reported, standing: Standing, self_test: &SelfTest) -> Self {
        if !store.is_synced() {
            return Self::Starting;
        }
        let waits = [
            // What was saved fills a store before any source is heard of.
            (!report.was_heard() || !follows(report.report()), WaitsFor::Source),
            (standing == Standing::Detached, WaitsFor::Programs),
            (standing == Standing::NotFirst, WaitsFor::First),
            (standing != Standing::Detached && self_test.is_waited_for(), WaitsFor::SelfTest),
            (!store.knows_labels(), WaitsFor::NodeLabels),
            (!store.knows_namespaces(), WaitsFor::Namespaces),
        ];
        let waits: Vec<WaitsFor> = waits.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
        if waits.is_empty() { Self::Ready } else { Self::NotReady(waits) }
    }

    /// Whether this agent's programs run at every hook, as far as it knows.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        !self.waits_for().contains(&WaitsFor::Programs)
    }

    /// Nothing exactly when it is ready.
    #[must_use]
    pub fn waits_for(&self) -> &[WaitsFor] {
        match self {
            Self::Starting => &[WaitsFor::Source, WaitsFor::Programs],
            Self::NotReady(waits) => waits,
            Self::Ready => &[],
        }
    }
}

/// Whether the source sends changes as they happen, as far as it is known.
fn follows(report: &SourceReport) -> bool {
    match report {
        SourceReport::Files(_) => true,
        SourceReport::Api(report) => {
            let mut kinds = report.deciding();
            kinds.all(|kind| kind.state == SourceState::InSync)
        }
    }
}

impl NodeFacts {
    #[must_use]
    pub fn of(store: &Store) -> Self {
        let nodes = store.nodes();
        let labels = match (store.own_node_exists(), &nodes.own) {
            (true, _) => NodeLabels::Current,
            (false, Some(_)) => NodeLabels::LastKnown,
            (false, None) => NodeLabels::NeverKnown,
        };
        Self { name: Arc::clone(&nodes.here), pool: nodes.own_pool().cloned(), labels }
    }
}

impl MapFill {
    #[must_use]
    pub fn of(mirror: &Mirror, clients: usize) -> Self {
        let (used, capacity) = (mirror.used(), mirror.capacity());
        let backends = |family| Fill { used: *used.backends.of(family), max: *capacity.backends.of(family) };
        let frontends = |family| Fill { used: *mirror.held().of(family), max: capacity.frontends };
        let clients = Fill { used: clients as u32, max: AFFINITIES };
        Self { frontends: PerFamily::each(frontends), backends: PerFamily::each(backends), clients }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Interner;
    use crate::manifest::read;
    use crate::model::{ApiReport, Change, FileReport, Kind, KindState, NamespaceTopology};
    use crate::store::Rules;

    #[test]
    fn it_waits_for_namespaces_where_a_service_may_have_its_topology_from_one() {
        let service = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}}";
        let files = reported(SourceReport::Files(FileReport::default()));
        for (namespace_topology, waits_for) in
            [(NamespaceTopology::Off, &[][..]), (NamespaceTopology::On, &[WaitsFor::Namespaces])]
        {
            let mut store = Store::new("n1", Rules { namespace_topology, ..Rules::default() });
            let read = read(service, &mut Interner::default()).objects;
            read.into_iter().for_each(|defined| store.apply(Change::Apply(defined.object)));
            Kind::DECIDING.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
            let state = AgentState::of(&store, &files, Standing::Attached, &SelfTest::Off);
            assert_eq!(state.waits_for(), waits_for, "{namespace_topology:?}");
        }
    }

    #[test]
    fn an_agent_is_ready_when_nothing_is_missing() {
        let files = SourceReport::Files(FileReport::default());
        let [starting, in_sync, behind] =
            [SourceState::Starting, SourceState::InSync, SourceState::Behind].map(api).map(reported);
        let files = reported(files);
        let unheard = Reported::default();
        let all = Kind::DECIDING;
        let (no, yes) = (Standing::Detached, Standing::Attached);
        for (shows, synced, report, standing, waits_for) in [
            ("nothing yet", &all[..0], &files, no, &[WaitsFor::Source, WaitsFor::Programs][..]),
            ("no slices yet", &all[..1], &starting, no, &[WaitsFor::Source, WaitsFor::Programs]),
            ("not attached", &all[..2], &files, no, &[WaitsFor::Programs]),
            ("files", &all, &files, yes, &[]),
            ("what was saved, and no word of a source", &all, &unheard, yes, &[WaitsFor::Source]),
            ("not first", &all, &files, Standing::NotFirst, &[WaitsFor::First]),
            ("an API server", &all, &in_sync, yes, &[]),
            ("one that is gone", &all, &behind, yes, &[WaitsFor::Source]),
            ("gone, and not attached", &all, &behind, no, &[WaitsFor::Source, WaitsFor::Programs]),
        ] {
            let mut store = Store::new("n1", Rules::default());
            synced.iter().for_each(|kind| store.apply(Change::Synced(*kind)));
            let state = AgentState::of(&store, report, standing, &SelfTest::Off);
            assert_eq!(state.waits_for(), waits_for, "{shows}");
            assert_eq!(state == AgentState::Ready, waits_for.is_empty(), "{shows}");
        }
    }

    #[test]
    fn an_agent_whose_self_test_fails_or_has_not_passed_yet_is_not_ready() {
        let mut store = Store::new("n1", Rules::default());
        Kind::DECIDING.iter().for_each(|kind| store.apply(Change::Synced(*kind)));
        let (files, why) = (reported(SourceReport::Files(FileReport::default())), Arc::<str>::from("x"));
        for (self_test, standing, waits_for) in [
            (SelfTest::Off, Standing::Attached, &[][..]),
            (SelfTest::NotTested(Arc::clone(&why)), Standing::Attached, &[]),
            (SelfTest::Passed { at: Instant::now() }, Standing::Attached, &[]),
            (SelfTest::Pending, Standing::Attached, &[WaitsFor::SelfTest]),
            (SelfTest::Pending, Standing::Detached, &[WaitsFor::Programs]),
            (SelfTest::Failed { why, passed: None }, Standing::Attached, &[WaitsFor::SelfTest]),
        ] {
            let state = AgentState::of(&store, &files, standing, &self_test);
            assert_eq!(state.waits_for(), waits_for, "{self_test:?}");
        }
    }

    #[test]
    fn a_writer_that_publishes_nothing_any_more_is_stuck() {
        let at = Instant::now();
        let published = Published::first(&Store::new("n1", Rules::default()), "file:/x", at);
        for (after, is_stuck) in [(0, false), (10, false), (11, true)] {
            assert_eq!(published.is_stuck(at + Duration::from_secs(after)), is_stuck, "{after} s");
        }
        assert!(!published.is_stuck(at - Duration::from_secs(1)), "published since the clock was read");
    }

    fn reported(report: SourceReport) -> Reported {
        let mut reported = Reported::default();
        reported.take(report);
        reported
    }

    fn api(state: SourceState) -> SourceReport {
        let kinds = vec![KindState { kind: Kind::Node, state, since: String::new(), last_failure: None }];
        SourceReport::Api(ApiReport { kinds, ..ApiReport::default() })
    }
}
