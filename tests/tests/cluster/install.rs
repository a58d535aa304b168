//! The chart, installed with helm, whose pods run in real containers.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use edgeloop_tests::agent::wait_for;
use edgeloop_tests::cluster::{Cluster, Helm, Kubelet, Runtime, image};
use edgeloop_tests::{Node, Pod, Site, leftovers};
use serde_json::{Value, json};

const WEB: &str = "10.96.0.11:80";
const IMAGE: &str = "docker.io/edgeloop/lb-agent:0.1.0";

/// Two nodes in pools of their own, each with a client and a server of the Service `web`.
struct Stage {
    clients: [Pod; 2],
    kubelet: Kubelet,
    cluster: Cluster,
    has_sys_resource: bool,
    site: Site,
    _servers: [Pod; 2],
}

impl Stage {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let nodes = ["n1", "n2"].map(|name| site.node(name).unwrap());
        let servers = [("a", "10.244.1.200", 0), ("b", "10.244.2.200", 1)]
            .map(|(name, at, node)| nodes[node].pod(name, at).unwrap());
        for server in &servers {
            server.serve_name(9376).unwrap();
        }
        let clients = [("10.244.1.201", 0), ("10.244.2.201", 1)]
            .map(|(at, node)| nodes[node].pod("client", at).unwrap());
        let cluster = Cluster::with_controllers(&site).unwrap();
        let mut runtime = Runtime::new(&cluster, &nodes).unwrap();
        runtime.import(IMAGE, &image().unwrap()).unwrap();
        let labelled: Vec<(Node, Value)> = nodes
            .iter()
            .zip(["p1", "p2"])
            .map(|(node, pool)| (node.clone(), json!({"apps.openyurt.io/nodepool": pool})))
            .collect();
        let has_sys_resource = runtime.may_give("SYS_RESOURCE");
        let kubelet = Kubelet::start_with(&cluster, &labelled, Some(runtime)).unwrap();
        cluster
            .apply_lines(
                "service web 10.96.0.11:80 topology=openyurt.io/nodepool
                 slice web-1 of web 9376 10.244.1.200@n1 10.244.2.200@n2",
            )
            .unwrap();
        Self { clients, kubelet, cluster, has_sys_resource, site, _servers: servers }
    }

    /// The values that this site needs.
    fn values(&self) -> Vec<String> {
        vec![
            "apiServer=https://127.0.0.1:6443".to_owned(),
            "image.repository=docker.io/edgeloop/lb-agent".to_owned(),
            format!("securityContext.sysResource={}", self.has_sys_resource),
            format!("cgroup.path={}/$(EDGELOOP_NODE)", self.site.cgroup().display()),
        ]
    }

    fn install(&self) -> String {
        let values = self.values();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let helm = Helm::of(&self.cluster).unwrap();
        helm.install(&values).unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()))
    }

    /// What the agents' pods said.
    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.site.folder()).unwrap().flatten().map(|entry| entry.path());
        let logs = entries.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| {
            format!("--- {}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        })
        .collect()
    }

    fn are_in_their_pools(&self) -> bool {
        let answers = self
            .clients
            .iter()
            .zip(["a", "b"])
            .map(|(client, own)| client.dial(WEB, 20).unwrap().iter().all(|answer| answer.is_from(own)));
        answers.collect::<Vec<_>>() == [true, true]
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_install_covers_every_node_and_nothing_is_left_of_it() {
    let stage = Stage::new();
    let name = stage.site.name().to_owned();
    let said = stage.install();
    eprintln!("{said}");
    wait_for("both are in their pools", || Ok(stage.are_in_their_pools()))
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.logs()));
    drop(stage);
    assert_eq!(leftovers(&name), Vec::<String>::new());
}
