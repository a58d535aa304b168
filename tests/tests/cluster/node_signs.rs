//! What an agent makes known on its own Node, with the rights that the chart gives for it.

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, program};
use edgeloop_tests::cluster::{Api, Patch};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::chart::rendered_text;
use crate::stage::{SOON, STARTED, Stage, within};

const NODE: &str = "/api/v1/nodes/n1";
const OTHER_NODE: &str = "/api/v1/nodes/n2";
const CONDITION: &str = "edgeloop.io/Covered";
const TAINT: &str = "edgeloop.io/not-covered";
const VALUES: &str = "nodeCondition.enabled=true,startupTaint.enabled=true";

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_node_that_is_covered_loses_its_start_up_taint_and_says_so_until_it_is_cleaned_up() {
    let stage = Stage::new().unwrap();
    let (api, token) = (stage.cluster.api(), rights(&stage).unwrap());
    let other = json!({"key": "example.com/other", "effect": "NoSchedule"});
    let ours = json!({"key": TAINT, "effect": "NoSchedule"});
    api.merge(NODE, &json!({"spec": {"taints": [other, ours]}})).unwrap();
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test"}]}});
    api.patch(&format!("{NODE}/status"), Patch::Strategic, &ready).unwrap();
    assert_eq!(condition(&stage).unwrap(), None);

    let kubeconfig = stage.cluster.write_kubeconfig("pod", &token).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let flags = ["--kubeconfig", kubeconfig, "--node-condition", "--startup-taint", TAINT];
    let start = || Agent::follow(&stage.cluster, &stage.node, &flags).unwrap();
    let agent = start();
    within(STARTED, "the node says that it is covered", || Ok(condition(&stage)?.is_some())).unwrap();
    let first = condition(&stage).unwrap().unwrap();
    assert_eq!((&first["status"], &first["reason"]), (&json!("True"), &json!("Covered")));
    assert!(first["lastTransitionTime"].is_string(), "{first}");
    within(SOON, "the taint is gone", || Ok(api.get(NODE)?["spec"]["taints"] == json!([other]))).unwrap();
    let conditions = api.get(NODE).unwrap()["status"]["conditions"].clone();
    assert!(conditions.to_string().contains("\"Test\""), "{conditions}");

    // Its end changes nothing, and another agent has nothing to add.
    assert_eq!(agent.end_by(Signal::SIGTERM).unwrap(), Some(0));
    let agent = start();
    agent.wait_until("it is ready", |view| view.ready).unwrap();
    std::thread::sleep(SOON);
    assert_eq!(condition(&stage).unwrap().as_ref(), Some(&first), "{}", agent.log());
    assert_eq!(agent.end_by(Signal::SIGTERM).unwrap(), Some(0));

    let mut cleanup = stage.cluster.command(program().unwrap());
    cleanup.args(["cleanup", "--node-condition", "--node", "n1", "--kubeconfig", kubeconfig]);
    let output = cleanup.arg("--pin-root").arg(stage.node.pin_root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("removed the condition of the Node n1"), "{output:?}");
    assert_eq!(condition(&stage).unwrap(), None);
    assert!(api.get(NODE).unwrap()["status"]["conditions"].to_string().contains("\"Test\""));
}

/// What roles cannot say, the chart's policy does.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_changes_its_own_node_alone_and_nothing_else_of_it() {
    let stage = Stage::new().unwrap();
    stage.cluster.apply_lines("node n2 pool=p1").unwrap();
    let agent = stage.cluster.api_with(&rights(&stage).unwrap()).unwrap();
    let taints = |taints: &[&str]| {
        let taints: Vec<Value> =
            taints.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
        json!({"spec": {"taints": taints}})
    };
    for node in [NODE, OTHER_NODE] {
        stage.cluster.api().merge(node, &taints(&["example.com/other", TAINT])).unwrap();
    }
    let says = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
    let status = |node: &str| format!("{node}/status");
    let refused = [
        (status(OTHER_NODE), says(CONDITION), "changes its own Node alone"),
        (OTHER_NODE.to_owned(), taints(&["example.com/other"]), "changes its own Node alone"),
        (status(NODE), says("Ready"), "writes the condition"),
        (NODE.to_owned(), taints(&[TAINT]), "removes its start-up taint and no other"),
        (NODE.to_owned(), taints(&["example.com/other", TAINT, "x"]), "removes its start-up taint"),
        (NODE.to_owned(), json!({"metadata": {"labels": {"a": "b"}}}), "of its Node alone"),
        (NODE.to_owned(), json!({"spec": {"unschedulable": true}}), "of its Node alone"),
    ];
    for (path, patch, why) in refused {
        // A policy is in force some time after it was made.
        within(STARTED, &format!("{path} {patch}"), || Ok(why_not(&agent, &path, &patch)?.contains(why)))
            .unwrap();
    }
    for (path, patch) in [
        (status(NODE), says(CONDITION)),
        (status(NODE), json!({"status": {"conditions": [{"$patch": "delete", "type": CONDITION}]}})),
        (NODE.to_owned(), taints(&["example.com/other"])),
    ] {
        assert_eq!(why_not(&agent, &path, &patch).unwrap(), "", "{path} {patch}");
    }
}

/// Why the API server refuses a patch as an agent makes it; nothing where it does not. Nothing is changed by it.
fn why_not(agent: &Api, path: &str, patch: &Value) -> Result<String> {
    match agent.patch(&format!("{path}?dryRun=All"), Patch::Strategic, patch) {
        Ok(_) => Ok(String::new()),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Gives agents their rights, as the chart does, and returns the token of one on `n1`.
fn rights(stage: &Stage) -> Result<String> {
    stage.cluster.agent_kubeconfig()?;
    let text = rendered_text("1.36.0", &["--set", VALUES, "--show-only", "templates/node.yaml"])?;
    stage.cluster.apply_text(&text)?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent-n1", "namespace": "kube-system"},
        "spec": {
            "nodeName": "n1", "serviceAccountName": "edgeloop-agent",
            "containers": [{"name": "agent", "image": "none"}],
        },
    });
    let pod = stage.cluster.api().create(&pod)?;
    stage.cluster.pod_token("kube-system", "edgeloop-agent", &pod)
}

/// The Node's condition, if it has one.
fn condition(stage: &Stage) -> Result<Option<Value>> {
    let node = stage.cluster.api().get(NODE)?;
    let conditions = node["status"]["conditions"].as_array().cloned().context("no conditions");
    Ok(conditions.unwrap_or_default().into_iter().find(|condition| condition["type"] == CONDITION))
}
