//! Connected UDP sockets whose backend is gone end within a second, and no other socket does.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::thread;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::{Agent, Folder};
use edgeloop_tests::{Datagrams, Node, Pod, Site};
use nix::sys::signal::Signal;

/// The contract's.
const WITHIN: Duration = Duration::from_secs(1);
const ITERATOR: &[&str] = &["--end-udp-sockets", "iterator"];
const SOCK_DIAG: &[&str] = &["--end-udp-sockets", "sock-diag"];

/// Two pods with clients, and one with the backends of all Services: 10.244.1.3, fd00:244::3, and the same with a last number of 4.
struct World {
    clients: [Pod; 2],
    folder: Folder,
    _backends: Pod,
    _site: Site,
}

/// The parts of the Services `dns` (10.96.0.10, fd00:96::10) and `log` (10.96.0.11) that change.
#[derive(Clone, Copy)]
struct Set {
    /// Of each endpoint of `dns` by its last number: its conditions, and more of it.
    dns: &'static [(u8, &'static str)],
    log: &'static [u8],
}

const BOTH: &str = "conditions: {ready: true, serving: true}";
const START: Set = Set { dns: &[(3, BOTH)], log: &[3] };
/// The backend of `dns` is gone; `log` still has it.
const GONE: Set = Set { dns: &[(4, BOTH)], log: &[3] };

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let client = |name, v4, v6| {
            let pod = node.pod(name, v4).unwrap();
            pod.also_at(v6).unwrap();
            pod
        };
        let clients =
            [client("one", "10.244.1.2", "fd00:244::2"), client("two", "10.244.1.7", "fd00:244::7")];
        let backends = site.node("n3").unwrap().pod("dns", "10.244.1.3").unwrap();
        for address in ["10.244.1.4", "fd00:244::3", "fd00:244::4"] {
            backends.also_at(address).unwrap();
        }
        for at in ["10.244.1.3", "10.244.1.4", "[fd00:244::3]", "[fd00:244::4]"] {
            backends.serve_datagrams_at(format!("{at}:5353").parse().unwrap(), "r").unwrap();
        }
        let folder = Folder::of(&node).unwrap();
        folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
        let world = Self { clients, folder, _backends: backends, _site: site };
        world.publish(START, "");
        world
    }

    fn node(&self) -> &Node {
        self.clients[0].node()
    }

    /// `more` is of the Service `dns`.
    fn publish(&self, set: Set, more: &str) {
        let slice = |service: &str, family: &str, network: &str, endpoints: &[(u8, &str)]| {
            let endpoint = |(last, more): &(u8, &str)| {
                format!("{{addresses: ['{network}{last}'], nodeName: n3, {more}}}")
            };
            let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {service}-{}, namespace: kube-system, labels: {{kubernetes.io/service-name: {service}}}}}\n\
                 addressType: {family}\nports: [{{name: dns, port: 5353, protocol: UDP}}]\nendpoints: [{}]\n",
                family.to_lowercase(),
                endpoints.join(", ")
            )
        };
        let log: Vec<(u8, &str)> = set.log.iter().map(|last| (*last, BOTH)).collect();
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: dns, namespace: kube-system}}\n\
             spec: {{clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, 'fd00:96::10'], ipFamilies: [IPv4, IPv6], \
             ports: [{{name: dns, port: 53, protocol: UDP}}]{more}}}\n---\napiVersion: v1\nkind: Service\n\
             metadata: {{name: log, namespace: kube-system}}\n\
             spec: {{clusterIP: 10.96.0.11, ports: [{{name: dns, port: 53, protocol: UDP}}]}}\n{}{}{}",
            slice("dns", "IPv4", "10.244.1.", set.dns),
            slice("dns", "IPv6", "fd00:244::", set.dns),
            slice("log", "IPv4", "10.244.1.", &log),
        );
        self.folder.put_text("services.yaml", &text).unwrap();
    }

    /// Sockets that are connected to `dns`, each in its own way, in both pods.
    fn dialled(&self) -> Vec<(&'static str, Datagrams)> {
        let open = |pod: &Pod, family: u8, to: &'static str| {
            let mut socket = if family == 4 { Datagrams::open4(pod) } else { Datagrams::open6(pod) }.unwrap();
            follow(to, &mut socket, &[&format!("connect {to}"), "send q"]);
            (to, socket)
        };
        let of = |pod: &Pod| {
            [
                open(pod, 4, "10.96.0.10:53"),
                open(pod, 6, "[::ffff:10.96.0.10]:53"),
                open(pod, 6, "[fd00:96::10]:53"),
            ]
        };
        self.clients.iter().flat_map(of).collect()
    }

    /// Sockets with the same backend that must live, whatever becomes of it for `dns`.
    fn others(&self) -> Vec<(&'static str, Datagrams)> {
        let of = |pod: &Pod| {
            let open = |shows, steps: &[&str]| {
                let mut socket = Datagrams::open4(pod).unwrap();
                follow(shows, &mut socket, steps);
                (shows, socket)
            };
            [
                open("another Service with that backend", &["connect 10.96.0.11:53", "send q"]),
                open("dialled itself", &["connect 10.244.1.3:5353", "send q"]),
                open(
                    "dialled itself after the Service",
                    &["connect 10.96.0.10:53", "connect 10.244.1.3:5353", "send q"],
                ),
                open(
                    "the other Service after this one",
                    &["connect 10.96.0.10:53", "connect 10.96.0.11:53", "send q"],
                ),
            ]
        };
        self.clients.iter().flat_map(of).collect()
    }
}

