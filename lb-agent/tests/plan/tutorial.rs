//! The tutorial's truth, node by node.

use serde_json::{Value, json};

use crate::folder::{plan, tutorial};

const ALL: [&str; 4] = ["10.244.1.2:9376", "10.244.1.3:9376", "10.244.2.2:9376", "10.244.2.3:9376"];
const HANGZHOU: [&str; 2] = ["10.244.2.2:9376", "10.244.2.3:9376"];
const SHANGHAI: [&str; 2] = ["10.244.1.2:9376", "10.244.1.3:9376"];
const IN_HANGZHOU: &str = "node kind-worker is in pool hangzhou";
const IN_SHANGHAI: &str = "node kind-worker2 is in pool shanghai";

#[test]
fn clients_in_hangzhou_are_answered_by_hangzhous_pods_on_both_of_its_nodes() {
    for node in ["kind-worker", "edge-node2"] {
        let svc_ud1 = svc_ud1(
            "pool hangzhou",
            "forward",
            &HANGZHOU,
            json!([
                {"backend": SHANGHAI[0], "why": IN_SHANGHAI},
                {"backend": SHANGHAI[1], "why": IN_SHANGHAI},
            ]),
        );
        assert_eq!(planned(node), expected(node, json!("hangzhou"), svc_ud1));
    }
}

#[test]
fn clients_in_shanghai_are_answered_by_shanghais_pods() {
    let svc_ud1 = svc_ud1(
        "pool shanghai",
        "forward",
        &SHANGHAI,
        json!([
            {"backend": HANGZHOU[0], "why": IN_HANGZHOU},
            {"backend": HANGZHOU[1], "why": IN_HANGZHOU},
        ]),
    );
    assert_eq!(planned("kind-worker2"), expected("kind-worker2", json!("shanghai"), svc_ud1));
}

#[test]
fn clients_in_a_pool_without_pods_and_in_no_pool_are_refused() {
    for (node, pool, level) in
        [("kind-control-plane", json!("beijing"), "pool beijing"), ("lone-node", Value::Null, "this node")]
    {
        let svc_ud1 = svc_ud1(
            level,
            "refuse",
            &[],
            json!([
                {"backend": SHANGHAI[0], "why": IN_SHANGHAI},
                {"backend": SHANGHAI[1], "why": IN_SHANGHAI},
                {"backend": HANGZHOU[0], "why": IN_HANGZHOU},
                {"backend": HANGZHOU[1], "why": IN_HANGZHOU},
            ]),
        );
        assert_eq!(planned(node), expected(node, pool, svc_ud1));
    }
}

#[test]
fn a_person_reads_a_table() {
    let answer = plan(&[&tutorial()], &["--node", "kind-worker2"], &[]);
    let said = answer.stdout.split("Ignored:").next().unwrap();
    assert_eq!(said, "\
node kind-worker2, pool shanghai

 SERVICE                              PROTOCOL  CLUSTER IP     TOPOLOGY              OUTCOME  BACKENDS
 default/svc-ud1:80                   TCP       10.96.0.11:80  openyurt.io/nodepool  forward  2: 10.244.1.2:9376, 10.244.1.3:9376
 default/svc-ud1-without-topology:80  TCP       10.96.0.12:80  -                     forward  4: 10.244.1.2:9376, 10.244.1.3:9376, 10.244.2.2:9376, 10.244.2.3:9376

Not used:
  default/svc-ud1:80 TCP 10.96.0.11:80
    10.244.2.2:9376, 10.244.2.3:9376: node kind-worker is in pool hangzhou

");
}

fn planned(node: &str) -> Value {
    let answer = plan(&[&tutorial()], &["--node", node, "-o", "json"], &[]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    answer.json()
}

fn expected(node: &str, pool: Value, svc_ud1: Value) -> Value {
    let file = |name: &str| tutorial().join(name).display().to_string();
    json!({
        "node": node,
        "pool": pool,
        "servicePorts": [svc_ud1, {
            "namespace": "default", "service": "svc-ud1-without-topology", "portName": "", "protocol": "TCP",
            "clusterIP": "10.96.0.12", "port": 80, "topology": null,
            "outcome": "forward", "level": "all nodes", "backends": ALL, "excluded": [],
        }],
        "ignored": [
            {"object": file("nodepools.yaml"),
             "why": "NodePool of apps.openyurt.io/v1beta2 is not read here: 3 skipped"},
            {"object": file("workloads.yaml"),
             "why": "YurtAppSet of apps.openyurt.io/v1beta1 is not read here: 2 skipped"},
        ],
    })
}

fn svc_ud1(level: &str, outcome: &str, backends: &[&str], excluded: Value) -> Value {
    json!({
        "namespace": "default", "service": "svc-ud1", "portName": "", "protocol": "TCP",
        "clusterIP": "10.96.0.11", "port": 80, "topology": "openyurt.io/nodepool",
        "outcome": outcome, "level": level, "backends": backends, "excluded": excluded,
    })
}
