//! Ten faults that operators meet, each named by one command. docs/operations.md has the same list.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::Command;

use edgeloop_tests::agent::{Agent, lb_agent_says, program};
use edgeloop_tests::{Ability, Pair, checkout, programs};
use lb_agent::view::diagnostic::Reason;

use super::first::other_programs;

/// A Service of its own pool for each of four faults. `n4` has its label under a wrong name.
const SERVICES: &str = "service label 10.96.1.1:80 topology=openyurt.io/nodepool
    slice label-1 of label 9376 10.244.1.4@n4
    service empty 10.96.1.2:80 topology=openyurt.io/nodepool
    slice empty-1 of empty 9376 10.244.1.3@n3
    service nowhere 10.96.1.3:80 topology=openyurt.io/nodepool
    slice nowhere-1 of nowhere 9376 10.244.1.8";
const OTHERS: &str = r"
apiVersion: v1
kind: Node
metadata: {name: n4, labels: {apps.openyurt.io/nodepol: p1}}
---
apiVersion: v1
kind: Service
metadata: {name: port, namespace: default}
spec: {clusterIP: 10.96.1.4, ports: [{name: web, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: port-1, namespace: default, labels: {kubernetes.io/service-name: port}}
addressType: IPv4
ports: [{name: http, port: 9376}]
endpoints: [{addresses: [10.244.1.3], nodeName: n3}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}]
endpoints: [{addresses: [10.244.1.3], nodeName: n3}]
";

fn site() -> Pair {
    let pair = Pair::new().unwrap();
    pair.folder.put("services.yaml", SERVICES).unwrap();
    pair.folder.put_text("others.yaml", OTHERS).unwrap();
    pair
}

/// What a command prints.
fn said(pair: &Pair, verb: &str, asked: &[&str]) -> String {
    let node = pair.client.node();
    let socket = node.file("agent.sock");
    let cgroup = node.cgroup().display().to_string();
    let mut flags = asked.to_vec();
    flags.extend(["--socket", socket.to_str().unwrap()]);
    if verb == "status" {
        flags.extend(["--cgroup", &*cgroup]);
    }
    let output = lb_agent_says(node, verb, &flags).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs root"]
fn what_is_wrong_with_a_service_is_named_by_explain() {
    let pair = site();
    let _agent = pair.agent(&[]).unwrap();
    for (fault, service, named) in [
        ("a wrong label", "label", "node n4 is in no pool"),
        ("an empty pool", "empty", "node n3 is in pool p3"),
        ("an endpoint without a node", "nowhere", "it names no node"),
        ("a port name that differs", "port", "no EndpointSlice that names it has a TCP port \"web\""),
    ] {
        let text = said(&pair, "explain", &[service]);
        assert!(text.contains(named) && text.contains(": refuse"), "{fault}: {text}");
    }
    let text = said(&pair, "explain", &["port"]);
    assert!(text.contains("ports: http/TCP 9376"), "the names there are: {text}");
}

#[test]
#[ignore = "needs root"]
fn what_is_wrong_with_a_node_is_named_by_status() {
    let pair = site();
    let agent = pair.agent(&["--max-services", "4", "--max-stale", "5s"]).unwrap();
    let has = |agent: &Agent, reason| {
        agent.wait_until("it is said", |view| view.with(reason).count() > 0).unwrap();
        said(&pair, "status", &[])
    };
    for (fault, reason, named) in [
        ("a full map", Reason::NoRoom, "--max-services"),
        ("a strict topology on DNS", Reason::DnsOutOfReach, "dns-out-of-reach"),
    ] {
        let text = has(&agent, reason);
        assert!(text.contains(named), "{fault}: {text}");
    }
    if Ability::First.is_here().unwrap() {
        let _others = other_programs(&pair, programs::attach_first);
        let text = has(&agent, Reason::NotFirst);
        assert!(text.contains("BEFORE IT RUN"), "a foreign program first: {text}");
    }
    let (folder, away) = (pair.folder.path(), pair.folder.path().with_extension("away"));
    std::fs::rename(folder, &away).unwrap();
    let text = has(&agent, Reason::Stale);
    assert!(text.contains("stale"), "a stale state: {text}");
    std::fs::rename(&away, folder).unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_right_that_is_missing_is_named_by_check() {
    let pair = site();
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(program().unwrap())
        .args(["check", "--source", "file:/", "--cgroup"])
        .arg(pair.client.node().cgroup())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CAP_BPF") && text.contains("missing"), "{text}");
}

/// Each of them, and the clock of 1970, which a machine with a clock cannot show: that is a test of the command itself.
#[test]
fn the_page_lists_ten_faults_with_their_commands() {
    let page = std::fs::read_to_string(checkout::folder().unwrap().join("docs/operations.md")).unwrap();
    let (_, table) = page.split_once("## Ten faults, and the command that names each").unwrap();
    let rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = rows.filter(|line| line.contains("| `lb-agent "));
    assert_eq!(rows.count(), 10);
}
