//! Session affinity on a real kernel: a client is a network namespace, and keeps its backend of each service port.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use edgeloop_tests::builds::planted_object;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Datagrams, Node, Pod, Site, bpf};
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::datapath::programs::load::OBJECT;
use lb_agent::datapath::since_boot;
use lb_agent::model::{Frontend, Protocol};
use lb_agent::plan::Capacity;
use lb_common::layout::{AFFINITIES, AFFINITY, Affinity, Client};
use lb_common::outcome::{Event, Outcome};

const TCP4: &str = "10.96.0.11:80";
const TCP6: &str = "[fd00:96::11]:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
/// Of the backends, all in one pod, which has a second address.
const NETWORKS: [&str; 2] = ["10.245.2.0/24", "fd00:245::/64"];
const WEB6: &str = "fd00:244::2:1";
/// A day: no test lasts as long.
const DAY: u32 = 86_400;

#[test]
#[ignore = "needs root"]
fn a_client_keeps_its_backend_of_each_service_port_in_both_families() {
    let mut world = World::new(12, OBJECT).unwrap();
    let other = "10.96.0.12:80";
    for (address, family) in [(TCP4, 4), (TCP6, 6), (other, 4)] {
        world.kernel.publish_sticky(tcp(address), &world.backends(family, 0..20), DAY).unwrap();
    }
    let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for client in &world.clients {
        for (address, also) in [(TCP4, MAPPED), (TCP6, TCP6), (other, other)] {
            let names = names(client, &[address, also, address], 5);
            assert_eq!(names.len(), 1, "{} dials {address}: {names:?}", client.name());
            given.entry(address).or_default().extend(names);
        }
    }
    for (address, given) in &given {
        let different: BTreeSet<&String> = given.iter().collect();
        assert!(different.len() > 4, "clients are spread over the backends of {address}: {given:?}");
    }
    assert_ne!(given[TCP4], given[other], "each service port chooses for itself");
    assert_eq!(world.kernel.count(Outcome::Forwarded).unwrap(), 12 * 3 * 15);
    assert_eq!(world.remembered(), 12 * 3);
}

/// What a client is given stays, whatever else comes and goes; what left is given to no one.
#[test]
#[ignore = "needs root"]
fn a_client_moves_only_when_its_backend_leaves() {
    let broken = moves(OBJECT);
    assert_eq!(broken, Vec::<String>::new());
}

/// A set of dozens is looked through in parts: backends that move from the last slots to the third part and the fourth are found there.
#[test]
#[ignore = "needs root"]
fn a_client_keeps_its_backend_as_it_moves_within_a_large_set() {
    let mut world = World::new(12, OBJECT).unwrap();
    for family in [4, 6] {
        // No server is behind them, and no route. They have the first slots.
        let others: Vec<SocketAddr> = (1..=42)
            .map(|host: u8| match family {
                4 => SocketAddr::from(([10, 243, 0, host], 9376)),
                _ => SocketAddr::from(([0xfd00, 0x243, 0, 0, 0, 0, 0, host.into()], 9376)),
            })
            .collect();
        let servers = world.backends(family, 0..20);
        let mut kept = 0;
        for port in 1..=5 {
            let address =
                if family == 4 { format!("10.96.0.21:{port}") } else { format!("[fd00:96::21]:{port}") };
            world.kernel.publish_sticky(tcp(&address), &[&others[..], &servers].concat(), DAY).unwrap();
            let replies = |client: &Pod| client.dial(&address, 1).unwrap().remove(0).result.ok();
            let first: Vec<Option<String>> = world.clients.iter().map(replies).collect();
            world.kernel.publish_sticky(tcp(&address), &[&others[..22], &servers].concat(), DAY).unwrap();
            for (client, has) in world.clients.iter().zip(&first).filter(|(_, has)| has.is_some()) {
                assert_eq!(&replies(client), has, "{address}, {}", client.name());
                kept += 1;
            }
        }
        assert!(kept > 3, "{kept} clients were given a server");
    }
}

/// Planted bugs that the tests of moving clients must catch.
#[test]
#[ignore = "needs root"]
fn a_client_that_keeps_its_slot_or_a_backend_that_left_is_noticed() {
    for object in ["edgeloop-affinity-slot.o", "edgeloop-affinity-left.o"] {
        assert_ne!(moves(planted_object(object).unwrap()), Vec::<String>::new(), "{object}");
    }
}

