//! The metrics, of an agent that has all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lb_agent::datapath::maps::pinned::Counters;
use lb_agent::model::{
    Age, ApiReport, Kind, KindState, PerFamily, SelfTest, SourceReport, SourceState, Staleness,
};
use lb_agent::serve::exposition::Form;
use lb_agent::serve::metrics::text;
use lb_agent::store::{Rules, Store};
use lb_agent::view::loops::LoopView;
use lb_agent::view::published::{Fill, MapFill, Published, SavedState};
use lb_agent::view::reported::Reported;
use lb_common::outcome::{Event, Outcome};

use super::page::compare;

#[test]
fn the_page_of_metrics_is_what_an_agent_with_all_of_them_says() {
    let open = full();
    let mut page = "# Metrics\n\nWritten from `GET /metrics` of an agent that has all of them: some are there only where what they count is. \
        A client that accepts `application/openmetrics-text` receives OpenMetrics 1.0.0, and any other the text format 0.0.4 of Prometheus. Labels come from closed sets, never from names of objects.\n\n\
        | metric | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    let labels = labels(&open);
    let kinds: BTreeMap<&str, &str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, help) in open.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')) {
        let kind = kinds[name];
        let shown = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        let labels = labels.get(&shown).map(|labels| labels.join("; ")).unwrap_or_default();
        page += &format!("| `{shown}` | {kind} | {labels} | {} |\n", help.trim_end_matches('.'));
    }
    compare("metrics.md", &page);
}

#[test]
fn no_metric_comes_twice_and_each_has_a_help() {
    for form in [Form::OpenMetrics, Form::Text] {
        let text = form.of_text(full());
        let samples: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        let all: BTreeSet<&&str> = samples.iter().collect();
        assert_eq!(all.len(), samples.len(), "{form:?}");
        let described = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!(described("# HELP "), described("# TYPE "), "{form:?}");
    }
}

/// Of each metric, its labels with their values. Bounds of histograms are numbers, and `version` is free.
fn labels(open: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for sample in open.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = sample.split_once('{') else { continue };
        let (inside, _) = rest.rsplit_once('}').unwrap();
        for (label, value) in
            inside.split("\",").filter_map(|pair| pair.trim_end_matches('"').split_once("=\""))
        {
            if label != "le" {
                found
                    .entry(name.to_owned())
                    .or_default()
                    .entry(label.to_owned())
                    .or_default()
                    .insert(value.to_owned());
            }
        }
    }
    let shown = |(label, values): (String, BTreeSet<String>)| match label.as_str() {
        "version" => "`version`".to_owned(),
        _ => format!("`{label}`: {}", values.into_iter().collect::<Vec<_>>().join(", ")),
    };
    found.into_iter().map(|(name, labels)| (name, labels.into_iter().map(shown).collect())).collect()
}

/// In OpenMetrics' form.
fn full() -> String {
    let at = Instant::now();
    let store = Store::new("n1", Rules::default());
    let kinds = Kind::ALL.map(|kind| KindState {
        kind,
        state: SourceState::InSync,
        since: String::new(),
        last_failure: None,
    });
    let mut report = Reported::default();
    report.take(SourceReport::Api(ApiReport { kinds: kinds.to_vec(), ..ApiReport::default() }));
    let fill = Fill { used: 1, max: 2 };
    let published = Published {
        report,
        saved: SavedState { in_use: Some((Age::AtLeast(Duration::ZERO), Arc::from("x"))), trouble: None },
        staleness: Some(Staleness { max: Some(Duration::from_secs(1)), age: Duration::ZERO }),
        maps: Some(MapFill {
            frontends: PerFamily { v4: fill, v6: fill },
            backends: PerFamily { v4: fill, v6: fill },
            clients: fill,
        }),
        self_test: SelfTest::Passed { at },
        ..Published::first(&store, "API server x", at)
    };
    let counters = Counters {
        outcomes: Outcome::ALL.map(|outcome| (outcome, 1)).to_vec(),
        events: Event::ALL.map(|event| (event, 1)).to_vec(),
    };
    text(&published, Some(&counters), Some(&LoopView::default()), Timestamp::UNIX_EPOCH)
}
