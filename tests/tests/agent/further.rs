//! Addresses of a Service besides its cluster IP: external IPs and those of a load balancer.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::time::Duration;

use edgeloop_tests::agent::{Agent, program, wait_for};
use edgeloop_tests::{Datagrams, Pair, Pod, now};
use lb_agent::view::diagnostic::Reason;
use nix::sys::signal::Signal;

const EXTERNAL: &str = "192.0.2.1";
const BALANCER: &str = "192.0.2.2";

/// `internalTrafficPolicy: Local`, and no endpoint on the client's node.
const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.11
  externalIPs: [192.0.2.1]
  internalTrafficPolicy: Local
  externalTrafficPolicy: Local
  ports: [{name: tcp, port: 80}, {name: udp, port: 53, protocol: UDP}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.2}, {ip: 192.0.2.3, ipMode: Proxy}]}}
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

/// A listener at each address answers what the programs leave alone.
struct World {
    pair: Pair,
    _near: Pod,
}

impl World {
    fn new() -> Self {
        let pair = Pair::new().unwrap();
        let near = pair.site.node("n2").unwrap().pod("near", "10.244.1.5").unwrap();
        near.serve_name(9376).unwrap();
        near.serve_datagrams(9376).unwrap();
        let decoys = [EXTERNAL, BALANCER, "192.0.2.3"];
        pair.client.add_addresses(&decoys.map(|ip| ip.parse().unwrap())).unwrap();
        for ip in decoys {
            pair.client.serve(format!("{ip}:80").parse().unwrap(), "decoy").unwrap();
            pair.client.serve_datagrams_at(format!("{ip}:53").parse().unwrap(), "decoy").unwrap();
        }
        pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
        let world = Self { pair, _near: near };
        world.put(SERVICE);
        world
    }

    fn put(&self, service: &str) {
        self.pair.folder.put_text("web.yaml", &format!("{service}---{SLICE}")).unwrap();
    }

    /// Who replies to a connection, and to a datagram of an unconnected socket, with the address that the client is shown.
    fn gets(&self, ip: &str) -> [String; 2] {
        let answer = self.pair.dial(&format!("{ip}:80")).unwrap();
        let mut socket = Datagrams::open4(&self.pair.client).unwrap();
        let datagram = match socket.call(&format!("sendto {ip}:53 x")).unwrap().as_str() {
            "ok" => socket.call("recvfrom").unwrap(),
            refused => refused.to_owned(),
        };
        [answer.label().to_owned(), datagram]
    }
}

/// Contract, section 1, and section 4: an address on a host interface is not one that we serve.
#[test]
#[ignore = "needs root"]
fn a_cluster_ip_on_an_interface_of_the_host_is_left_to_what_listens_there_live() {
    const SERVICE_IP: &str = "10.96.0.11";
    let world = World::new();
    world.put(&SERVICE.replace("internalTrafficPolicy: Local", ""));
    let client = &world.pair.client;
    // The agent's network is the client's: that is the host of this test.
    let mut command = client.command(program().unwrap());
    let agent = Agent::spawn_as(client.node(), &mut command, &[]).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    assert_eq!(world.gets(SERVICE_IP), from("near", SERVICE_IP));
    ip(client, "link add kube-ipvs0 type bridge");
    ip(client, "address add 10.96.0.11/32 dev kube-ipvs0");
    client.serve("10.96.0.11:80".parse().unwrap(), "decoy").unwrap();
    client.serve_datagrams_at("10.96.0.11:53".parse().unwrap(), "decoy").unwrap();
    assert_eq!(world.gets(SERVICE_IP), from("near", SERVICE_IP), "kube-proxy's own interface does not count");

    ip(client, "link add nodelocaldns type bridge");
    let mut took = Vec::new();
    for _ in 0..3 {
        took.push(takes(client, "address add 10.96.0.11/32 dev nodelocaldns", "decoy"));
        assert_eq!(world.gets(SERVICE_IP), from("decoy", SERVICE_IP));
        assert_eq!(world.gets(EXTERNAL), from("near", EXTERNAL), "its other addresses are served");
        let view = agent.view().unwrap();
        let said: Vec<_> = view.with(Reason::ReachableAround).map(|found| found.message.as_str()).collect();
        let why = "interface \"nodelocaldns\" of this node has this cluster IP: left to what listens there";
        assert_eq!(said, [format!("10.96.0.11:53/UDP: {why}"), format!("10.96.0.11:80/TCP: {why}")]);
        took.push(takes(client, "address delete 10.96.0.11/32 dev nodelocaldns", "near"));
        assert_eq!(world.gets(SERVICE_IP), from("near", SERVICE_IP));
    }
    took.sort_unstable();
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
}

