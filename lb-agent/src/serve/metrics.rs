//! What is counted, as Prometheus reads it: a function of what the writer published and of the
//! programs' counters.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use lb_common::outcome::Event;

use crate::datapath::maps::pinned::Counters;
use crate::view::diagnostic::Reason;
use crate::view::published::{MapFill, Published, WaitsFor};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MapLabel {
    map: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Numbers<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The metrics as OpenMetrics text. Labels come from closed sets, never from names of objects.
#[must_use]
pub fn text(published: &Published, counters: Option<&Counters>) -> String {
    let mut registry = Registry::with_prefix("edgeloop");
    of_agent(&mut registry, published);
    if let Some(maps) = &published.maps {
        of_maps(&mut registry, maps);
    }
    if let Some(counters) = counters {
        of_programs(&mut registry, counters);
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
    flag("source_in_sync", "The source sends changes as they happen", !waits_for.contains(&WaitsFor::Source));
    registry.register("passes", "Passes of the writer", ConstCounter::new(published.passes));
    let (counts, diagnostics) = (published.counts(), Numbers::<ReasonLabel>::default());
    for reason in Reason::ALL {
        let label = ReasonLabel { reason: reason.label() };
        diagnostics.get_or_create(&label).set(f64::from(counts.of(reason)));
    }
    registry.register("diagnostics", "What needs attention, by reason", diagnostics);
}

fn of_maps(registry: &mut Registry, maps: &MapFill) {
    let (used, limit) = (Numbers::<MapLabel>::default(), Numbers::<MapLabel>::default());
    for (map, fill) in [("services4", maps.frontends), ("backends4", maps.backends)] {
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use lb_common::outcome::Outcome;

    use super::*;
    use crate::model::ObjectName;
    use crate::store::{Rules, Store};
    use crate::view::diagnostic::Diagnostic;
    use crate::view::published::{AgentState, Fill};

    #[test]
    fn the_state_reads_as_metrics() {
        let store = Store::new("n1", Rules::default());
        let mut published = Published {
            state: AgentState::Ready,
            passes: 7,
            maps: Some(MapFill { frontends: Fill { used: 3, max: 16 }, backends: Fill { used: 8, max: 64 } }),
            ..Published::first(&store, "file:/x", Instant::now())
        };
        let diagnostic = Diagnostic::new("Service a/b", Reason::InvalidTopology, "odd");
        published.diagnostics.set(&ObjectName::new("a", "b"), vec![diagnostic]);
        let counters =
            Counters { outcomes: vec![(Outcome::ALL[0], 41)], events: vec![(Event::LookupRetry, 5)] };
        let text = text(&published, Some(&counters));
        let outcome = Outcome::ALL[0].label();
        for line in [
            "edgeloop_ready 1.0",
            "edgeloop_attached 1.0",
            "edgeloop_passes_total 7",
            "edgeloop_diagnostics{reason=\"invalid-topology\"} 1.0",
            "edgeloop_diagnostics{reason=\"conflict\"} 0.0",
            &format!("edgeloop_connections_total{{outcome=\"{outcome}\"}} 41"),
            "edgeloop_lookup_retries_total 5",
            "edgeloop_map_elements{map=\"services4\"} 3.0",
            "edgeloop_map_max_elements{map=\"backends4\"} 64.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("a/b"), "no names of objects");
    }
}
