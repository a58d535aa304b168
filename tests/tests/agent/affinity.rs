//! Clients of a Service with session affinity keep their backend, whatever becomes of the agent.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::{Agent, Folder, program, wait_for};
use edgeloop_tests::builds::next_layout_agent;
use edgeloop_tests::pins::{assert_generation_of, assert_one_generation};
use edgeloop_tests::{Pod, Site};
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_common::layout::LAYOUT_VERSION;
use nix::sys::signal::Signal;

const WEB: &str = "10.96.0.11:80";
const WEB6: &str = "[fd00:96::11]:80";
const BACKENDS: u8 = 12;

#[test]
#[ignore = "needs root"]
fn clients_keep_their_backend_over_restarts_larger_maps_and_other_versions() {
    let world = World::new();
    world.publish(0..BACKENDS);
    let node = world.clients[0].node().clone();
    let small: &[&str] = &["--max-services", "64"];
    let agent = Agent::start(&node, small).unwrap();
    let has = world.given();
    let different: BTreeSet<&String> = has.iter().flatten().collect();
    assert!(different.len() > 3, "{has:?}");

    agent.end_by(Signal::SIGKILL).unwrap();
    assert_eq!(world.given(), has, "without an agent");
    let agent = Agent::start(&node, small).unwrap();
    assert_eq!(world.given(), has, "after a restart");
    // One of those that no client has comes and goes.
    let spare = (0..BACKENDS).find(|number| !different.contains(&address4(*number).to_string())).unwrap();
    for set in [Some(spare), None] {
        world.publish((0..BACKENDS).filter(|number| Some(*number) != set));
        world.wait_for(BACKENDS - u8::from(set.is_some()));
        assert_eq!(world.given(), has, "a backend comes and goes");
    }
    agent.end_by(Signal::SIGTERM).unwrap();

    let large = Agent::start(&node, &["--max-services", "128"]).unwrap();
    wait_for("larger maps", || Ok(PinnedMaps::open(&folder(&node.pin_root()))?.capacity().frontends == 128))
        .unwrap();
    assert_eq!(world.given(), has, "over larger maps");
    large.end_by(Signal::SIGTERM).unwrap();

    let next = next_layout_agent().unwrap();
    for (shows, program, version) in
        [("an upgrade", &next, LAYOUT_VERSION + 1), ("a downgrade", &program().unwrap(), LAYOUT_VERSION)]
    {
        let mut command: Command = node.command(program);
        let agent = Agent::spawn_as(&node, &mut command, &["--max-services", "128"]).unwrap();
        wait_for(shows, || Ok(assert_generation_of(&node, version).is_ok())).unwrap();
        assert_eq!(world.given(), has, "{shows}");
        agent.end_by(Signal::SIGTERM).unwrap();
    }
    assert_one_generation(&node).unwrap();
    assert_eq!(world.remembered(), world.clients.len() * 2);
}

/// A client that changes over to a Service of the same name and address is a new one: service ids are not used again.
#[test]
#[ignore = "needs root"]
fn a_service_that_comes_again_knows_no_clients_and_those_of_before_are_forgotten() {
    let world = World::new();
    world.publish(0..BACKENDS);
    let node = world.clients[0].node().clone();
    let _agent = Agent::start(&node, &[]).unwrap();
    world.given();
    assert_eq!(world.remembered(), world.clients.len() * 2);

    world.manifests.remove("web.yaml").unwrap();
    wait_for("it is gone", || Ok(world.clients[0].dial(WEB, 1)?[0].failed_with("ENETUNREACH"))).unwrap();
    world.publish(0..BACKENDS);
    world.wait_for(BACKENDS);
    world.given();
    assert!(world.remembered() > world.clients.len() * 2, "those of before are there until the agent looks");
    let looks = Instant::now();
    while world.remembered() > world.clients.len() * 2 {
        assert!(looks.elapsed() < Duration::from_secs(60), "{} are remembered", world.remembered());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.remembered(), world.clients.len() * 2, "those of the Services that there are now");
}

struct World {
    clients: Vec<Pod>,
    manifests: Folder,
    _web: Pod,
    _site: Site,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let web = site.node("n3").unwrap().pod("web", "10.244.2.1").unwrap();
        web.also_at("fd00:244::2:1").unwrap();
        for number in 0..BACKENDS {
            for at in [address4(number), address6(number)] {
                web.also_at(&at.to_string()).unwrap();
                // Both families reply with the IPv4 address, so that they can be told apart by number.
                web.serve(SocketAddr::new(at, 9376), &address4(number).to_string()).unwrap();
            }
        }
        let clients = (1..=6).map(|number| {
            let pod = node.pod(&format!("client{number}"), &format!("10.244.1.{number}")).unwrap();
            pod.also_at(&format!("fd00:244::1:{number}")).unwrap();
            pod
        });
        let manifests = Folder::of(&node).unwrap();
        manifests.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
        Self { clients: clients.collect(), manifests, _web: web, _site: site }
    }

    fn publish(&self, numbers: impl IntoIterator<Item = u8> + Clone) {
        let endpoints = |address: fn(u8) -> IpAddr| {
            let each = numbers.clone().into_iter().map(|number| format!("{}@n3", address(number)));
            each.collect::<Vec<_>>().join(" ")
        };
        let lines = format!(
            "service web {WEB} sticky=86400 topology=openyurt.io/nodepool\nslice web-1 of web 9376 {}\n\
             service web6 {WEB6} sticky=86400\nslice web6-1 of web6 9376 {}",
            endpoints(address4),
            endpoints(address6)
        );
        self.manifests.put("web.yaml", &lines).unwrap();
    }

    /// Until both Services have so many backends.
    fn wait_for(&self, backends: u8) {
        let node = self.clients[0].node();
        wait_for("the set", || {
            let held = PinnedMaps::open(&folder(&node.pin_root()))?.dump()?;
            let counts: Vec<usize> = held.services.values().map(|held| held.element.backends.len()).collect();
            Ok(counts == [usize::from(backends); 2])
        })
        .unwrap();
    }

    /// The one backend that each client is given, of each Service.
    fn given(&self) -> Vec<Vec<String>> {
        let of = |client: &Pod, target: &str| {
            let answers = client.dial(target, 6).unwrap().into_iter();
            let names: BTreeSet<String> = answers.map(|answer| answer.result.unwrap()).collect();
            assert_eq!(names.len(), 1, "{} dials {target}: {names:?}", client.name());
            names.into_iter().next().unwrap()
        };
        self.clients.iter().map(|client| [WEB, WEB6].map(|target| of(client, target)).to_vec()).collect()
    }

    fn remembered(&self) -> usize {
        PinnedMaps::open(&folder(&self.clients[0].node().pin_root())).unwrap().clients().unwrap()
    }
}

fn address4(number: u8) -> IpAddr {
    IpAddr::from([10, 244, 2, 10 + number])
}

fn address6(number: u8) -> IpAddr {
    IpAddr::from([0xfd00, 0x244, 0, 0, 0, 0, 2, 0x10 + u16::from(number)])
}
