//! An uninstallation against a small API server.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::api::testing::server::{Reply, Server as ApiServer};

const PATH: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/edgeloop";

#[tokio::test]
async fn the_daemon_set_is_patched_once_and_each_node_is_said_once() {
    let server = ApiServer::start().await;
    let looks = Arc::new(Mutex::new(0));
    let of_server = Arc::clone(&looks);
    server.otherwise(move |path| {
        let mut looks = of_server.lock().unwrap();
        if path.contains("/pods?") {
            return Some(Reply::json(&pods(&[
                ("n1", "new", "True"),
                ("n2", "new", if *looks < 4 { "False" } else { "True" }),
            ])));
        }
        *looks += 1;
        Some(Reply::json(&daemon_set("agent", 2, *looks)))
    });
    let (end, said) = run(&server, 30).await;
    assert_eq!(end.unwrap(), End::Done);
    assert_eq!(
        said,
        [
            "DaemonSet kube-system/edgeloop is changed: its pods remove programs and maps",
            "everything is removed: n1",
            "everything is removed: n2",
            "everything is removed on all 2 nodes",
        ]
    );
    let patches = server.patches();
    let [(path, patch)] = &patches[..] else { panic!("{patches:?}") };
    assert_eq!(path, PATH);
    let expected = json!({"spec": {
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": null}},
        "template": {"spec": {"containers": [{"name": "agent", "args": ["cleanup", "--stop", "--hold"]}]}},
    }});
    assert_eq!(*patch, expected);
}

#[tokio::test]
async fn nodes_that_cannot_be_reached_hold_nothing_up_and_those_that_fail_are_an_error() {
    for (left, end, says) in [
        (
            ("n2", "old", "False"),
            End::Done,
            "unreachable or not ready: n2: run `lb-agent cleanup --stop` there",
        ),
        (("n2", "new", "False"), End::Left, "not done: n2: its pod has not removed everything yet"),
        (("n2", "old", "True"), End::Left, "not done: n2: its pod is still the one of before"),
    ] {
        let server = ApiServer::start().await;
        server.otherwise(move |path| {
            let is_list = path.contains("/pods?");
            let pods = || pods(&[("n1", "new", "True"), left]);
            Some(Reply::json(&if is_list { pods() } else { daemon_set("agent", 2, 0) }))
        });
        let (got, said) = run(&server, 2).await;
        assert_eq!(got.unwrap(), end, "{said:?}");
        assert_eq!(said[2..], [says, "after 2 s everything is removed on 1 nodes"]);
    }
}

#[tokio::test]
async fn without_the_daemon_set_nothing_is_to_be_done_and_another_one_is_left_alone() {
    let server = ApiServer::start().await;
    server.otherwise(|_| Some(Reply::refusal(404, "")));
    let (end, said) = run(&server, 5).await;
    assert_eq!(end.unwrap(), End::Done);
    assert_eq!(said, ["there is no DaemonSet kube-system/edgeloop: nothing is to be done"]);

    server.otherwise(|_| Some(Reply::json(&daemon_set("web", 2, 0))));
    let (end, _) = run(&server, 5).await;
    let error = end.unwrap_err().to_string();
    assert_eq!(error, "DaemonSet kube-system/edgeloop has no container \"agent\": is it Edgeloop's?");
    assert_eq!(server.patches(), []);
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again_until_the_time_is_over() {
    let server = ApiServer::start().await;
    let mut refusals = vec![503, 429, 403].into_iter();
    server.otherwise(move |path| {
        if let Some(code) = refusals.next() {
            return Some(Reply::refusal(code, ""));
        }
        let is_list = path.contains("/pods?");
        Some(Reply::json(&if is_list { pods(&[("n1", "new", "True")]) } else { daemon_set("agent", 1, 0) }))
    });
    let (end, said) = run(&server, 20).await;
    assert_eq!(end.unwrap(), End::Done, "{said:?}");

    server.otherwise(|_| Some(Reply::refusal(500, "")));
    let (end, _) = run(&server, 1).await;
    let error = end.unwrap_err().to_string();
    assert!(
        error.starts_with("could not read DaemonSet kube-system/edgeloop at http://127.0.0.1:"),
        "{error}"
    );
}

async fn run(server: &ApiServer, seconds: u64) -> (Result<End, UninstallError>, Vec<String>) {
    let target = Target {
        namespace: "kube-system".to_owned(),
        daemon_set: "edgeloop".to_owned(),
        timeout: Duration::from_secs(seconds),
    };
    let mut said = Vec::new();
    let end = uninstall(server.config(), target, |text| said.push(text.to_owned())).await;
    (end, said)
}

/// `ready` only makes one status differ from another.
fn daemon_set(container: &str, desired: usize, ready: usize) -> Value {
    json!({
        "metadata": {"uid": "u", "generation": 2},
        "spec": {
            "selector": {"matchLabels": {"app": "edgeloop"}},
            "template": {"spec": {"containers": [{"name": container, "args": ["run"]}]}},
        },
        "status": {"observedGeneration": 2, "desiredNumberScheduled": desired, "numberReady": ready},
    })
}

fn pods(pods: &[(&str, &str, &str)]) -> Value {
    let pod = |(node, which, ready): &(&str, &str, &str)| {
        let args = if *which == "new" { json!(["cleanup", "--stop", "--hold"]) } else { json!(["run"]) };
        json!({
            "metadata": {"name": node, "ownerReferences": [{"uid": "u"}]},
            "spec": {"nodeName": node, "containers": [{"name": "agent", "args": args}]},
            "status": {
                "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": ready}],
            },
        })
    };
    json!({"metadata": {}, "items": pods.iter().map(pod).collect::<Vec<_>>()})
}
