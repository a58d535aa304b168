//! `cargo xtask cluster up`, `env` and `down`, as somebody uses them.

use std::collections::BTreeMap;
use std::process::{self, Command, Output};

use edgeloop_tests::agent::program;
use edgeloop_tests::leftovers;
use serde_json::Value;

struct Cluster(String);

impl Cluster {
    fn says(&self, verb: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_edgeloop-cluster")).args([verb, "--name", &self.0]).output().unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.says("down");
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_cluster_stays_up_between_commands_and_goes_when_told() {
    let cluster = Cluster(format!("test-{}", process::id()));
    let missing = cluster.says("env");
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cargo xtask cluster up"), "{missing:?}");

    let up = cluster.says("up");
    assert!(up.status.success(), "{up:?}");
    let again = cluster.says("up");
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("up already"), "{again:?}");

    let env = String::from_utf8(cluster.says("env").stdout).unwrap();
    let set = env.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let set: BTreeMap<&str, &str> = set.collect();
    let plan = Command::new(program().unwrap())
        .args(["plan", "--all-nodes", "-o", "json", "--kubeconfig", set["KUBECONFIG"]])
        .output()
        .unwrap();
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap_or_else(|_| panic!("{plan:?}"));
    let pools: BTreeMap<_, _> =
        plan.as_array().unwrap().iter().map(|p| (p["node"].as_str(), p["pool"].as_str())).collect();
    assert_eq!(
        pools,
        BTreeMap::from([
            (Some("edge-node2"), Some("hangzhou")),
            (Some("kind-control-plane"), Some("beijing")),
            (Some("kind-worker"), Some("hangzhou")),
            (Some("kind-worker2"), Some("shanghai")),
            (Some("lone-node"), None),
        ])
    );

    let site = set["EDGELOOP_NODES"].rsplit('/').next().unwrap();
    assert!(!leftovers(site).is_empty(), "this is how it would be found");
    let down = cluster.says("down");
    assert!(down.status.success(), "{down:?}");
    assert_eq!(leftovers(site), Vec::<String>::new());
    assert!(cluster.says("down").status.success(), "a cluster that is down is down");
}
