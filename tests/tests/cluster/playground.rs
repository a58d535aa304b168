//! `cargo xtask cluster up`, `env` and `down`, as somebody uses them.

use std::collections::BTreeMap;
use std::process::{self, Command, Output};
use std::{fs, io};

use edgeloop_tests::agent::program;
use edgeloop_tests::{checkout, leftovers};
use serde_json::Value;

/// Taken down also when the test fails.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        says(self, "down").ok();
    }
}

fn says(cluster: &Named, verb: &str) -> anyhow::Result<Output> {
    Ok(Command::new(checkout::program("edgeloop-cluster")?).args([verb, "--name", &cluster.0]).output()?)
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_cluster_stays_up_between_commands_and_goes_when_told() {
    let cluster = Named(format!("test-{}", process::id()));
    let missing = says(&cluster, "env").unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cargo xtask cluster up"), "{missing:?}");

    let up = says(&cluster, "up").unwrap();
    assert!(up.status.success(), "{up:?}");
    let again = says(&cluster, "up").unwrap();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("up already"), "{again:?}");

    let env = String::from_utf8(says(&cluster, "env").unwrap().stdout).unwrap();
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
    let down = says(&cluster, "down").unwrap();
    assert!(down.status.success(), "{down:?}");
    assert_eq!(leftovers(site), Vec::<String>::new());
    let of_ours = |entry: &io::Result<fs::DirEntry>| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(&cluster.0))
    };
    assert!(!fs::read_dir("/run/edgeloop").unwrap().any(|entry| of_ours(&entry)), "a file is left");
    assert!(says(&cluster, "down").unwrap().status.success(), "a cluster that is down is down");
}
