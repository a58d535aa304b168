//! What an agent's state and its counters read as.

use std::time::{Duration, Instant};

use lb_common::outcome::Outcome;

use super::*;
use crate::model::{Ended, Kind, Left, ObjectName, PerFamily};
use crate::store::{Rules, Store};
use crate::view::diagnostic::Diagnostic;
use crate::view::published::{AgentState, Fill};
use crate::view::reported::Reported;
use crate::view::skips::SkippedPod;

#[test]
fn the_state_reads_as_metrics() {
    let store = Store::new("n1", Rules::default());
    let mut published = Published {
        state: AgentState::Ready,
        passes: 7,
        repairs: 3,
        peers: PeersReport {
            ended: Ended { backend: 4, service: 5 },
            left: Left { no_way: 1, ..Left::default() },
            namespaces_left: 2,
            ..PeersReport::default()
        }
        .into(),
        staleness: Some(Staleness { max: Some(Duration::from_secs(60)), age: Duration::from_secs(2) }),
        maps: Some(MapFill {
            frontends: PerFamily { v4: Fill { used: 3, max: 16 }, v6: Fill { used: 2, max: 16 } },
            backends: PerFamily { v4: Fill { used: 8, max: 64 }, v6: Fill::default() },
            clients: Fill { used: 5, max: 128 },
        }),
        ..Published::first(&store, "file:/x", Instant::now())
    };
    let diagnostic = Diagnostic::new("Service a/b", Reason::InvalidTopology, "odd");
    published.diagnostics.set(&ObjectName::new("a", "b"), vec![diagnostic]);
    let counters = Counters {
        outcomes: vec![(Outcome::ALL[0], 41)],
        events: vec![(Event::LookupRetry, 5), (Event::StaleRegionRead, 2)],
    };
    let text = text(&published, Some(&counters), None, Timestamp::UNIX_EPOCH);
    let outcome = Outcome::ALL[0].label();
    for line in [
        concat!("edgeloop_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "edgeloop_ready 1.0",
        "edgeloop_attached 1.0",
        "edgeloop_passes_total 7",
        r#"edgeloop_udp_sockets_ended_total{reason="backend"} 4"#,
        r#"edgeloop_udp_sockets_ended_total{reason="service"} 5"#,
        r#"edgeloop_udp_sockets_left{reason="no-way"} 1.0"#,
        r#"edgeloop_udp_sockets_left{reason="not-allowed"} 0.0"#,
        "edgeloop_udp_namespaces_left 2.0",
        "edgeloop_repairs_total 3",
        "edgeloop_programs_first 1.0",
        "edgeloop_state_age_seconds 2.0",
        "edgeloop_max_stale_seconds 60.0",
        "edgeloop_diagnostics{reason=\"invalid-topology\"} 1.0",
        "edgeloop_diagnostics{reason=\"conflict\"} 0.0",
        &format!("edgeloop_connections_total{{outcome=\"{outcome}\"}} 41"),
        "edgeloop_lookup_retries_total 5",
        "edgeloop_stale_region_reads_total 2",
        "edgeloop_map_elements{map=\"services4\"} 3.0",
        "edgeloop_map_elements{map=\"services6\"} 2.0",
        "edgeloop_map_elements{map=\"affinity\"} 5.0",
        "edgeloop_map_max_elements{map=\"backends4\"} 64.0",
        "edgeloop_map_max_elements{map=\"backends6\"} 0.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("a/b"), "no names of objects");
    assert!(!text.contains("source_behind"), "files are of no kind");
}

#[test]
fn skipped_pods_are_counted_by_whether_the_programs_know_them() {
    let store = Store::new("n1", Rules::default());
    let skipped = |cgroup| SkippedPod { pod: "a/b-0".to_owned(), cgroup };
    let skips = Skips { pods: [Some(7), None, Some(8)].map(skipped).to_vec(), trouble: None };
    let published = Published { skips: skips.into(), ..Published::first(&store, "file:/x", Instant::now()) };
    let text = text(&published, None, None, Timestamp::UNIX_EPOCH);
    for line in ["edgeloop_skipped_pods 2.0", "edgeloop_skipped_pods_waiting 1.0"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("a/b"), "no names of objects");
}

#[test]
fn what_was_not_tested_is_no_number() {
    let (store, passed) = (Store::new("n1", Rules::default()), Instant::now());
    let at = passed + Duration::from_secs(4);
    let of = |self_test| {
        let published = Published { self_test, at, ..Published::first(&store, "file:/x", passed) };
        let text = text(&published, None, None, Timestamp::UNIX_EPOCH);
        let lines = text.lines().filter(|line| line.starts_with("edgeloop_self_test"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (passes, fails) = ("edgeloop_self_test_passes 1.0", "edgeloop_self_test_passes 0.0");
    let age = "edgeloop_self_test_age_seconds 4.0";
    let failed = |passed| SelfTest::Failed { why: "x".into(), passed };
    assert_eq!(of(SelfTest::Passed { at: passed }), [passes, age]);
    assert_eq!(of(failed(Some(passed))), [fails, age]);
    assert_eq!(of(failed(None)), [fails]);
    assert_eq!(of(SelfTest::NotTested("x".into())), [""; 0]);
}

#[test]
fn a_kind_that_is_behind_says_for_how_long() {
    let kind =
        |kind, state, since: &str| KindState { kind, state, since: since.to_owned(), last_failure: None };
    let kinds = vec![
        kind(Kind::Service, SourceState::InSync, "2026-01-02T03:00:00Z"),
        kind(Kind::EndpointSlice, SourceState::Behind, "2026-01-02T03:03:05Z"),
        kind(Kind::Node, SourceState::Starting, "2026-01-02T03:04:07Z"),
    ];
    let mut report = Reported::default();
    report.take(SourceReport::Api(ApiReport { kinds, ..ApiReport::default() }));
    let store = Store::new("n1", Rules::default());
    let published = Published { report, ..Published::first(&store, "API server x", Instant::now()) };
    let text = text(&published, None, None, "2026-01-02T03:04:05Z".parse().unwrap());
    for (kind, seconds) in [("Service", "0.0"), ("EndpointSlice", "60.0"), ("Node", "0.0")] {
        let line = format!("edgeloop_source_behind_seconds{{kind=\"{kind}\"}} {seconds}");
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}
