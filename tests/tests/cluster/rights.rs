//! What an agent may ask of the API server, and how it reaches it.

use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::cluster::{Fault, Front, Proxy};
use lb_agent::view::diagnostic::Reason;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage, assert_all_answered, within};

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Groups and resources; the second part of a resource is a subresource.
const RESOURCES: [(&str, &str); 19] = [
    ("", "services"),
    ("", "services/status"),
    ("", "endpoints"),
    ("", "nodes"),
    ("", "nodes/status"),
    ("", "nodes/proxy"),
    ("", "pods"),
    ("", "pods/exec"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "namespaces"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "events"),
    ("discovery.k8s.io", "endpointslices"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
    ("apps", "daemonsets"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
];

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_may_read_what_it_follows_and_make_events_and_nothing_else() {
    let stage = Stage::new().unwrap();
    stage.cluster.agent_kubeconfig().unwrap();
    let mut may = Vec::new();
    for (group, resource) in RESOURCES {
        for verb in VERBS {
            if is_allowed(&stage, verb, group, resource).unwrap() {
                may.push(format!("{verb} {resource}"));
            }
        }
    }
    assert_eq!(
        may,
        [
            "list services",
            "watch services",
            "list nodes",
            "watch nodes",
            "list pods",
            "watch pods",
            "list namespaces",
            "watch namespaces",
            "create events",
            "list endpointslices",
            "watch endpointslices",
        ]
    );
}

/// The API server itself decides, as for `kubectl auth can-i --as`.
fn is_allowed(stage: &Stage, verb: &str, group: &str, resource: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:kube-system:edgeloop-agent",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            "resourceAttributes": {
                "namespace": "kube-system", "verb": verb, "group": group,
                "resource": resource, "subresource": subresource,
            },
        },
    });
    let answer = stage.cluster.api().post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review)?;
    answer.pointer("/status/allowed").and_then(Value::as_bool).context("no answer")
}

/// The API server is reached at the address of `default/kubernetes`, which has no endpoints here: the agent's
/// own maps refuse every connection to it, but for the agent's own.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_does_not_reach_its_api_server_through_its_own_maps() {
    let stage = Stage::new().unwrap();
    let own = "10.96.0.1:443";
    stage.cluster.answer_for("10.96.0.0/16").unwrap();
    let proxy = Proxy::start_at(&stage.cluster, Front::Raw, 443).unwrap();
    let agent = stage.follow(Some(&proxy.address_at("10.96.0.1"))).unwrap();
    within(SOON, "the maps know the address", || Ok(stage.holds(own)? == "refused")).unwrap();
    let load = stage.load().unwrap();

    // Of the same cgroup and network namespace, and not the agent.
    let neighbour = || stage.cluster.dial(&stage.node, own);
    assert!(neighbour().unwrap().failed_with("ECONNREFUSED"), "{:?}", neighbour());
    // All connections are new ones from here on.
    for number in 20..23 {
        proxy.plant(Fault::Drop);
        agent.wait_until("it is cut off", |view| !view.is_up_to_date()).unwrap();
        proxy.plant(Fault::Pass);
        let made = format!("10.96.0.{number}:80");
        let lines = format!("service s{number} {made}\nslice s{number}-1 of s{number} 9376 10.244.1.2");
        stage.change(&lines, &made, "10.244.1.2:9376").unwrap();
        agent.wait_until("in sync", |view| view.is_up_to_date()).unwrap();
    }
    assert_eq!(stage.holds(own).unwrap(), "refused");
    assert!(neighbour().unwrap().failed_with("ECONNREFUSED"));
    assert_eq!(agent.view().unwrap().with(Reason::Connection).count(), 0);
    assert_all_answered(load).unwrap();
}

/// In a cluster where nothing happens at all.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_in_peace_stays_in_sync_and_asks_for_nothing_but_its_watches() {
    let stage = Stage::new().unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Http).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    let at_first = agent.view().unwrap();
    std::thread::sleep(Duration::from_secs(40));
    let view = agent.view().unwrap();
    let asked = proxy.report().requests;
    assert_eq!(view.api, at_first.api, "{asked:#?}");
    // A list that a watch tells, then a watch of its own, which is renewed before it is taken for dead.
    assert!(asked.iter().all(|path| path.contains("watch=true")), "{asked:#?}");
    assert_eq!(asked.iter().filter(|path| path.contains("sendInitialEvents")).count(), 5, "{asked:#?}");
    assert!(asked.len() <= 20, "{asked:#?}");
}