/// What was wrong, as sentences.
fn moves(object: &'static [u8]) -> Vec<String> {
    let mut broken = Vec::new();
    for (address, family) in [(TCP4, 4), (TCP6, 6)] {
        let mut world = World::new(6, object).unwrap();
        let all = world.backends(family, 0..20);
        world.kernel.publish_sticky(tcp(address), &all, DAY).unwrap();
        let mut has: Vec<String> = world.clients.iter().map(|client| name(client, address)).collect();
        for (shows, from, to) in [
            ("fewer", 0, 12),
            ("others", 8, 20),
            ("one more", 7, 20),
            ("few", 7, 10),
            ("all", 0, 20),
            ("few again", 0, 3),
        ] {
            let set = &all[from..to];
            world.kernel.publish_sticky(tcp(address), set, DAY).unwrap();
            let in_set = |name: &String| set.iter().any(|at| *name == at.ip().to_string());
            for (client, has) in world.clients.iter().zip(&mut has) {
                let given = names(client, &[address], 4);
                let Some(first) = given.first().filter(|_| given.len() == 1) else {
                    broken.push(format!("{shows}: {} is given {given:?}", client.name()));
                    continue;
                };
                if !in_set(first) || (in_set(has) && first != has) {
                    broken.push(format!("{shows}: {} is given {first} after {has}", client.name()));
                }
                has.clone_from(first);
            }
        }
    }
    broken
}

/// Each connection renews it, and a client that stays away for longer chooses anew.
#[test]
#[ignore = "needs root"]
fn the_timeout_slides_and_ends_the_affinity() {
    assert_eq!(stays_and_moves(OBJECT), (0, true));
}

/// A planted bug that the test above must catch.
#[test]
#[ignore = "needs root"]
fn without_the_timeout_a_client_keeps_its_backend_forever() {
    assert_eq!(stays_and_moves(planted_object("edgeloop-affinity-forever.o").unwrap()), (0, false));
}

/// How many clients moved while they came back in time, and whether any moved after it.
fn stays_and_moves(object: &'static [u8]) -> (usize, bool) {
    const SECONDS: u32 = 3;
    let mut world = World::new(8, object).unwrap();
    // All have the one backend, of which they would hardly all choose among twenty.
    world.kernel.publish_sticky(tcp(TCP4), &world.backends(4, 0..1), SECONDS).unwrap();
    let only: Vec<String> = world.clients.iter().map(|client| name(client, TCP4)).collect();
    world.kernel.publish_sticky(tcp(TCP4), &world.backends(4, 0..20), SECONDS).unwrap();
    let moved = |world: &World| {
        world.clients.iter().zip(&only).filter(|(client, only)| name(client, TCP4) != **only).count()
    };
    let mut early = 0;
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(1000));
        early += moved(&world);
    }
    thread::sleep(Duration::from_secs(u64::from(SECONDS) + 1));
    (early, moved(&world) > 0)
}

/// A socket keeps its backend; what it is given at first is its client's.
#[test]
#[ignore = "needs root"]
fn sockets_of_udp_are_given_the_backend_of_their_client() {
    let mut world = World::new(3, OBJECT).unwrap();
    for (address, family, connects) in [
        ("10.96.0.10:53", 4, false),
        ("10.96.0.10:53", 4, true),
        ("[fd00:96::10]:53", 6, false),
        ("[fd00:96::10]:53", 6, true),
    ] {
        let udp = Frontend { protocol: Protocol::Udp, ..tcp(address) };
        world.kernel.publish_sticky(udp, &world.backends(family, 0..20), DAY).unwrap();
        for client in &world.clients {
            let mut given = BTreeSet::new();
            for _ in 0..6 {
                let open = if family == 4 { Datagrams::open4 } else { Datagrams::open6 };
                let mut socket = open(client).unwrap();
                let calls = if connects {
                    vec![format!("connect {address}"), "send q".to_owned()]
                } else {
                    vec![format!("sendto {address} q")]
                };
                for call in calls {
                    assert_eq!(socket.call(&call).unwrap(), "ok", "{call}");
                }
                let reply = socket.call("recvfrom").unwrap();
                assert!(reply.ends_with(&format!(" q from {address}")), "{reply}");
                given.insert(reply);
            }
            assert_eq!(given.len(), 1, "{} sends to {address}: {given:?}", client.name());
        }
    }
}

/// Clients that are not remembered are served, and mostly come to the same backend again.
#[test]
#[ignore = "needs root"]
fn a_full_map_refuses_no_client_and_is_counted() {
    let mut world = World::new(2, OBJECT).unwrap();
    world.kernel.publish_sticky(tcp(TCP4), &world.backends(4, 0..20), DAY).unwrap();
    let [known, stranger] = [&world.clients[0], &world.clients[1]];
    let has = name(known, TCP4);
    world.fill(AFFINITIES as usize - 1);
    assert_eq!(world.remembered(), AFFINITIES as usize);
    let given = names(stranger, &[TCP4], 20);
    assert_eq!(given.len(), 1, "the choice is the client's own: {given:?}");
    assert_eq!(world.kernel.events(Event::UnstoredAffinity).unwrap(), 20);
    assert_eq!(names(known, &[TCP4], 5), BTreeSet::from([has]));
}

