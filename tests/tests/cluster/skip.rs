//! Labels of pods and namespaces at a real API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::Pod;
use lb_agent::view::diagnostic::Reason;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage, WEB, within};

const POD: &str = "/api/v1/namespaces/mesh/pods/proxied";
const NAMESPACE: &str = "/api/v1/namespaces/mesh";

/// A decoy holds the Service's address: what is left alone reaches it.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_label_at_the_api_server_switches_a_running_pod_off_and_on() {
    let stage = Stage::new().unwrap();
    let uid = make_pod(&stage).unwrap();
    let pod = stage.node.pod("proxied", "10.244.1.20").unwrap();
    let pod =
        pod.within(Path::new("kubepods/burstable").join(format!("pod{uid}")).join("container")).unwrap();
    let at: std::net::SocketAddr = WEB.parse().unwrap();
    pod.add_addresses(&[at.ip()]).unwrap();
    pod.serve(at, "decoy").unwrap();
    let agent = stage.follow(None).unwrap();
    wait_for_answer(&pod, "a").unwrap();
    for (path, label, expected) in [
        (POD, json!("true"), "decoy"),
        (POD, json!(null), "a"),
        (NAMESPACE, json!("true"), "decoy"),
        (NAMESPACE, json!("false"), "a"),
    ] {
        stage
            .cluster
            .api()
            .merge(path, &json!({"metadata": {"labels": {"edgeloop.io/skip": label}}}))
            .unwrap();
        let took = wait_for_answer(&pod, expected).unwrap();
        println!("{path} {label}: after {took:?}");
        assert!(stage.client.dial(WEB, 1).unwrap()[0].is_from("a"), "the others are served");
    }
    stage.cluster.api().merge(POD, &json!({"metadata": {"labels": {"edgeloop.io/skip": "true"}}})).unwrap();
    wait_for_answer(&pod, "decoy").unwrap();
    assert_eq!(agent.view().unwrap().skipped_pods.len(), 1);
    stage.cluster.api().delete_now(POD).unwrap();
    wait_for_answer(&pod, "a").unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_without_the_right_to_read_pods_serves_and_says_so() {
    let stage = Stage::new().unwrap();
    let kubeconfig = stage.cluster.agent_kubeconfig().unwrap();
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/edgeloop-agent";
    let rules = stage.cluster.api().get(role).unwrap()["rules"].as_array().unwrap().clone();
    let is_of_pods = |rule: &Value| rule["resources"].as_array().unwrap().contains(&json!("pods"));
    let rules: Vec<Value> = rules.into_iter().filter(|rule| !is_of_pods(rule)).collect();
    stage.cluster.api().merge(role, &json!({"rules": rules})).unwrap();

    let agent = stage.follow_with(&kubeconfig, None).unwrap();

    assert!(stage.client.dial(WEB, 1).unwrap()[0].is_from("a"));
    let view = agent.wait_until("it says so", |view| view.with(Reason::Connection).count() == 2).unwrap();
    assert!(view.ready, "{view:#?}");
    let said: Vec<&str> = view.with(Reason::Connection).map(|found| found.message.as_str()).collect();
    for (said, kind) in said.iter().zip(["Namespaces", "Pods"]) {
        assert!(said.starts_with(&format!("refuses {kind} to the agent: ")), "{said}");
    }
    stage.change("slice web-1 of web 9376 10.244.1.2@n1", WEB, "10.244.1.2:9376").unwrap();
}

/// Gives its uid.
fn make_pod(stage: &Stage) -> Result<String> {
    let api = stage.cluster.api();
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "mesh"}}),
    ] {
        api.apply(&object)?;
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "proxied", "namespace": "mesh"},
        "spec": {"nodeName": "n1", "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]}});
    let made = api.create(&pod)?;
    Ok(made.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?.to_owned())
}

fn wait_for_answer(pod: &Pod, expected: &str) -> Result<Duration> {
    within(SOON, expected, || Ok(pod.dial(WEB, 1)?.iter().all(|answer| answer.is_from(expected))))
}
