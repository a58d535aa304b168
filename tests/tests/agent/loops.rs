//! The loop, counted in the kernel: `lb-agent loop`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Output;
use std::time::Duration;

use edgeloop_tests::agent::{lb_agent, lb_agent_says, wait_for};
use edgeloop_tests::{Child, Datagrams, Pair, Pod, checkout};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::doors;

const NEAR: &str = "10.96.0.21:80";
const NONE: &str = "10.96.0.22:80";
const DNS: &str = "10.96.0.10:53";

/// Services of the own pool: with an endpoint here, and with none; and one of UDP without a topology.
const SERVICES: &str = "service near 10.96.0.21:80 topology=openyurt.io/nodepool
    slice near-1 of near 9376 10.244.1.5@n1 10.244.1.3@n3
    service none 10.96.0.22:80 topology=openyurt.io/nodepool
    slice none-1 of none 9376 10.244.1.3@n3";
const UDP: &str = r"
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system}
spec:
  clusterIPs: [10.96.0.10, 'fd00:96::10']
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.0.10
  ports: [{name: dns, port: 53, protocol: UDP}, {name: none, port: 54, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-4, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['10.244.1.3'], nodeName: n3}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-6, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv6
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['fd00:244::3'], nodeName: n3}]
";

struct World {
    pair: Pair,
    _near: Pod,
}

impl World {
    fn new() -> Self {
        let pair = Pair::new().unwrap();
        let near = pair.client.node().pod("near", "10.244.1.5").unwrap();
        near.serve_name(9376).unwrap();
        pair.folder.put("services.yaml", SERVICES).unwrap();
        Self { pair, _near: near }
    }

    fn dial(&self, target: &str, times: usize) {
        let answers = self.pair.client.dial(target, times).unwrap();
        assert!(
            answers.iter().all(|answer| (target == NONE) == answer.failed_with("ECONNREFUSED")),
            "{answers:?}"
        );
    }

    fn says(&self, flags: &[&str]) -> Output {
        let node = self.pair.client.node();
        let socket = node.file("agent.sock");
        let said =
            lb_agent_says(node, "loop", &[flags, &["--socket", socket.to_str().unwrap()]].concat()).unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        said
    }

    fn look(&self, flags: &[&str]) -> Value {
        let said = self.says(&[flags, &["-o", "json"]].concat());
        serde_json::from_slice(&said.stdout).unwrap()
    }
}

fn cell(client: Option<&str>, backend: Option<&str>, within: &str, connections: u64) -> Value {
    json!({"clientPool": client, "backendPool": backend, "within": within, "connections": connections})
}

fn of_service<'v>(view: &'v Value, name: &str) -> &'v Value {
    view["services"]
        .as_array()
        .unwrap()
        .iter()
        .find(|service| service["service"] == name)
        .unwrap_or(&Value::Null)
}

#[test]
#[ignore = "needs root"]
fn connections_are_counted_by_service_and_pool_as_they_were_decided() {
    let world = World::new();
    let agent = world.pair.agent(&[]).unwrap();
    assert_eq!(world.look(&[])["cells"], json!([]), "nothing was dialled yet");

    world.dial(Pair::SERVICE, 7);
    world.dial(NEAR, 5);
    world.dial(NONE, 3);
    let view = world.look(&[]);
    let own = cell(Some("p1"), Some("p1"), "own-pool", 5);
    let other = cell(Some("p1"), Some("p3"), "any-node", 7);
    assert_eq!(view["cells"], json!([own, other]));
    assert_eq!((&view["refused"], &view["outside"]), (&json!(3), &json!(0)));
    assert_eq!(
        (&view["node"], &view["pool"], &view["state"]["origin"]),
        (&json!("n1"), &json!("p1"), &json!("live"))
    );
    assert_eq!(of_service(&view, "near")["cells"], json!([own]));
    assert_eq!(of_service(&view, "web")["cells"], json!([other]));
    assert_eq!(
        (&of_service(&view, "none")["cells"], &of_service(&view, "none")["refused"]),
        (&json!([]), &json!(3))
    );

    // The same for people, as the page of operations shows it.
    let text = String::from_utf8(world.says(&[]).stdout).unwrap();
    let page = std::fs::read_to_string(checkout::folder().unwrap().join("docs/operations.md")).unwrap();
    assert!(page.contains(&text), "docs/operations.md does not show this:\n{text}");

    // The node moves: what was counted stays where it was.
    world.pair.folder.put("nodes.yaml", "node n1 pool=p3\nnode n3 pool=p3").unwrap();
    wait_for("the pool is another one", || Ok(world.pair.holds(NONE)? == "10.244.1.3:9376")).unwrap();
    world.pair.client.dial(NONE, 2).unwrap();
    world.dial(Pair::SERVICE, 4);
    let moved = world.look(&[]);
    let expected = [
        own,
        other,
        cell(Some("p3"), Some("p3"), "any-node", 4),
        cell(Some("p3"), Some("p3"), "own-pool", 2),
    ];
    assert_eq!((&moved["cells"], &moved["outside"]), (&json!(expected), &json!(0)));

    // And without an agent, from the maps alone.
    agent.end_by(Signal::SIGKILL).unwrap();
    let pinned = world.look(&["--pinned"]);
    assert_eq!(
        (&pinned["cells"], &pinned["services"], &pinned["node"]),
        (&moved["cells"], &moved["services"], &Value::Null)
    );
}