/// 100 Services and 100 namespaces for real, and the rest written into the map. What is over goes, and nothing else.
#[test]
#[ignore = "needs root"]
fn of_a_hundred_thousand_clients_those_that_are_over_are_forgotten() {
    const MANY: usize = 100;
    let mut world = World::with_room(MANY, OBJECT, Capacity::of(128, 2048)).unwrap();
    let services: Vec<String> = (1..=MANY).map(|number| format!("10.96.3.{number}:80")).collect();
    for service in &services {
        world.kernel.publish_sticky(tcp(service), &world.backends(4, 0..20), DAY).unwrap();
    }
    let targets: Vec<&str> = services.iter().map(String::as_str).collect();
    let given = |world: &World, clients: usize| -> Vec<Vec<String>> {
        let one = |client: &Pod| -> Vec<String> {
            client.dial_each(&targets, 1).unwrap().into_iter().map(|answer| answer.result.unwrap()).collect()
        };
        world.clients[..clients].iter().map(one).collect()
    };
    let first = given(&world, MANY);
    let real = MANY * MANY;
    assert_eq!(world.remembered(), real);
    world.fill(100_000 - real);
    assert_eq!(given(&world, 10), first[..10], "with 90,000 beside them");
    let timeouts = world.kernel.mirror.affinities();
    assert_eq!(timeouts.len(), MANY);

    // Those that were written are of a service port that does not exist.
    let began = Instant::now();
    let left = world.kernel.maps.forget_clients(&timeouts, since_boot()).unwrap();
    println!("90,000 of 100,000 clients were forgotten in {:?}", began.elapsed());
    assert_eq!((left, world.remembered()), (real, real));
    assert_eq!(given(&world, 10), first[..10]);
    world.kernel.unpublish(&services[0]).unwrap();
    let timeouts = world.kernel.mirror.affinities();
    assert_eq!(world.kernel.maps.forget_clients(&timeouts, since_boot()).unwrap(), real - MANY);
    let much_later = since_boot() + Duration::from_secs(u64::from(DAY) + 60);
    assert_eq!(world.kernel.maps.forget_clients(&timeouts, much_later).unwrap(), 0);
}

struct World {
    kernel: Kernel,
    clients: Vec<Pod>,
    node: Node,
    _web: Pod,
    _site: Site,
}

impl World {
    /// Clients in namespaces of their own, and twenty addresses of each family that reply with themselves.
    fn new(clients: usize, object: &'static [u8]) -> Result<Self> {
        Self::with_room(clients, object, Capacity::of(64, 2048))
    }

    fn with_room(clients: usize, object: &'static [u8], capacity: Capacity) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let web = site.node("n3")?.pod("web", "10.244.2.1")?;
        web.also_at(WEB6)?;
        for family in [4, 6] {
            let addresses: Vec<IpAddr> = backends(family, 0..20).iter().map(SocketAddr::ip).collect();
            web.add_addresses(&addresses)?;
            for at in backends(family, 0..20) {
                web.serve(at, &at.ip().to_string())?;
                web.serve_datagrams_at(at, &at.ip().to_string())?;
            }
        }
        let clients = (1..=clients)
            .map(|number| {
                let pod = node.pod(&format!("client{number}"), &format!("10.244.1.{number}"))?;
                pod.also_at(&format!("fd00:244::1:{number:x}"))?;
                // One neighbour a client: the kernel's table of them is small, and for all namespaces.
                pod.route(NETWORKS[0], &web)?;
                pod.route_by(NETWORKS[1], WEB6)?;
                Ok(pod)
            })
            .collect::<Result<_>>()?;
        let kernel = Kernel::attach_object_with(&node, object, capacity)?;
        Ok(Self { kernel, clients, node, _web: web, _site: site })
    }

    fn backends(&self, family: u8, which: std::ops::Range<u8>) -> Vec<SocketAddr> {
        backends(family, which)
    }

    /// How many clients are remembered.
    fn remembered(&self) -> usize {
        PinnedMaps::open(&folder(&self.node.pin_root())).unwrap().clients().unwrap()
    }

    /// Writes so many clients of a service port that does not exist.
    fn fill(&self, many: usize) {
        let map = bpf::Pinned::open(&folder(&self.node.pin_root()).join(AFFINITY.pin)).unwrap();
        let used = since_boot().as_nanos() as u64;
        for number in 0..many as u64 {
            let client = Client { netns: 1 << 40 | number, service: u32::MAX, zero: 0 };
            map.write(&client, &Affinity { port: [0, 80], used, ..Affinity::default() }).unwrap();
        }
    }
}

fn backends(family: u8, which: std::ops::Range<u8>) -> Vec<SocketAddr> {
    let at = |number: u8| match family {
        4 => IpAddr::from([10, 245, 2, number + 1]),
        _ => IpAddr::from([0xfd00, 0x245, 0, 0, 0, 0, 2, u16::from(number) + 1]),
    };
    which.map(|number| SocketAddr::new(at(number), 9376)).collect()
}

fn tcp(address: &str) -> Frontend {
    Frontend { address: address.parse().unwrap(), protocol: Protocol::Tcp }
}

/// Who replies to this client, dialled so many times at each target.
fn names(client: &Pod, targets: &[&str], count: usize) -> BTreeSet<String> {
    client.dial_each(targets, count).unwrap().into_iter().map(|answer| answer.result.unwrap()).collect()
}

fn name(client: &Pod, target: &str) -> String {
    client.dial(target, 1).unwrap().remove(0).result.unwrap()
}
