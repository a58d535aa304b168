//! Pods that Kubernetes makes and binds.

use std::time::Duration;

use edgeloop_tests::agent::{Agent, wait_for};
use edgeloop_tests::cluster::{Cluster, Kubelet};
use edgeloop_tests::{Site, leftovers};
use serde_json::json;

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn pods_of_a_deployment_serve_their_own_pool_alone() {
    let site = Site::new().unwrap();
    let name = site.name().to_owned();
    let cluster = Cluster::with_controllers(&site).unwrap();
    let (n1, n2) = (site.node("n1").unwrap(), site.node("n2").unwrap());
    let pool = |pool: &str| json!({"apps.openyurt.io/nodepool": pool});
    let kubelet = Kubelet::start(&cluster, &[(n1.clone(), pool("p1")), (n2.clone(), pool("p2"))]).unwrap();
    for object in [
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "web", "ports": [{"containerPort": 9376}]},
            ]}},
        }}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "web", "annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"},
        }, "spec": {
            "clusterIP": "10.96.0.11", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 9376}],
        }}),
    ] {
        cluster.api().create(&object).unwrap();
    }
    let kubeconfig = cluster.agent_kubeconfig().unwrap();
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let _agents = [&n1, &n2].map(|node| Agent::follow(&cluster, node, &flags).unwrap());
    wait_for("both pods run", || Ok(kubelet.names().len() == 2)).unwrap();
    for (node, address, own) in [(&n1, "10.244.1.9", "10.244.1.1"), (&n2, "10.244.2.9", "10.244.2.1")] {
        let client = node.pod("client", address).unwrap();
        client.wait_until("10.96.0.11:80", |answer| answer.result.is_ok(), Duration::from_secs(20)).unwrap();
        for answer in client.dial("10.96.0.11:80", 20).unwrap() {
            let peer = answer.peer.map(|peer| peer.ip().to_string());
            assert_eq!(peer.as_deref(), Some(own), "{answer:?}");
        }
    }

    drop((_agents, kubelet, cluster, n1, n2, site));
    assert_eq!(leftovers(&name), Vec::<String>::new());
}
