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
