//! The chart, installed with helm, whose pods run in real containers.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use edgeloop_tests::agent::wait_for;
use edgeloop_tests::cluster::{Cluster, Helm, Kubelet, Runtime, image};
use edgeloop_tests::pins::generation;
use edgeloop_tests::{Load, LoadReport, Node, Pod, Site, leftovers, processes_of};
use lb_agent::datapath::programs::attach::attached;
use lb_common::hook::Hook;
use serde_json::{Value, json};

const WEB: &str = "10.96.0.11:80";
const REPOSITORY: &str = "docker.io/edgeloop/lb-agent";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";
/// As the chart has them.
const PIN_ROOT: &str = "/sys/fs/bpf/edgeloop";

/// Two nodes in pools of their own, each with a client and a server of the Service `web`. Where nothing is rewritten,
/// connections to its address come to a pod that answers for it, as kube-proxy would.
pub(super) struct Stage {
    pub(super) clients: [Pod; 2],
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) cluster: Cluster,
    /// Where the pins of each node are.
    pub(super) paths: [PathBuf; 2],
    pub(super) nodes: [Node; 2],
    has_sys_resource: bool,
    pub(super) site: Site,
    _others: [Pod; 3],
}

impl Stage {
    pub(super) fn new() -> Self {
        let site = Site::new().unwrap();
        let nodes = ["n1", "n2"].map(|name| site.node(name).unwrap());
        let others = [("a", "10.244.1.200", 0), ("b", "10.244.2.200", 1), ("unloved", "10.244.3.200", 1)]
            .map(|(name, at, node)| nodes[node].pod(name, at).unwrap());
        for server in &others[..2] {
            server.serve_name(9376).unwrap();
        }
        others[2].add_addresses(&["10.96.0.11".parse().unwrap()]).unwrap();
        others[2].serve(WEB.parse().unwrap(), "kube-proxy").unwrap();
        let clients = [("10.244.1.201", 0), ("10.244.2.201", 1)]
            .map(|(at, node)| nodes[node].pod("client", at).unwrap());
        for client in &clients {
            client.route("10.96.0.0/16", &others[2]).unwrap();
        }
        let cluster = Cluster::with_controllers(&site).unwrap();
        let mut runtime = Runtime::new(&cluster, &nodes).unwrap();
        for tag in ["0.1.0", "0.1.1"] {
            runtime.import(&format!("{REPOSITORY}:{tag}"), &image().unwrap()).unwrap();
        }
        let has_sys_resource = runtime.may_give("SYS_RESOURCE");
        let paths = ["n1", "n2"].map(|name| runtime.path_on(name, PIN_ROOT).unwrap());
        let labelled: Vec<(Node, Value)> = nodes
            .iter()
            .zip(["p1", "p2"])
            .map(|(node, pool)| (node.clone(), json!({"apps.openyurt.io/nodepool": pool})))
            .collect();
        let kubelet = Kubelet::start_with(&cluster, &labelled, Some(runtime)).unwrap();
        let kubelet = Arc::new(kubelet);
        cluster
            .apply_lines(
                "service web 10.96.0.11:80 topology=openyurt.io/nodepool
                 slice web-1 of web 9376 10.244.1.200@n1 10.244.2.200@n2",
            )
            .unwrap();
        Self { clients, kubelet, cluster, paths, nodes, has_sys_resource, site, _others: others }
    }

