//! What Helm says after an installation.

use edgeloop_tests::Site;
use edgeloop_tests::cluster::Cluster;
use serde_json::{Value, json};

use super::*;

#[test]
#[ignore = "needs the programs of a control plane"]
fn notes_name_what_is_exposed_and_what_a_distribution_needs() {
    for (flags, says, never) in [
        ("distro=", "rollout status daemonset/edgeloop-agent", "WARNING"),
        ("http.address=0.0.0.0", "WARNING: /healthz, /readyz and /metrics answer at 0.0.0.0:10270", "k0s"),
        (
            "metrics.enabled=true",
            "WARNING: /metrics answers at each node's own address, port 10270",
            "0.0.0.0",
        ),
        ("distro=", "`endUdpSockets.inPods` ends them as well", "WARNING"),
        ("endUdpSockets.by=off", "(endUdpSockets.by)", "inPods"),
        ("endUdpSockets.inPods=true", "lb-agent status", "UDP"),
        ("mode=replace,distro=k3s", "asked to run without kube-proxy", "WARNING"),
        ("distro=k0s", "nodeLocalLoadBalancing", "WARNING"),
        ("distro=kubeedge", "MetaServer", "WARNING"),
        ("distro=openyurt", r#"'{"data":{"cache_agents":"edgeloop"}}'"#, "WARNING"),
    ] {
        let mut install = helm(&["install", "edgeloop"]).unwrap();
        install.arg(folder().unwrap()).args([
            "--namespace",
            "kube-system",
            "--dry-run=client",
            "--set",
            flags,
        ]);
        let notes = notes(&install.output().unwrap());
        assert!(notes.contains(says) && !notes.contains(never), "{flags}: {notes}");
    }
}

fn notes(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    said.split_once("\nNOTES:\n").map(|(_, notes)| notes.to_owned()).unwrap_or_default()
}

/// They ask the API server.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn notes_warn_of_a_missing_kube_proxy_and_of_another_load_balancer() {
    let site = Site::new().unwrap();
    let cluster = Cluster::up(&site).unwrap();
    let notes = |flags: &str| {
        let mut install = cluster.command(tool("helm").unwrap());
        install.args(["install", "edgeloop"]).arg(folder().unwrap()).env("KUBECONFIG", cluster.kubeconfig());
        install.env("HELM_CACHE_HOME", cluster.folder()).args(["--set", flags]);
        notes(&install.args(["--namespace", "kube-system", "--dry-run=server"]).output().unwrap())
    };
    let no_kube_proxy = "WARNING: there is no DaemonSet kube-proxy";
    assert!(notes("distro=").contains(no_kube_proxy));
    assert!(!notes("distro=k3s").contains(no_kube_proxy), "k3s has it in its own process");

    for name in ["kube-proxy", "cilium"] {
        let path = "/apis/apps/v1/namespaces/kube-system/daemonsets";
        cluster.api().post(path, &daemon_set(name)).unwrap();
    }
    let config =
        json!({"metadata": {"name": "yurt-hub-cfg"}, "data": {"cache_agents": "flanneld, kube-proxy"}});
    cluster.api().post("/api/v1/namespaces/kube-system/configmaps", &config).unwrap();
    let said = notes("distro=");
    assert!(!said.contains(no_kube_proxy) && said.contains("WARNING: Cilium is here"), "{said}");
    let said = notes("distro=openyurt");
    assert!(
        said.contains(r#"{"cache_agents":"flanneld, kube-proxy,edgeloop"}"#),
        "what is there stays: {said}"
    );
}

fn daemon_set(name: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "one", "image": "none"}]},
            },
        },
    })
}
