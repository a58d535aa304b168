//! What the owner of a Service reads of a topology that is not understood.

use std::thread;
use std::time::Duration;

use edgeloop_tests::Site;
use edgeloop_tests::agent::{Agent, wait_for};
use edgeloop_tests::cluster::Cluster;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/namespaces/default/events";
const SERVICE: &str = "/api/v1/namespaces/default/services/web";

/// Ours: an API server has some of its own to tell of Services.
fn events(cluster: &Cluster) -> anyhow::Result<Vec<Value>> {
    let all = cluster.api().list(EVENTS)?;
    Ok(all.into_iter().filter(|event| event["source"]["component"] == "edgeloop").collect())
}

/// Longer than an agent takes to say it.
fn all_have_spoken() {
    thread::sleep(Duration::from_secs(12));
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_topology_that_is_not_understood_is_one_event_however_many_nodes_see_it() {
    let site = Site::new().unwrap();
    let cluster = Cluster::up(&site).unwrap();
    cluster
        .apply_lines(
            "node n1 pool=p1\nnode n2 pool=p1\nnode n3 pool=p2\n\
             service good 10.96.0.10:80 topology=openyurt.io/nodepool\n\
             service web 10.96.0.11:80 topology=openyurt.io/nodepol",
        )
        .unwrap();
    let uid = cluster.api().get(SERVICE).unwrap()["metadata"]["uid"].clone();
    let kubeconfig = cluster.agent_kubeconfig().unwrap();
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let mut agents = ["n1", "n2", "n3"]
        .map(|name| Agent::follow(&cluster, &site.node(name).unwrap(), &flags).unwrap())
        .into_iter();

    wait_for("an Event tells of it", || Ok(!events(&cluster)?.is_empty())).unwrap();
    all_have_spoken();
    let told = events(&cluster).unwrap();
    assert_eq!(told.len(), 1, "{told:#?}");
    let event = &told[0];
    assert_eq!(
        (&event["type"], &event["reason"], &event["count"]),
        (&json!("Warning"), &json!("InvalidTopology"), &json!(1))
    );
    let about = &event["involvedObject"];
    assert_eq!((&about["kind"], &about["name"], &about["uid"]), (&json!("Service"), &json!("web"), &uid));
    assert!(event["message"].as_str().unwrap().contains("openyurt.io/nodepol"), "{event:#?}");

    // One that is started anew has nothing to add.
    assert_eq!(agents.next().unwrap().end_by(Signal::SIGTERM).unwrap(), Some(0));
    cluster.apply_lines("node n4 pool=p2").unwrap();
    let again = Agent::follow(&cluster, &site.node("n4").unwrap(), &flags).unwrap();
    again.wait_until("it is ready", |view| view.ready).unwrap();
    // Another mistake is another Event; a corrected one makes no Event.
    let annotate = |keys: &str| json!({"metadata": {"annotations": {"openyurt.io/topologyKeys": keys}}});
    cluster.api().merge(SERVICE, &annotate("nonsense")).unwrap();
    wait_for("another Event tells of the other mistake", || Ok(events(&cluster)?.len() == 2)).unwrap();
    cluster.api().merge(SERVICE, &annotate("openyurt.io/nodepool")).unwrap();
    all_have_spoken();
    assert_eq!(events(&cluster).unwrap().len(), 2);
}
