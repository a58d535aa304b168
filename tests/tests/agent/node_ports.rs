//! Node ports, dialled on the node itself: at each of its addresses, and at no other.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::time::Duration;

use edgeloop_tests::agent::{Agent, element, program, wait_for};
use edgeloop_tests::{Datagrams, Pair, Pod, now};
use lb_agent::view::diagnostic::Reason;
use nix::sys::signal::Signal;

/// `internalTrafficPolicy: Local` without an endpoint on the client's node, and both policies of clients elsewhere.
const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec:
  type: NodePort
  clusterIP: 10.96.0.11
  internalTrafficPolicy: Local
  externalTrafficPolicy: Local
  ports:
  - {name: tcp, port: 80, nodePort: 30080}
  - {name: udp, port: 53, protocol: UDP, nodePort: 30053}
";

/// One in the client's pool, one in another.
const SLICE: &str = r"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: tcp, port: 9376}, {name: udp, port: 9376, protocol: UDP}]
endpoints:
- {addresses: [10.244.1.3], nodeName: n3}
- {addresses: [10.244.1.5], nodeName: n2}
";

/// An address of the host besides its first.
const OTHER: &str = "192.0.2.7";

/// The client's network is the host's: the agent runs in it. A listener at every address answers what the programs leave alone.
struct World {
    pair: Pair,
    near: Pod,
}

impl World {
    fn new() -> Self {
        let pair = Pair::new().unwrap();
        let near = pair.site.node("n2").unwrap().pod("near", "10.244.1.5").unwrap();
        near.serve_name(9376).unwrap();
        near.serve_datagrams(9376).unwrap();
        let host = &pair.client;
        ip(host, "link add eth1 type bridge");
        host.serve("0.0.0.0:30080".parse().unwrap(), "decoy").unwrap();
        host.serve_datagrams_at("0.0.0.0:30053".parse().unwrap(), "decoy").unwrap();
        pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
        pair.folder.put_text("web.yaml", &format!("{SERVICE}---{SLICE}")).unwrap();
        Self { pair, near }
    }

    fn agent(&self, flags: &[&str]) -> Agent {
        let host = &self.pair.client;
        let mut command = host.command(program().unwrap());
        let agent = Agent::spawn_as(host.node(), &mut command, flags).unwrap();
        agent.wait_until("the agent is ready", |view| view.ready).unwrap();
        agent
    }

    fn host(&self) -> &Pod {
        &self.pair.client
    }
}

/// Who replies to a connection and to a datagram of an unconnected socket, each at its node port; with the address that the
/// client is shown.
fn gets(client: &Pod, ip: &str) -> [String; 2] {
    let answer = client.dial(&format!("{ip}:30080"), 1).unwrap().remove(0);
    let mut socket = Datagrams::open4(client).unwrap();
    let datagram = match socket.call(&format!("sendto {ip}:30053 x")).unwrap().as_str() {
        "ok" => socket.call("recvfrom").unwrap(),
        refused => refused.to_owned(),
    };
    [answer.label().to_owned(), datagram]
}

fn from(name: &str, ip: &str) -> [String; 2] {
    [name.to_owned(), format!("{name} x from {ip}:30053")]
}

