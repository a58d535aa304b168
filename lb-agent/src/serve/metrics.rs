//! What is counted, as Prometheus reads it: a function of what the writer published and of the
//! programs' counters.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use jiff::Timestamp;
use lb_common::layout::{AFFINITY, BACKENDS4, BACKENDS6, SERVICES4, SERVICES6};
use lb_common::outcome::Event;

use crate::datapath::maps::pinned::Counters;
use crate::model::{
    ApiReport, Cause, KindState, Obstacle, PeersReport, SelfTest, SourceReport, SourceState, Staleness,
};
use crate::view::diagnostic::Reason;
use crate::view::histogram::Histogram;
use crate::view::loops::{LoopView, Reach};
use crate::view::published::{Latencies, MapFill, Published, WaitsFor};
use crate::view::skips::Skips;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithinLabel {
    within: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MapLabel {
    map: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Numbers<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The metrics as OpenMetrics text. Labels come from closed sets, never from names of objects.
#[must_use]
pub fn text(
    published: &Published,
    counters: Option<&Counters>,
    of_loop: Option<&LoopView>,
    now: Timestamp,
) -> String {
    let mut registry = Registry::with_prefix("edgeloop");
    registry.register("build", "This agent", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    of_agent(&mut registry, published);
    of_latencies(&mut registry, &published.latencies);
    if let SourceReport::Api(report) = published.report.report() {
        of_source(&mut registry, report, now);
    }
    if let Some(staleness) = &published.staleness {
        of_age(&mut registry, staleness);
    }
    if let Some(maps) = &published.maps {
        of_maps(&mut registry, maps);
    }
    if let Some(counters) = counters {
        of_programs(&mut registry, counters);
    }
    if let Some(view) = of_loop {
        of_the_loop(&mut registry, view);
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = encode(&mut text, &registry);
    text
}

fn of_agent(registry: &mut Registry, published: &Published) {
    let waits_for = published.state.waits_for();
    let mut flag = |name: &str, help: &str, is: bool| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(if is { 1.0 } else { 0.0 });
        registry.register(name, help, gauge);
    };
    flag("ready", "Nothing is waited for: what /readyz says", waits_for.is_empty());
    flag("attached", "The programs run at every hook", published.state.is_attached());
    flag("programs_first", "No program of others decides before ours", published.before_ours.is_empty());
    flag("source_in_sync", "The source sends changes as they happen", !waits_for.contains(&WaitsFor::Source));
    flag(
        "saved_state_in_use",
        "No API server was heard of since the start: a saved state decides",
        published.saved.in_use.is_some(),
    );
    if let Some((age, _)) = &published.saved.in_use {
        let seconds = Gauge::<f64, AtomicU64>::default();
        seconds.set(age.at_least().as_secs_f64());
        registry.register_with_unit(
            "saved_state_age",
            "How old the state is at least",
            Unit::Seconds,
            seconds,
        );
    }
    let help = "How often what another process did to pins or links was repaired";
    registry.register("repairs", help, ConstCounter::new(published.repairs));
    registry.register("passes", "Passes of the writer", ConstCounter::new(published.passes));
    of_self_test(registry, published);
    of_peers(registry, &published.peers);
    of_skips(registry, &published.skips);
    let (counts, diagnostics) = (published.counts(), Numbers::<ReasonLabel>::default());
    for reason in Reason::ALL {
        let label = ReasonLabel { reason: reason.label() };
        diagnostics.get_or_create(&label).set(f64::from(counts.of(reason)));
    }
    registry.register("diagnostics", "What needs attention, by reason", diagnostics);
}

/// A histogram that was counted elsewhere.
#[derive(Debug)]
struct Times(Histogram);

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.0.sum(), self.0.count(), &self.0.ranges(), None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn of_latencies(registry: &mut Registry, latencies: &Latencies) {
    let Latencies { network_programming, change_to_kernel } = latencies;
    for (name, help, histogram) in [
        (
            "network_programming_duration",
            "From a change of endpoints in the cluster until the maps have it, as Kubernetes defines it",
            network_programming,
        ),
        ("change_to_kernel", "From when the agent saw a change until the maps have it", change_to_kernel),
    ] {
        registry.register_with_unit(name, help, Unit::Seconds, Times(histogram.clone()));
    }
}

fn of_skips(registry: &mut Registry, skips: &Skips) {
    let of = |is_known: bool| skips.pods.iter().filter(|pod| pod.cgroup.is_some() == is_known).count() as f64;
    for (name, help, is_known) in [
        ("skipped_pods", "Pods of this node that are left out, by the label edgeloop.io/skip", true),
        ("skipped_pods_waiting", "Pods that are labelled so, and have no cgroup that is known", false),
    ] {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(of(is_known));
        registry.register(name, help, gauge);
    }
}

fn of_self_test(registry: &mut Registry, published: &Published) {
    let passes = match &published.self_test {
        SelfTest::Off | SelfTest::NotTested(_) => return,
        SelfTest::Passed { .. } => 1.0,
        SelfTest::Pending | SelfTest::Failed { .. } => 0.0,
    };
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(passes);
    registry.register(
        "self_test_passes",
        "A connection of the agent's own arrives where the maps say",
        gauge,
    );
    if let Some(passed) = published.self_test.passed() {
        let seconds = Gauge::<f64, AtomicU64>::default();
        seconds.set(published.at.saturating_duration_since(passed).as_secs_f64());
        let help = "The time since the self-test passed last";
        registry.register_with_unit("self_test_age", help, Unit::Seconds, seconds);
    }
}

fn of_peers(registry: &mut Registry, peers: &PeersReport) {
    let ended = Family::<ReasonLabel, Counter>::default();
    for cause in Cause::ALL {
        ended.get_or_create(&ReasonLabel { reason: cause.label() }).inc_by(peers.ended.of(cause));
    }
    let help =
        "Connected UDP sockets that were ended since their backend or Service was gone, by which of both";
    registry.register("udp_sockets_ended", help, ended);
    let left = Numbers::<ReasonLabel>::default();
    for obstacle in Obstacle::ALL {
        let label = ReasonLabel { reason: obstacle.label() };
        left.get_or_create(&label).set(peers.left.of(obstacle) as f64);
    }
    let help = "Such sockets, found last, that could not be ended, by the reason";
    registry.register("udp_sockets_left", help, left);
    let namespaces = Gauge::<f64, AtomicU64>::default();
    namespaces.set(peers.namespaces_left as f64);
    let help = "Network namespaces that were not looked into last for such sockets";
    registry.register("udp_namespaces_left", help, namespaces);
}

fn of_source(registry: &mut Registry, report: &ApiReport, now: Timestamp) {
    let behind = Numbers::<KindLabel>::default();
    for KindState { kind, state, since, .. } in &report.kinds {
        let seconds = match (state, since.parse::<Timestamp>()) {
            (SourceState::InSync, _) | (_, Err(_)) => 0.0,
            // The clock may have been put back.
            (SourceState::Starting | SourceState::Behind, Ok(since)) => {
                now.duration_since(since).as_secs_f64().max(0.0)
            }
        };
        behind.get_or_create(&KindLabel { kind: kind.label() }).set(seconds);
    }
    let help =
        "For how long the API server has not sent all objects of a kind and each change: 0 when in sync";
    registry.register_with_unit("source_behind", help, Unit::Seconds, behind);
}

fn of_age(registry: &mut Registry, staleness: &Staleness) {
    let mut seconds = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register_with_unit(name, help, Unit::Seconds, gauge);
    };
    let Staleness { max, age } = staleness;
    seconds("state_age", "The time since a live source was in sync", age.as_secs_f64());
    if let Some(max) = max {
        seconds("max_stale", "At this age every connection is left as it is dialled", max.as_secs_f64());
    }
}

fn of_maps(registry: &mut Registry, maps: &MapFill) {
    let (used, limit) = (Numbers::<MapLabel>::default(), Numbers::<MapLabel>::default());
    for (spec, fill) in [
        (SERVICES4, maps.frontends.v4),
        (SERVICES6, maps.frontends.v6),
        (BACKENDS4, maps.backends.v4),
        (BACKENDS6, maps.backends.v6),
        (AFFINITY, maps.clients),
    ] {
        let map = spec.pin;
        used.get_or_create(&MapLabel { map }).set(fill.used.into());
        limit.get_or_create(&MapLabel { map }).set(fill.max.into());
    }
    registry.register("map_elements", "Elements in use", used);
    registry.register("map_max_elements", "Elements that fit", limit);
}

fn of_programs(registry: &mut Registry, counters: &Counters) {
    let connections = Family::<OutcomeLabel, Counter>::default();
    for (outcome, times) in &counters.outcomes {
        connections.get_or_create(&OutcomeLabel { outcome: outcome.label() }).inc_by(*times);
    }
    registry.register("connections", "Connections by what the programs did with them", connections);
    let event = |event| ConstCounter::new(counters.event(event));
    registry.register(
        "lookup_retries",
        "Lookups that met a write and were repeated",
        event(Event::LookupRetry),
    );
    registry.register(
        "stale_region_reads",
        "Regions that were used again under their reader: more than 0 is a fault",
        event(Event::StaleRegionRead),
    );
}

/// By how far a topology let them go: pools have names, and there can be many.
fn of_the_loop(registry: &mut Registry, view: &LoopView) {
    let connections = Family::<WithinLabel, Counter>::default();
    for within in Reach::ALL {
        let of = view.cells.iter().filter(|cell| cell.within == within);
        let counter = connections.get_or_create(&WithinLabel { within: within.label() });
        counter.inc_by(of.map(|cell| cell.connections).sum());
    }
    registry.register(
        "loop_connections",
        "Connections to Services by how far their topology let them go",
        connections,
    );
    registry.register(
        "loop_outside",
        "Connections that left the pool or the node that their topology keeps them to: more than 0 is a fault",
        ConstCounter::new(view.outside),
    );
    registry.register(
        "loop_refused",
        "Connections to Services that were refused for lack of a backend that the topology allows",
        ConstCounter::new(view.refused),
    );
}

#[cfg(test)]
mod tests;
