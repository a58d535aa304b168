//! The bench of the control plane runs and prints every line. What it measures is no test.

use std::process::Command;

use edgeloop_tests::{PREFIX, checkout, leftovers};

/// What its lines begin with, in their order.
const LINES: [&str; 29] = [
    "process start to kernel complete",
    "lists read to kernel complete",
    "a slice's change to the kernel, p50",
    "the same, p99",
    "the same, longest",
    "to a bare watcher beside it, p50",
    "the same, p99",
    "the same, longest",
    "a sync of what has changed, by its own count",
    "changes that a later one overtook",
    "an annotation to the kernel, median of 20",
    "the same, longest",
    "a node's pool to 50 Services, median of 6",
    "the same, longest",
    "VmRSS",
    "RssAnon",
    "VmHWM",
    "VmRSS at 100 Services",
    "RssAnon at 100 Services",
    "processor time until in sync",
    "processor time altogether",
    "from the API server until in sync",
    "from the API server altogether",
    // The goals.
    "lists read to kernel complete",
    "a slice's change, p50 over the watcher's",
    "a slice's change, p99 over the watcher's",
    "VmRSS",
    "VmHWM",
    "RssAnon at 100 Services",
];

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn the_bench_of_the_control_plane_prints_every_line_and_leaves_nothing() {
    let child = Command::new(checkout::program("edgeloop-bench").unwrap())
        .args(["control-plane", "--small", "--seconds", "2"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let sites = format!("{PREFIX}{}-", child.id());
    let output = child.wait_with_output().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = text.lines().map(str::trim_start);
    for expected in LINES {
        assert!(lines.any(|line| line.starts_with(expected)), "no line {expected:?} in its place:\n{text}");
    }
    assert!(!text.contains("NaN"), "{text}");
    assert_eq!(leftovers(&sites), Vec::<String>::new());
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn the_bench_tells_our_memory_behind_yurthub() {
    let output = Command::new(checkout::program("edgeloop-bench").unwrap())
        .args(["control-plane", "--small", "--seconds", "1", "--through-yurthub"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("Behind yurthub 1.7.0, with 500 Services and 5000 endpoints: ready after "),
        "{text}"
    );
    assert!(text.contains("VmRSS ") && text.trim_end().ends_with("MB."), "{text}");
}

mod out_of_memory {
    use super::*;

    #[test]
    #[ignore = "needs root and the programs of a control plane"]
    fn the_bench_prints_what_is_charged_to_our_memory_cgroup() {
        let output = Command::new(checkout::program("edgeloop-bench").unwrap())
            .args(["control-plane", "--small", "--seconds", "1", "--within", "100"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        for (line, (services, written)) in text.lines().zip([(100, 101), (500, 501)]) {
            let begins = format!("within 100 MB, {services} Services, {services}0 endpoints: VmRSS ");
            let ports = format!("{written} service ports written, 0 without room; maps and programs alone ");
            assert!(line.starts_with(&begins) && line.contains(&ports), "{line}");
        }
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

mod traffic {
    #![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    const CONTENDERS: [&str; 5] =
        ["none", "none again", "Edgeloop", "kube-proxy nftables", "kube-proxy iptables"];
    const ASKED: [&str; 4] = ["connection", "request", "datagram", "query"];
    const GOALS: [&str; 4] = [
        "TCP connect: time added over none, of what kube-proxy adds in nftables mode",
        "TCP connect: time added over none, of what kube-proxy adds in iptables mode",
        "TCP connect: p50, of none",
        "DNS query: p99, of a direct one",
    ];
    /// Three rounds of a block each, of which 20 answers are not timed.
    const ASKED_FOR: u64 = 3 * (100 + 20);
    /// Two backends, which take turns or are drawn.
    const BACKENDS: [&str; 2] = ["1", "2"];
    const DECOY: &str = "9";

    /// A machine without `iptables` runs it without that mode of kube-proxy.
    #[test]
    #[ignore = "needs root and the programs of a control plane"]
    fn the_bench_of_traffic_reaches_the_backends_and_without_a_load_balancer_the_decoy_alone() {
        let child = Command::new(checkout::program("edgeloop-bench").unwrap())
            .args(["traffic", "--quick", "-o", "json"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let sites = format!("{PREFIX}{}-", child.id());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();

        let has = |program: &str| report["programs"].get(program).is_some();
        let contenders: Vec<&str> =
            CONTENDERS.into_iter().filter(|name| name.strip_prefix("kube-proxy ").is_none_or(has)).collect();
        assert!(has("nftables"), "{}", report["programs"]);
        for (part, contenders) in [("answered", &contenders[..]), ("without", &contenders[2..])] {
            let answered = by_name(&report[part]);
            assert_eq!(answered.keys().copied().collect::<Vec<_>>(), sorted(contenders), "{part}");
            for (contender, answered) in answered {
                for asked in ASKED {
                    let by: BTreeMap<&str, u64> =
                        answered[asked].as_object().unwrap().iter().map(number).collect();
                    if part == "answered" {
                        assert!(by.keys().copied().eq(BACKENDS), "{contender}, {asked}: {by:?}");
                        assert_eq!(by.values().sum::<u64>(), ASKED_FOR, "{contender}, {asked}");
                    } else {
                        assert!(by.keys().copied().eq([DECOY]), "without {contender}, {asked}: {by:?}");
                    }
                }
            }
        }
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 12);
        for cell in rows.iter().flat_map(|row| row["cells"].as_array().unwrap()) {
            let is_measured = |field: &str| cell[field].as_f64().is_some_and(|value| value > 0.0);
            assert!(is_measured("value") && is_measured("of_none"), "{cell}");
        }
        let goals: Vec<&str> =
            report["goals"].as_array().unwrap().iter().filter_map(|goal| goal["name"].as_str()).collect();
        let expected = GOALS.into_iter().filter(|goal| has("iptables") || !goal.contains("iptables"));
        assert_eq!(goals, expected.collect::<Vec<_>>());
        assert_eq!(leftovers(&sites), Vec::<String>::new());
    }

    /// Pairs of a name and what belongs to it.
    fn by_name(pairs: &Value) -> BTreeMap<&str, &Value> {
        pairs.as_array().unwrap().iter().map(|pair| (pair[0].as_str().unwrap(), &pair[1])).collect()
    }

    fn number<'v>((name, value): (&'v String, &'v Value)) -> (&'v str, u64) {
        (name, value.as_u64().unwrap())
    }

    fn sorted<'n>(names: &[&'n str]) -> Vec<&'n str> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    }
}