#[test]
#[ignore = "needs root"]
fn counts_go_on_over_restarts_when_maps_grow_and_when_a_service_goes() {
    let world = World::new();
    let agent = world.pair.agent(&["--max-services", "64", "--max-backends", "64"]).unwrap();
    world.dial(NEAR, 5);
    world.dial(Pair::SERVICE, 2);
    agent.end_by(Signal::SIGTERM).unwrap();
    world.dial(NEAR, 1);

    let _agent = world.pair.agent(&[]).unwrap();
    let services: String = (1..=200)
        .map(|number| {
            format!(
                "service s{number} 10.97.0.{number}:80\nslice s{number}-1 of s{number} 9376 10.244.1.3@n3\n"
            )
        })
        .collect();
    world.pair.folder.put("many.yaml", &services).unwrap();
    wait_for("maps have grown", || Ok(world.pair.holds("10.97.0.200:80")? == "10.244.1.3:9376")).unwrap();
    world.dial(NEAR, 1);
    let grown = world.look(&[]);
    let expected =
        json!([cell(Some("p1"), Some("p1"), "own-pool", 7), cell(Some("p1"), Some("p3"), "any-node", 2)]);
    assert_eq!(grown["cells"], expected);

    world.pair.folder.remove("web.yaml").unwrap();
    wait_for("it is summed up", || Ok(of_service(&world.look(&[]), "web").is_null())).unwrap();
    assert_eq!(world.look(&[])["cells"], expected, "the sum never falls");
    wait_for("its place is free", || {
        Ok(world.look(&["--pinned"])["services"].as_array().is_some_and(|all| all.len() == 1))
    })
    .unwrap();
}

/// By an address or by localhost alone, lest a page of somebody else has a browser read it by a name of its own.
#[test]
#[ignore = "needs root"]
fn the_page_is_served_to_clients_that_ask_by_an_address_and_written_by_the_command() {
    let world = World::new();
    let (_agent, address) = doors::agent(&world.pair);
    world.dial(NEAR, 5);
    let ask = |host: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /loop HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    for (host, status) in [
        (&*address.to_string(), "200"),
        ("localhost:80", "200"),
        ("[::1]", "200"),
        ("edgeloop.attacker.example", "421"),
        ("", "421"),
    ] {
        assert!(ask(host).starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {}", ask(host));
    }
    let reply = ask("localhost");
    let (head, page) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains("The loop is closed:</strong> of 5 connections"), "{page}");

    let file = world.pair.client.node().file("loop.html");
    world.says(&["--html", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), page);
}

#[test]
#[ignore = "needs root"]
fn the_agents_test_of_itself_is_no_connection_of_a_client() {
    let world = World::new();
    let agent = world.pair.agent(&["--self-test", "on"]).unwrap();
    agent
        .wait_until("it has passed", |view| {
            view.self_test.as_ref().is_some_and(|said| said.starts_with("passed"))
        })
        .unwrap();
    let view = world.look(&[]);
    assert_eq!((&view["cells"], &view["services"]), (&json!([]), &json!([])));
}

/// A connect counts each time, and a datagram where it begins something.
#[test]
#[ignore = "needs root"]
fn a_udp_socket_counts_when_it_connects_and_when_it_first_sends_to_a_backend() {
    let world = World::new();
    world.pair.folder.put_text("dns.yaml", UDP).unwrap();
    let _agent = world.pair.agent(&[]).unwrap();
    world.pair.client.also_at("fd00:244::2").unwrap();
    world.pair.web.also_at("fd00:244::3").unwrap();
    let counted = || of_service(&world.look(&[]), "dns")["cells"][0]["connections"].as_u64().unwrap_or(0);
    let mut socket = Datagrams::open4(&world.pair.client).unwrap();
    for (call, after) in [
        (format!("sendto {DNS} q"), 1),
        (format!("sendto {DNS} q"), 1),
        (format!("sendmsg {DNS} q"), 1),
        (format!("connect {DNS}"), 2),
        ("send q".to_owned(), 2),
        (format!("connect {DNS}"), 3),
        ("disconnect".to_owned(), 3),
    ] {
        socket.call(&call).unwrap();
        assert_eq!(counted(), after, "{call}");
    }
    let mut second = Datagrams::open4(&world.pair.client).unwrap();
    second.call(&format!("sendto {DNS} q")).unwrap();
    assert_eq!(counted(), 4, "another socket");

    // The same over IPv6, and where there is no backend.
    let mut third = Datagrams::open6(&world.pair.client).unwrap();
    for call in ["sendto [fd00:96::10]:53 q", "sendto [fd00:96::10]:53 q", "connect [fd00:96::10]:53"] {
        assert_eq!(third.call(call).unwrap(), "ok", "{call}");
    }
    for call in ["sendto 10.96.0.10:54 q", "connect 10.96.0.10:54"] {
        assert_ne!(second.call(call).unwrap(), "ok", "{call}");
    }
    let view = world.look(&[]);
    let of = |port: &str, family: u64| {
        let all = view["services"].as_array().unwrap().iter();
        let mut own = all.filter(|of| of["portName"] == port && of["family"] == family);
        own.next().map(|of| (of["cells"].clone(), of["refused"].as_u64().unwrap())).unwrap()
    };
    assert_eq!(of("dns", 6), (json!([cell(Some("p1"), Some("p3"), "any-node", 2)]), 0));
    assert_eq!(of("none", 4), (json!([]), 2));
}

#[test]
#[ignore = "needs root"]
fn a_watch_ends_when_its_reader_has_seen_enough() {
    let pair = Pair::new().unwrap();
    let _agent = pair.agent(&[]).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = lb_agent(pair.client.node(), "loop").unwrap();
    command.arg("--watch").arg("--socket").arg(pair.client.node().file("agent.sock")).stdout(writer);
    let mut watch = Child::spawn("lb-agent loop --watch", &mut command).unwrap();
    drop(command);
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    let status = watch.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}