    pub(super) fn helm(&self) -> Helm<'_> {
        Helm::of(&self.cluster).unwrap()
    }

    /// With the values that this site needs, and these. Until every node is covered.
    fn install(&self, values: &[&str]) -> String {
        let own = self.values();
        let all: Vec<&str> = own.iter().map(String::as_str).chain(values.iter().copied()).collect();
        let said = self.helm().install(&all).unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()));
        wait_for("both are in their pools", || Ok(self.are_answered_by(["a", "b"])))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
        said
    }

    /// The values that this site needs.
    pub(super) fn values(&self) -> [String; 4] {
        [
            "apiServer=https://127.0.0.1:6443".to_owned(),
            format!("image.repository={REPOSITORY}"),
            format!("securityContext.sysResource={}", self.has_sys_resource),
            format!("cgroup.path={}/$(EDGELOOP_NODE)", self.site.cgroup().display()),
        ]
    }

    /// What pods in containers said.
    fn logs(&self) -> String {
        let entries = fs::read_dir(self.site.folder()).unwrap().flatten().map(|entry| entry.path());
        let logs = entries.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let logs = logs
            .map(|path| format!("--- {}\n{}", path.display(), fs::read_to_string(&path).unwrap_or_default()));
        logs.collect()
    }

    pub(super) fn are_answered_by(&self, names: [&str; 2]) -> bool {
        let each = self.clients.iter().zip(names);
        let answers = each
            .map(|(client, name)| client.dial(WEB, 20).unwrap().iter().all(|answer| answer.is_from(name)));
        answers.collect::<Vec<_>>() == [true, true]
    }

    /// 500 connections a second on each node.
    pub(super) fn loads(&self) -> [Load; 2] {
        [0, 1].map(|at| self.clients[at].dial_continuously(WEB, 500, 2).unwrap())
    }

    /// The agent's pod on this node.
    pub(super) fn agent_on(&self, node: &str) -> Option<Value> {
        let pods =
            self.cluster.api().list(&format!("{PODS}?labelSelector=app.kubernetes.io/component=agent"));
        pods.unwrap().into_iter().find(|pod| pod["spec"]["nodeName"] == node)
    }

    /// Runs it in the agent's container on this node.
    fn exec(&self, node: &str, arguments: &[&str]) -> String {
        let pod = self.agent_on(node).unwrap();
        let output =
            self.kubelet.exec(pod["metadata"]["name"].as_str().unwrap(), "agent", arguments).unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// None failed, none went to the other pool, and there were enough of them.
pub(super) fn assert_answered_by(loads: [Load; 2], names: [&[&str]; 2]) {
    for (load, names) in loads.into_iter().zip(names) {
        let LoadReport { answered, failed, .. } = load.stop().unwrap();
        assert_eq!(failed, []);
        assert!(answered.values().sum::<u64>() > 500, "{answered:?}");
        assert!(answered.keys().all(|name| names.contains(&name.as_str())), "{answered:?}, not of {names:?}");
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_installed_agent_holds_few_capabilities_under_the_default_seccomp_profile() {
    let stage = Stage::new();
    assert!(stage.are_answered_by(["kube-proxy", "kube-proxy"]), "before the install");
    let notes = stage.install(&[]);
    assert!(notes.contains("lb-agent status"), "{notes}");

    // CAP_NET_ADMIN is 12, CAP_SYS_ADMIN 21, CAP_SYS_RESOURCE 24, CAP_PERFMON 38, CAP_BPF 39.
    let resource = u64::from(stage.has_sys_resource) << 24;
    assert_confined(&stage, resource | 1 << 12 | 1 << 38 | 1 << 39);
    let checked: Vec<Value> =
        serde_json::from_str(&stage.exec("n1", &["lb-agent", "check", "--fail-on=missing", "-o", "json"]))
            .unwrap();
    let missing: Vec<&Value> = checked.iter().filter(|finding| finding["state"] == "missing").collect();
    assert_eq!(missing, Vec::<&Value>::new());
    assert!(stage.exec("n2", &["lb-agent", "status"]).contains("10.244.2.200:9376"));
    let tested = stage.helm().test().unwrap_or_else(|error| panic!("{error:#}\n{}", stage.logs()));
    assert!(tested.contains("Succeeded"), "{tested}");

    stage.install(&["securityContext.perfmon=false"]);
    assert_confined(&stage, resource | 1 << 12 | 1 << 39);
    stage.install(&["securityContext.legacyCapabilities=true"]);
    assert_confined(&stage, resource | 1 << 12 | 1 << 21);
    let name = stage.site.name().to_owned();
    drop(stage);
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

/// The one agent of each node holds these capabilities, and the default profile is on it.
fn assert_confined(stage: &Stage, capabilities: u64) {
    for node in &stage.nodes {
        let agents = processes_of(node.cgroup(), "lb-agent");
        assert_eq!(agents.len(), 1, "it runs in the node's cgroup");
        let status = fs::read_to_string(format!("/proc/{}/status", agents[0])).unwrap();
        let says = |field: &str| {
            status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default().trim().to_owned()
        };
        for set in ["CapBnd:", "CapPrm:", "CapEff:"] {
            assert_eq!(u64::from_str_radix(&says(set), 16).unwrap(), capabilities, "{set}");
        }
        assert_eq!((says("Seccomp:").as_str(), says("NoNewPrivs:").as_str()), ("2", "1"));
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_upgrade_and_an_uninstall_lose_no_connection_and_leave_nothing() {
    let stage = Stage::new();
    stage.install(&[]);
    let before = ["n1", "n2"].map(|node| stage.agent_on(node).unwrap()["metadata"]["uid"].clone());

    let loads = stage.loads();
    stage.install(&["image.tag=0.1.1", "maxServices=1000", "logLevel=debug"]);
    thread::sleep(Duration::from_secs(1));
    assert_answered_by(loads, [&["a"], &["b"]]);
    for (node, before) in ["n1", "n2"].into_iter().zip(before) {
        let pod = stage.agent_on(node).unwrap();
        assert_ne!(pod["metadata"]["uid"], before, "{node} has another pod");
        assert_eq!(pod["spec"]["containers"][0]["image"], format!("{REPOSITORY}:0.1.1"));
    }

    let loads = stage.loads();
    thread::sleep(Duration::from_secs(1));
    stage.helm().uninstall().unwrap_or_else(|error| panic!("{error:#}\n{}", stage.logs()));
    thread::sleep(Duration::from_secs(1));
    assert_answered_by(loads, [&["a", "kube-proxy"], &["b", "kube-proxy"]]);
    assert!(stage.are_answered_by(["kube-proxy", "kube-proxy"]), "after the uninstall");

    for pins in &stage.paths {
        assert!(attached(pins, None).is_empty() && !pins.join(generation()).exists(), "{}", pins.display());
    }
    for node in &stage.nodes {
        let shown = Command::new("bpftool").args(["cgroup", "show"]).arg(node.cgroup()).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(!Hook::ALL.into_iter().any(|hook| shown.contains(hook.programs()[0])), "{shown}");
    }
    let remaining = ["apps/v1/namespaces/kube-system/daemonsets", "batch/v1/namespaces/kube-system/jobs"];
    for path in remaining {
        assert_eq!(stage.cluster.api().list(&format!("/apis/{path}")).unwrap(), Vec::<Value>::new());
    }
    wait_for("all pods are gone", || Ok(stage.cluster.api().list(PODS)?.is_empty())).unwrap();
    let name = stage.site.name().to_owned();
    drop(stage);
    assert_eq!(leftovers(&name), Vec::<String>::new());
}
