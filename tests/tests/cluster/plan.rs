//! What `lb-agent plan` says of a running cluster, beside what its pods' connections get.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, program, wait_for};
use edgeloop_tests::cluster::Cluster;
use edgeloop_tests::{Node, Pod, Site};
use serde_json::{Value, json};

/// Two pools of two nodes each, and a node in none; a server on each.
const NODES: [(&str, &str); 5] = [("n1", "p1"), ("n2", "p1"), ("n3", "p2"), ("n4", "p2"), ("n5", "")];

/// Each Service, and who answers it on which node: by hand, from the contract.
const TRUTH: [(&str, [&str; 5]); 5] = [
    ("10.96.0.11:80", ["n1 n2 n3 n4 n5"; 5]),
    ("10.96.0.12:80", ["n1 n2", "n1 n2", "n3 n4", "n3 n4", "n5"]),
    ("10.96.0.13:80", ["n1", "n2", "n3", "n4", "n5"]),
    // The server of n2 is not ready, and there is none for n5.
    ("10.96.0.14:80", ["n1", "n1", "n3", "n3", ""]),
    ("10.96.0.15:80", ["n1 n2", "n1 n2", "n3 n4", "n3 n4", "n1 n2 n3 n4"]),
];

const OBJECTS: &str = "
    service all 10.96.0.11:80
    slice all-1 of all 9376 10.244.1.1@n1 10.244.2.1@n2 10.244.3.1@n3 10.244.4.1@n4 10.244.5.1@n5
    service pool 10.96.0.12:80 topology=openyurt.io/nodepool
    slice pool-1 of pool 9376 10.244.1.1@n1 10.244.2.1@n2 10.244.3.1@n3 10.244.4.1@n4 10.244.5.1@n5
    service host 10.96.0.13:80 topology=kubernetes.io/hostname
    slice host-1 of host 9376 10.244.1.1@n1 10.244.2.1@n2 10.244.3.1@n3 10.244.4.1@n4 10.244.5.1@n5
    service some 10.96.0.14:80 topology=openyurt.io/nodepool
    slice some-1 of some 9376 10.244.1.1@n1 10.244.2.1@n2! 10.244.3.1@n3
    service wide 10.96.0.15:80 topology=openyurt.io/nodepool, *
    slice wide-1 of wide 9376 10.244.1.1@n1 10.244.2.1@n2 10.244.3.1@n3 10.244.4.1@n4
";

/// Of sets of five and fewer, one that was never dialled in so many times is none: the chance of missing one
/// is 4 in 10^10.
const OFTEN: usize = 100;

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_plan_for_all_nodes_agrees_with_what_connections_show() {
    let site = Site::new().unwrap();
    let cluster = Cluster::up(&site).unwrap();
    let (nodes, servers): (Vec<Node>, Vec<Pod>) =
        (1..).zip(NODES).map(|of| node(&site, &cluster, of).unwrap()).collect();
    cluster.apply_lines(OBJECTS).unwrap();
    let kubeconfig = reader(&cluster).unwrap();
    let agents = cluster.agent_kubeconfig().unwrap();
    let flags = ["--kubeconfig", agents.to_str().unwrap()];
    let agents: Vec<Agent> =
        nodes.iter().map(|node| Agent::follow(&cluster, node, &flags).unwrap()).collect();
    for agent in &agents {
        agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date()).unwrap();
    }

    let all: Vec<Value> =
        json_of(&plan(&cluster, &kubeconfig, &["--all-nodes", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(all.len(), NODES.len());
    for (place, (name, _)) in NODES.iter().enumerate() {
        let one: Value =
            json_of(&plan(&cluster, &kubeconfig, &["--node", name, "-o", "json"]).unwrap()).unwrap();
        assert_eq!(one, all[place], "the plan for {name} alone is the one among all");
        for (address, truth) in TRUTH {
            let truth: BTreeSet<String> = truth[place].split_whitespace().map(str::to_owned).collect();
            assert_eq!(planned(&one, address).unwrap(), truth, "planned for {address} on {name}");
            assert_eq!(answered(&servers[place], address).unwrap(), truth, "{address} on {name}");
        }
    }

    // A change is in both.
    cluster.apply_lines("service host 10.96.0.13:80 topology=openyurt.io/nodepool").unwrap();
    wait_for("the change", || Ok(answered(&servers[0], "10.96.0.13:80")?.len() == 2)).unwrap();
    let one: Value = json_of(&plan(&cluster, &kubeconfig, &["--node", "n1", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(planned(&one, "10.96.0.13:80").unwrap(), ["n1", "n2"].map(str::to_owned).into());
}

/// One node with a pod that serves its node's name and is a client as well.
fn node(site: &Site, cluster: &Cluster, (net, (name, pool)): (u8, (&str, &str))) -> Result<(Node, Pod)> {
    let pool = if pool.is_empty() { String::new() } else { format!(" pool={pool}") };
    cluster.apply_lines(&format!("node {name}{pool}"))?;
    let node = site.node(name)?;
    let pod = node.pod(name, &format!("10.244.{net}.1"))?;
    pod.serve_name(9376)?;
    Ok((node, pod))
}

/// Someone at a laptop, who may list what a plan is made of.
fn reader(cluster: &Cluster) -> Result<std::path::PathBuf> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}});
    let rules = json!([
        {"apiGroups": [""], "resources": ["services", "nodes"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ]);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "reader"}, "rules": rules});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}]});
    for object in [account, role, binding] {
        cluster.api().create(&object)?;
    }
    cluster.account_kubeconfig("default", "reader")
}

fn plan(cluster: &Cluster, kubeconfig: &Path, flags: &[&str]) -> Result<Output> {
    let mut command = cluster.command(program()?);
    let output = command.arg("plan").arg("--kubeconfig").arg(kubeconfig).args(flags).output();
    output.context("could not run lb-agent")
}

fn json_of<T: serde::de::DeserializeOwned>(output: &Output) -> Result<T> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).context("not JSON")
}

/// The nodes whose servers a plan gives an address.
fn planned(plan: &Value, address: &str) -> Result<BTreeSet<String>> {
    let (host, _port) = address.split_once(':').context("not an address")?;
    let ports = plan.get("servicePorts").and_then(Value::as_array).context("no ports")?;
    let port = ports.iter().find(|port| port.get("clusterIP").is_some_and(|found| found == host));
    let backends = port.and_then(|port| port.get("backends")?.as_array()).context("not planned")?;
    // 10.244.N.1:9376 is of the node nN.
    let node = |backend: &Value| Some(format!("n{}", backend.as_str()?.split('.').nth(2)?));
    backends.iter().map(|backend| node(backend).context("not a backend")).collect()
}

/// Who answers.
fn answered(client: &Pod, address: &str) -> Result<BTreeSet<String>> {
    let answers = client.dial(address, OFTEN)?;
    Ok(answers.into_iter().filter_map(|answer| answer.result.ok()).collect())
}
