//! An uninstallation by way of a DaemonSet, with the real DaemonSet controller.

use std::process::Output;

use anyhow::{Context, Result};
use edgeloop_tests::Site;
use edgeloop_tests::agent::{program, wait_for};
use edgeloop_tests::cluster::{Cluster, Kubelet, Patch, patiently};
use serde_json::{Value, json};

const DAEMON_SET: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/edgeloop";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";

/// The nodes `n1` and `n2` have kubelets, `n3` has none any more.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn every_node_that_hears_of_it_cleans_up_and_the_others_are_named() {
    let site = Site::new().unwrap();
    let cluster = Cluster::with_controllers(&site).unwrap();
    let nodes = ["n1", "n2"].map(|name| (site.node(name).unwrap(), json!({})));
    let kubelet = Kubelet::start(&cluster, &nodes).unwrap();
    cluster.register("n3", &json!({})).unwrap();
    for object in objects() {
        patiently(404, || cluster.api().apply(&object)).unwrap();
    }
    let kubeconfig = cluster.account_kubeconfig("kube-system", "edgeloop-uninstall").unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    wait_for("the pods run", || Ok(kubelet.names().len() == 2 && pod_on(&cluster, "n3")?.is_some())).unwrap();
    let lost = pod_on(&cluster, "n3").unwrap().unwrap();
    for ready in ["True", "False"] {
        let status = json!({"status": {
            "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        cluster.api().patch(&format!("{PODS}/{lost}/status"), Patch::Strategic, &status).unwrap();
    }

    let output = uninstall(&cluster, kubeconfig, "15").unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "DaemonSet kube-system/edgeloop is changed: its pods remove programs and maps",
        "everything is removed: n1",
        "everything is removed: n2",
        "unreachable or not ready: n3: run `lb-agent cleanup --stop` there",
        "after 15 s everything is removed on 2 nodes",
    ] {
        assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{line}: {said}");
    }
    for node in ["n1", "n2"] {
        let pod = cluster.api().get(&format!("{PODS}/{}", pod_on(&cluster, node).unwrap().unwrap())).unwrap();
        let args = pod.pointer("/spec/containers/0/args");
        assert_eq!(args, Some(&json!(["cleanup", "--stop", "--hold"])), "{node}");
    }

    // Once that node is gone from the cluster, nothing is waited for: all is done at once.
    cluster.api().delete("/api/v1/nodes/n3").unwrap();
    cluster.api().delete_now(&format!("{PODS}/{lost}")).unwrap();
    let output = uninstall(&cluster, kubeconfig, "60").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("everything is removed on all 2 nodes\n"), "{said}");

    cluster.api().delete(DAEMON_SET).unwrap();
    wait_for("it is gone", || Ok(cluster.api().get(DAEMON_SET).is_err())).unwrap();
    let output = uninstall(&cluster, kubeconfig, "10").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "there is no DaemonSet kube-system/edgeloop: nothing is to be done\n");
}

fn uninstall(cluster: &Cluster, kubeconfig: &str, seconds: &str) -> Result<Output> {
    let mut command = cluster.command(program()?);
    command.args(["uninstall", "--namespace=kube-system", "--daemonset=edgeloop", "--timeout", seconds]);
    command.args(["--kubeconfig", kubeconfig]).output().context("could not run lb-agent")
}

/// The name of the pod on this node, if there is one that is not to go.
fn pod_on(cluster: &Cluster, node: &str) -> Result<Option<String>> {
    let pods = cluster.api().list(PODS)?;
    let is_there = |pod: &&Value| {
        pod.pointer("/spec/nodeName") == Some(&json!(node))
            && pod.pointer("/metadata/deletionTimestamp").is_none()
    };
    let name = |pod: &Value| pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    Ok(pods.iter().find(is_there).and_then(name))
}

/// The DaemonSet, and an account that has the rights of the hook and no others.
fn objects() -> [Value; 4] {
    let named = |name: &str| json!({"name": name, "namespace": "kube-system"});
    let metadata = named("edgeloop-uninstall");
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [
            {
                "apiGroups": ["apps"], "resources": ["daemonsets"], "resourceNames": ["edgeloop"],
                "verbs": ["get", "patch"],
            },
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ]}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "edgeloop-uninstall",
            },
            "subjects": [
                {"kind": "ServiceAccount", "name": "edgeloop-uninstall", "namespace": "kube-system"},
            ],
        }),
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": named("edgeloop"), "spec": {
            "selector": {"matchLabels": {"app": "edgeloop"}},
            // What the cleanup cannot go by: one pod at a time, beside the agent's.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": "edgeloop"}}, "spec": {
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "agent", "image": "edgeloop", "args": ["run"]}],
            }},
        }}),
    ]
}
