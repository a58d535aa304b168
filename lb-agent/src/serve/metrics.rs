//! What is counted, as Prometheus reads it. Made anew from the state whenever it is asked for.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::view::diagnostics::MarkKind;
use crate::view::kernel::KernelView;
use crate::view::status::AgentView;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Map {
    map: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

type Numbers<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The metrics as OpenMetrics text. Labels come from closed sets, never from names of objects.
#[must_use]
pub fn text(agent: &AgentView, kernel: Option<&KernelView>) -> String {
    let mut registry = Registry::with_prefix("edgeloop");
    of_agent(&mut registry, agent);
    if let Some(kernel) = kernel {
        of_kernel(&mut registry, kernel);
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = encode(&mut text, &registry);
    text
}

fn of_agent(registry: &mut Registry, agent: &AgentView) {
    let number = |registry: &mut Registry, name: &str, help: &str, value: f64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let flag = |is: bool| if is { 1.0 } else { 0.0 };
    number(registry, "ready", "In sync, attached, and waiting for nothing", flag(agent.ready));
    number(registry, "attached", "The programs run at every hook", flag(agent.attached));
    number(registry, "source_in_sync", "The source follows what it reads", flag(agent.is_up_to_date()));
    number(registry, "failed_services", "Services that could not be written", agent.failed.len() as f64);
    registry.register("passes", "Passes of the writer", ConstCounter::new(agent.passes));
    let marked = Numbers::<Kind>::default();
    for kind in MarkKind::ALL {
        let count = agent.marks.iter().filter(|mark| mark.kind == kind).count();
        marked.get_or_create(&Kind { kind: kind.label().to_owned() }).set(count as f64);
    }
    registry.register("marked_services", "Remarks about Services, by kind", marked);
}

fn of_kernel(registry: &mut Registry, kernel: &KernelView) {
    let used = Numbers::<Map>::default();
    let limit = Numbers::<Map>::default();
    for fill in &kernel.maps {
        let map = Map { map: fill.map.clone() };
        used.get_or_create(&map).set(fill.used as f64);
        limit.get_or_create(&map).set(fill.max_entries as f64);
    }
    registry.register("map_elements", "Elements in use", used);
    registry.register("map_max_elements", "Elements that fit", limit);
    let connections = Family::<Outcome, prometheus_client::metrics::counter::Counter>::default();
    for outcome in &kernel.outcomes {
        let label = Outcome { outcome: outcome.outcome.clone() };
        connections.get_or_create(&label).inc_by(outcome.times);
    }
    registry.register("connections", "Connections by what the programs did with them", connections);
    registry.register(
        "lookup_retries",
        "Lookups that met a write and were repeated",
        ConstCounter::new(kernel.lookup_retries),
    );
    registry.register(
        "stale_region_reads",
        "Regions that were used again under their reader: more than 0 is a bug",
        ConstCounter::new(kernel.stale_region_reads),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::diagnostics::Mark;
    use crate::view::kernel::{FillView, OutcomeView};

    #[test]
    fn the_state_reads_as_metrics() {
        let mark = Mark { service: "a/b".into(), kind: MarkKind::InvalidTopology, text: String::new() };
        let agent = AgentView { ready: true, passes: 7, marks: vec![mark], ..AgentView::default() };
        let kernel = KernelView {
            outcomes: vec![OutcomeView { outcome: "forwarded".into(), times: 41 }],
            maps: vec![FillView { map: "services4".into(), used: 3, max_entries: 16 }],
            ..KernelView::default()
        };
        let text = text(&agent, Some(&kernel));
        for line in [
            "edgeloop_ready 1.0",
            "edgeloop_attached 0.0",
            "edgeloop_passes_total 7",
            "edgeloop_marked_services{kind=\"invalid-topology\"} 1.0",
            "edgeloop_marked_services{kind=\"conflict\"} 0.0",
            "edgeloop_connections_total{outcome=\"forwarded\"} 41",
            "edgeloop_map_elements{map=\"services4\"} 3.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("a/b"), "no names of objects");
    }
}
