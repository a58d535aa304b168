//! Programs in the languages that pods are written in, each as its users have it: over TCP and UDP, IPv4 and IPv6, by address and by
//! name. One that this machine does not have is reported by `cargo xtask test`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use edgeloop_tests::agent::{Agent, wait_for};
use edgeloop_tests::{Child, Pair, Pod, checkout};

use super::dns;

/// In both families, with its name in DNS.
const SERVICES: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec:
  clusterIP: 10.96.0.11
  clusterIPs: [10.96.0.11, 'fd00:96::11']
  ipFamilies: [IPv4, IPv6]
  ports: [{name: tcp, port: 80}, {name: udp, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec:
  clusterIP: 10.96.0.10
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
";

/// `near` is in the client's pool, `far` in another.
const SLICES: &str = r"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: tcp, port: 9376}, {name: udp, port: 9376, protocol: UDP}]
endpoints: [{addresses: [10.244.1.5], nodeName: n2}, {addresses: [10.244.1.3], nodeName: n3}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: tcp, port: 9376}, {name: udp, port: 9376, protocol: UDP}]
endpoints: [{addresses: ['fd00:244::5'], nodeName: n2}, {addresses: ['fd00:244::3'], nodeName: n3}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}, {name: dns-tcp, port: 5353, protocol: TCP}]
endpoints: [{addresses: [10.244.1.5], nodeName: n2}]
";

/// What a client of ours is given, and its answer.
const DIALS: [(&str, &str); 12] = [
    ("tcp,10.96.0.11,80", "near"),
    ("tcp,::ffff:10.96.0.11,80", "near"),
    ("tcp,fd00:96::11,80", "near"),
    ("udp,10.96.0.11,53", "near q from 10.96.0.11 53"),
    ("udp,::ffff:10.96.0.11,53", "near q from 10.96.0.11 53"),
    ("udp,fd00:96::11,53", "near q from fd00:96::11 53"),
    ("sendto,10.96.0.11,53", "near q from 10.96.0.11 53"),
    ("sendto,::ffff:10.96.0.11,53", "near q from 10.96.0.11 53"),
    ("sendto,fd00:96::11,53", "near q from fd00:96::11 53"),
    ("http,10.96.0.11,80", "near"),
    ("http,fd00:96::11,80", "near"),
    ("http,web.example,80", "near"),
];
/// Of two pods one answers each time.
const TIMES: usize = 4;

#[test]
#[ignore = "needs root"]
fn curl_is_answered_by_the_own_pool() {
    let world = World::new();
    for url in ["http://10.96.0.11/", "http://[fd00:96::11]/", "http://[::ffff:10.96.0.11]/"] {
        for _ in 0..TIMES {
            assert_eq!(
                world.says("curl", &["--silent", "--show-error", "--max-time", "5", url]),
                ["near"],
                "{url}"
            );
        }
    }
    for family in ["--ipv4", "--ipv6"] {
        let options = ["--silent", "--show-error", "--max-time", "5", family, "http://web.example/"];
        assert_eq!(world.says("curl", &options), ["near"], "{family}");
    }
}

#[test]
#[ignore = "needs root"]
fn python_is_answered_by_the_own_pool() {
    World::new().dials("python3", &[&source("client.py")]);
}

/// Go's own resolver: nothing of the C library is in it.
#[test]
#[ignore = "needs root"]
fn go_linked_statically_is_answered_by_the_own_pool() {
    let world = World::new();
    let program = world.pair.client.node().file("client");
    let usual = "/usr/local/go/bin/go";
    let mut build = Command::new(if Path::new(usual).is_file() { usual } else { "go" });
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(folder());
    build.envs([("CGO_ENABLED", "0"), ("GO111MODULE", "on"), ("GOTOOLCHAIN", "local")]);
    build.envs([("GOFLAGS", ""), ("GOWORK", "off"), ("GOPROXY", "off")]);
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    world.dials(&program, &[]);
}

#[test]
#[ignore = "needs root"]
fn java_is_answered_by_the_own_pool() {
    let options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(PathBuf::from);
    World::new().dials("java", &[&options[0], &options[1], &source("Client.java")]);
}

#[test]
#[ignore = "needs root"]
fn node_is_answered_by_the_own_pool() {
    World::new().dials("node", &[&source("client.js")]);
}

fn folder() -> PathBuf {
    checkout::folder().unwrap().join("tests/clients")
}

fn source(name: &str) -> PathBuf {
    folder().join(name)
}

struct World {
    pair: Pair,
    _near: Pod,
    _dns: Child,
    _agent: Agent,
}

impl World {
    fn new() -> Self {
        let pair = Pair::new().unwrap();
        let near = pair.site.node("n2").unwrap().pod("near", "10.244.1.5").unwrap();
        near.serve_name(9376).unwrap();
        near.serve_datagrams(9376).unwrap();
        pair.web.serve_datagrams(9376).unwrap();
        pair.client.also_at("fd00:244::2").unwrap();
        for (pod, name, address) in
            [(&near, "near", "[fd00:244::5]:9376"), (&pair.web, "web", "[fd00:244::3]:9376")]
        {
            let at: std::net::SocketAddr = address.parse().unwrap();
            pod.also_at(&at.ip().to_string()).unwrap();
            pod.serve(at, name).unwrap();
            pod.serve_datagrams_at(at, name).unwrap();
        }
        let dns = dns::serve(&near, &["10.96.0.11", "fd00:96::11"]);
        pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
        pair.folder.put_text("web.yaml", &format!("{SERVICES}---{SLICES}")).unwrap();
        fs::write(
            pair.client.node().file("resolv.conf"),
            "nameserver 10.96.0.10\noptions timeout:2 attempts:2\n",
        )
        .unwrap();
        let agent = pair.agent(&[]).unwrap();
        wait_for("DNS answers", || Ok(pair.client.resolve([10, 96, 0, 10].into(), "web.example", 1).is_ok()))
            .unwrap();
        Self { pair, _near: near, _dns: dns, _agent: agent }
    }

    /// Has a client of ours dial everything, again and again.
    fn dials(&self, program: impl AsRef<OsStr>, arguments: &[&Path]) {
        let dials = DIALS.iter().cycle().take(DIALS.len() * TIMES);
        let given: Vec<&OsStr> = arguments.iter().map(|argument| argument.as_os_str()).collect();
        let asked = dials.clone().map(|(dial, _)| OsStr::new(*dial));
        let said = self.says(program.as_ref(), &given.into_iter().chain(asked).collect::<Vec<_>>());
        let said: Vec<String> = said.iter().map(|line| plain(line)).collect();
        let expected: Vec<(&str, &str)> = dials.copied().collect();
        let found: Vec<(&str, &str)> =
            expected.iter().zip(&said).map(|((dial, _), said)| (*dial, said.as_str())).collect();
        assert_eq!(found, expected, "{}", program.as_ref().display());
    }

    /// What a program prints in the client's pod, where the resolver is the cluster's DNS.
    fn says(&self, program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Vec<String> {
        let client = &self.pair.client;
        let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec timeout 100 \"$@\"";
        let mut command = client.command("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(client.node().file("resolv.conf"));
        let output = command.arg(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

/// With the address as we write it: languages differ in how they write IPv6, and IPv4 on a socket of IPv6.
fn plain(line: &str) -> String {
    let Some((text, address)) = line.split_once(" from ") else { return line.to_owned() };
    let Some((ip, port)) = address.split_once(' ') else { return line.to_owned() };
    let Ok(ip) = ip.parse::<IpAddr>() else { return line.to_owned() };
    format!("{text} from {} {port}", ip.to_canonical())
}