/// Runs a command of `ip` in the network of a pod.
fn ip(pod: &Pod, words: &str) {
    let status = pod.command("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "{words}");
}

/// Contract, section 3.6: the cluster set after step one, whatever the policies say; and section 4: an empty set is refused.
#[test]
#[ignore = "needs root"]
fn a_node_port_leads_to_the_pool_at_each_address_of_the_host_and_at_no_other() {
    let world = World::new();
    let host = world.host();
    ip(host, "address add 192.0.2.7/32 dev eth1");
    ip(host, "address add 169.254.7.7/32 dev eth1");
    ip(host, "link add kube-ipvs0 type bridge");
    ip(host, "address add 192.0.2.8/32 dev kube-ipvs0");
    let first = host.address().to_string();
    assert_eq!(gets(host, &first), from("decoy", &first), "before there is an agent");

    let agent = world.agent(&[]);
    for at in [first.as_str(), OTHER] {
        for _ in 0..8 {
            assert_eq!(gets(host, at), from("near", at));
        }
    }
    for (shows, at) in [
        ("loopback is left to who listens there", "127.0.0.1"),
        ("a link-local address", "169.254.7.7"),
        ("kube-proxy's own interface", "192.0.2.8"),
    ] {
        assert_eq!(gets(host, at), from("decoy", at), "{shows}");
    }
    let unspecified = gets(host, "0.0.0.0");
    assert_eq!(unspecified, from("decoy", "127.0.0.1"), "what is loopback to the kernel");
    let pod = host.node().pod("pod", "10.244.1.9").unwrap();
    assert_eq!(gets(&pod, &first), from("near", &first), "dialled by a pod of this node");
    assert_eq!(gets(&pod, "10.244.1.3")[0], "ECONNREFUSED", "an address that is not the host's");
    let view = agent.view().unwrap();
    assert_eq!(view.with(Reason::ReachableAround).count(), 0, "{view:?}");
    let held = element(host.node(), "0.0.0.0:30080").unwrap().unwrap();
    assert_eq!(held.backends, ["10.244.1.5:9376"], "one element, however many addresses there are");

    world.pair.folder.put("nodes.yaml", "node n1 pool=p9\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
    let refused = ["ECONNREFUSED"; 2].map(str::to_owned);
    wait_for("an empty set is refused", || Ok(gets(host, OTHER) == refused)).unwrap();
    assert_eq!(gets(&pod, &first), refused);

    world.pair.folder.put("web.yaml", "service web 10.96.0.11:80").unwrap();
    wait_for("a node port that goes is left", || Ok(gets(host, OTHER) == from("decoy", OTHER))).unwrap();
}

/// Contract, section 1: at once is within 100 ms.
#[test]
#[ignore = "needs root"]
fn addresses_of_the_host_come_and_go_live() {
    let world = World::new();
    let host = world.host();
    ip(host, "address add 192.0.2.7/32 dev lo");
    let _agent = world.agent(&["--nodeport-addresses=192.0.2.0/24,10.0.0.0/8"]);
    assert_eq!(gets(host, OTHER), from("near", OTHER));
    let mut took = Vec::new();
    // The address stays the host's by the other interface, which does not count.
    ip(host, "link add kube-ipvs0 type bridge");
    ip(host, "address add 192.0.2.7/32 dev kube-ipvs0");
    for _ in 0..3 {
        for (words, name) in
            [("address delete 192.0.2.7/32 dev lo", "decoy"), ("address add 192.0.2.7/32 dev lo", "near")]
        {
            let mut watch = host.watch("192.0.2.7:30080").unwrap();
            ip(host, words);
            let since = now();
            let answer =
                watch.first_since(since, |answer| answer.is_from(name), Duration::from_secs(5)).unwrap();
            took.push(answer.began.saturating_sub(since));
            assert_eq!(gets(host, OTHER), from(name, OTHER));
        }
    }
    took.sort_unstable();
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
    ip(host, "address add 203.0.113.1/32 dev lo");
    assert_eq!(gets(host, "203.0.113.1"), from("decoy", "203.0.113.1"), "not in a network that was named");
}

/// `--nodeport-localhost`; a pod's loopback is the pod's own.
#[test]
#[ignore = "needs root"]
fn node_ports_on_localhost_are_served_where_that_is_asked_for_and_to_the_host_alone() {
    let world = World::new();
    let host = world.host();
    let agent = world.agent(&["--nodeport-localhost", "--node-address=10.244.1.2"]);
    for at in ["127.0.0.1", "127.1.2.3"] {
        assert_eq!(gets(host, at), from("near", at));
    }
    assert_eq!(gets(host, "0.0.0.0"), from("near", "0.0.0.0"), "what is loopback to the kernel");
    let pod = host.node().pod("pod", "10.244.1.9").unwrap();
    pod.serve("127.0.0.1:30080".parse().unwrap(), "own").unwrap();
    pod.serve_datagrams_at("127.0.0.1:30053".parse().unwrap(), "own").unwrap();
    assert_eq!(gets(&pod, "127.0.0.1"), from("own", "127.0.0.1"));
    assert_eq!(agent.view().unwrap().with(Reason::HostNetwork).count(), 0);
    agent.end_by(Signal::SIGTERM).unwrap();

    let agent = world.agent(&["--node-address=10.244.1.99"]);
    assert_eq!(gets(host, "127.0.0.1"), from("decoy", "127.0.0.1"), "switched off by the next start");
    let view = agent.view().unwrap();
    let said = &view.with(Reason::HostNetwork).next().unwrap().message;
    assert!(said.starts_with("no interface that the agent sees has 10.244.1.99"), "{said}");
}

/// Contract, section 3.6, over IPv6: TCP and UDP, also on localhost.
#[test]
#[ignore = "needs root"]
fn node_ports_of_ipv6_are_served_as_those_of_ipv4_are() {
    let world = World::new();
    let (host, near) = (world.host(), &world.near);
    for (pod, address) in [(host, "fd00:1::2"), (near, "fd00:1::5")] {
        ip(pod, &format!("address add {address}/64 dev eth0 nodad"));
    }
    near.serve("[fd00:1::5]:9376".parse().unwrap(), "near").unwrap();
    near.serve_datagrams_at("[fd00:1::5]:9376".parse().unwrap(), "near").unwrap();
    for at in ["fd00:1::2", "::1"] {
        host.serve(format!("[{at}]:30080").parse().unwrap(), "decoy").unwrap();
        host.serve_datagrams_at(format!("[{at}]:30053").parse().unwrap(), "decoy").unwrap();
    }
    let service = SERVICE.replace("clusterIP: 10.96.0.11", "clusterIPs: [10.96.0.11, 'fd00:96::b']");
    let slice6 = SLICE.replace("web-1", "web-2").replace("IPv4", "IPv6").replace("10.244.1.", "fd00:1::");
    world.pair.folder.put_text("web.yaml", &format!("{service}---{SLICE}---{slice6}")).unwrap();

    let agent = world.agent(&[]);
    assert_eq!(gets6(host, "fd00:1::2"), from("near", "[fd00:1::2]"));
    assert_eq!(gets6(host, "::1"), from("decoy", "[::1]"));
    let first = host.address();
    let mapped = format!("::ffff:{first}");
    assert_eq!(gets6(host, &mapped)[0], "near", "dialled as {mapped}");
    agent.end_by(Signal::SIGTERM).unwrap();
    let _agent = world.agent(&["--nodeport-localhost"]);
    for at in ["::1", "::"] {
        assert_eq!(gets6(host, at), from("near", &format!("[{at}]")));
    }
    assert_eq!(gets6(host, "::ffff:127.0.0.1")[0], "near");
}

/// As [`gets`], by AF_INET6 sockets.
fn gets6(client: &Pod, ip: &str) -> [String; 2] {
    let answer = client.dial(&format!("[{ip}]:30080"), 1).unwrap().remove(0);
    let mut socket = Datagrams::open6(client).unwrap();
    let datagram = match socket.call(&format!("sendto [{ip}]:30053 x")).unwrap().as_str() {
        "ok" => socket.call("recvfrom").unwrap(),
        refused => refused.to_owned(),
    };
    [answer.label().to_owned(), datagram]
}

/// A Service that has an address of the host goes before node ports there.
#[test]
#[ignore = "needs root"]
fn an_element_at_the_very_address_comes_before_a_node_port() {
    let world = World::new();
    let host = world.host();
    ip(host, "address add 192.0.2.7/32 dev eth1");
    let exact = r"
apiVersion: v1
kind: Service
metadata: {name: exact}
spec: {clusterIP: 10.96.0.12, externalIPs: [192.0.2.7], ports: [{name: tcp, port: 30080}]}
";
    let slice = SLICE.replace("web", "exact").replace("- {addresses: [10.244.1.5], nodeName: n2}\n", "");
    world.pair.folder.put_text("exact.yaml", &format!("{exact}---{slice}")).unwrap();
    let _agent = world.agent(&[]);
    let first = host.address().to_string();
    assert_eq!(gets(host, OTHER), ["web".to_owned(), format!("near x from {OTHER}:30053")]);
    assert_eq!(gets(host, &first), from("near", &first));
    world.pair.folder.remove("exact.yaml").unwrap();
    wait_for("it goes, and the node port is served", || Ok(gets(host, OTHER) == from("near", OTHER)))
        .unwrap();
}