/// Runs a command of `ip` in the network of a pod.
fn ip(pod: &Pod, words: &str) {
    let status = pod.command("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "{words}");
}

/// How long it takes from a command of `ip` until `name` replies at the cluster IP.
fn takes(client: &Pod, words: &str, name: &str) -> Duration {
    let mut watch = client.watch("10.96.0.11:80").unwrap();
    ip(client, words);
    let since = now();
    let answer = watch.first_since(since, |answer| answer.is_from(name), Duration::from_secs(5)).unwrap();
    answer.began.saturating_sub(since)
}

fn from(name: &str, ip: &str) -> [String; 2] {
    [name.to_owned(), format!("{name} x from {ip}:53")]
}

fn refused() -> [String; 2] {
    ["ECONNREFUSED"; 2].map(str::to_owned)
}

/// Contract, section 3.6: after step one, whatever the policies say.
#[test]
#[ignore = "needs root"]
fn an_external_ip_and_a_load_balancer_address_lead_to_the_cluster_set_of_the_pool() {
    let world = World::new();
    assert_eq!(world.gets(EXTERNAL), from("decoy", EXTERNAL), "before there is an agent");
    let agent = world.pair.agent(&[]).unwrap();
    assert_eq!(world.gets("10.96.0.11"), refused(), "the local set is empty");
    for ip in [EXTERNAL, BALANCER] {
        for _ in 0..8 {
            assert_eq!(world.gets(ip), from("near", ip));
        }
    }
    assert_eq!(world.gets("192.0.2.3"), from("decoy", "192.0.2.3"), "ipMode Proxy: a node does not answer");
    let view = agent.view().unwrap();
    assert_eq!(view.with(Reason::ReachableAround).count(), 0, "{view:?}");

    world.pair.folder.put("nodes.yaml", "node n1 pool=p9\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
    wait_for("an empty set is refused there, too", || Ok(world.gets(EXTERNAL) == refused())).unwrap();
    assert_eq!(world.gets(BALANCER), refused());

    world.put(&SERVICE.replace("externalIPs: [192.0.2.1]", "externalIPs: []"));
    wait_for("an address that goes is left", || Ok(world.gets(EXTERNAL) == from("decoy", EXTERNAL))).unwrap();
}

#[test]
#[ignore = "needs root"]
fn external_ips_that_are_off_and_addresses_with_source_ranges_are_left_and_shown() {
    let world = World::new();
    world.put(&SERVICE.replace("spec:", "spec:\n  loadBalancerSourceRanges: [198.51.100.0/24]"));
    let agent = world.pair.agent(&["--external-ips=off"]).unwrap();
    for ip in [EXTERNAL, BALANCER] {
        assert_eq!(world.gets(ip), from("decoy", ip));
    }
    let view = agent.view().unwrap();
    let said: Vec<_> = view.with(Reason::ReachableAround).map(|found| found.message.as_str()).collect();
    let off = "external IPs are off (--external-ips): any user who may write a Service can claim any address so (CVE-2020-8554)";
    let limited = "loadBalancerSourceRanges says who may dial it: left to kube-proxy, where one runs";
    let expected = [
        format!("192.0.2.1:53/UDP: {off}"),
        format!("192.0.2.1:80/TCP: {off}"),
        format!("192.0.2.2:53/UDP: {limited}"),
        format!("192.0.2.2:80/TCP: {limited}"),
    ];
    assert_eq!(said, expected);
    agent.end_by(Signal::SIGTERM).unwrap();

    let agent = world.pair.agent(&[]).unwrap();
    assert_eq!(world.gets(EXTERNAL), from("near", EXTERNAL), "on, by default");
    assert_eq!(agent.view().unwrap().with(Reason::ExternalIpsOff).count(), 0);
}