fn follow(shows: &str, socket: &mut Datagrams, steps: &[&str]) {
    for step in steps {
        assert_eq!(socket.call(step).unwrap(), "ok", "{shows}: {step}");
    }
}

/// Whether the socket was ended, by a call of its owner.
fn is_ended(socket: &mut Datagrams) -> bool {
    match socket.call("send q").unwrap().as_str() {
        "ok" => false,
        "ECONNABORTED" | "EDESTADDRREQ" => true,
        other => panic!("{other}"),
    }
}

fn assert_all_end(sockets: &mut [(&'static str, Datagrams)], since: Instant) {
    for (dialled, socket) in sockets {
        while !is_ended(socket) {
            assert!(since.elapsed() < WITHIN, "{dialled} goes on after {:?}", since.elapsed());
            thread::sleep(Duration::from_millis(2));
        }
        // It dials again, and is served. What ended it may wait to be read once more.
        follow(dialled, socket, &[&format!("connect {dialled}")]);
        let said = socket.call("send q").unwrap();
        assert!(["ok", "ECONNABORTED"].contains(&said.as_str()), "{dialled}: {said}");
        follow(dialled, socket, &["send q"]);
    }
}

fn assert_all_live(sockets: &mut [(&'static str, Datagrams)]) {
    for (shows, socket) in sockets {
        assert!(!is_ended(socket), "{shows}");
    }
}

/// How many the agent says that it has ended.
fn ended(agent: &Agent) -> u64 {
    agent.view().unwrap().peers.ended.total()
}

#[test]
#[ignore = "needs root"]
fn sockets_of_a_backend_that_is_gone_end_within_a_second_and_no_others() {
    for flags in [ITERATOR, SOCK_DIAG] {
        let world = World::new();
        let agent = Agent::start(world.node(), flags).unwrap();
        let (mut dialled, mut others) = (world.dialled(), world.others());
        thread::sleep(Duration::from_millis(300));
        assert_all_live(&mut dialled);

        world.publish(GONE, "");
        assert_all_end(&mut dialled, Instant::now());
        thread::sleep(Duration::from_millis(2_300));
        assert_all_live(&mut dialled);
        assert_all_live(&mut others);
        agent
            .wait_until("it says what it ended", |view| {
                view.peers.ended.backend == 6 && view.peers.left.total() == 0
            })
            .unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn hints_and_traffic_policies_end_nothing_and_what_does_not_serve_does() {
    let world = World::new();
    let both = Set { dns: &[(3, BOTH), (4, BOTH)], log: &[3] };
    world.publish(Set { dns: &[(3, BOTH)], ..both }, "");
    let agent = Agent::start(world.node(), &[]).unwrap();
    let mut dialled = world.dialled();
    let hints = |zone: &'static str| -> &'static str {
        match zone {
            "here" => "conditions: {ready: true, serving: true}, hints: {forNodes: [{name: n1}]}",
            _ => "conditions: {ready: true, serving: true}, hints: {forNodes: [{name: n9}]}",
        }
    };
    let away: &'static [(u8, &str)] = Box::leak(Box::new([(3, hints("away")), (4, hints("here"))]));
    for (shows, set, more) in [
        ("another backend besides", both, ""),
        ("hinted to other nodes", Set { dns: away, ..both }, ""),
        ("local traffic alone, and none is here", both, ", internalTrafficPolicy: Local"),
        (
            "terminating while another is ready",
            Set {
                dns: &[(3, "conditions: {ready: false, serving: true, terminating: true}"), (4, BOTH)],
                ..both
            },
            "",
        ),
    ] {
        world.publish(set, more);
        thread::sleep(Duration::from_millis(700));
        for (dialled, socket) in &mut dialled {
            assert!(!is_ended(socket), "{shows}: {dialled}");
        }
        assert_eq!(ended(&agent), 0, "{shows}");
    }
    let unready: Set = Set { dns: &[(3, "conditions: {ready: false, serving: false}"), (4, BOTH)], ..both };
    world.publish(unready, "");
    assert_all_end(&mut dialled, Instant::now());
}

#[test]
#[ignore = "needs root"]
fn backends_that_went_while_the_agent_was_dead_are_noticed_by_the_next() {
    let world = World::new();
    let agent = Agent::start(world.node(), &[]).unwrap();
    let (mut dialled, mut others) = (world.dialled(), world.others());
    agent.end_by(Signal::SIGKILL).unwrap();
    world.publish(GONE, "");
    thread::sleep(Duration::from_millis(300));
    assert_all_live(&mut dialled);
    let _agent = Agent::start(world.node(), &[]).unwrap();
    assert_all_end(&mut dialled, Instant::now());
    assert_all_live(&mut others);
}
