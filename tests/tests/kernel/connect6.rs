//! What `connect(2)` to an IPv6 service address does on a real kernel, and what is left untouched.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Ability, Call, Pod, Site};
use lb_agent::datapath::programs::load::{Features, OBJECT};
use lb_common::outcome::Outcome;

const SERVICE: &str = "[fd00:96::11]:80";
const EMPTY: &str = "[fd00:96::12]:80";
/// The same port of the same name at the IPv4 address of the Service.
const SERVICE4: &str = "10.96.0.11:80";
const WAYS: [Call; 7] = [
    Call::Tcp,
    Call::FastOpen,
    Call::FastOpenConnect,
    Call::Mptcp,
    Call::BoundToDevice,
    Call::V6Only,
    Call::LabelAndZone,
];

#[test]
#[ignore = "needs root"]
fn every_way_to_connect_over_ipv6_is_rewritten_and_refused() {
    let may_choose = Ability::Errno.is_here().unwrap();
    for how in Call::of_this_kernel(&WAYS).unwrap() {
        let errno = if how == Call::BoundToDevice && !may_choose { "EPERM" } else { "ECONNREFUSED" };
        let world = World::new(Features::THIS).unwrap();

        let answer = world.client.call(how, SERVICE).unwrap();
        let refused = world.client.call(how, EMPTY).unwrap();

        assert!(answer.is_from("web"), "{how:?}: {answer:?}");
        let peer = answer.peer.map(|peer| SocketAddr::new(peer.ip(), peer.port()));
        assert_eq!(peer, Some(world.backend), "{how:?}");
        assert!(refused.failed_with(errno), "{how:?}: {refused:?}");
        assert_eq!(world.counts(), [1, 1, 0, 0, 0], "{how:?}");
    }
}

/// As on kernels before 5.18.
#[test]
#[ignore = "needs root"]
fn without_bpf_set_retval_an_ipv6_connection_is_refused_by_way_of_port_0() {
    let world = World::new(Features { may_set_errno: false, ..Features::THIS }).unwrap();
    for how in Call::of_this_kernel(&[Call::Tcp, Call::Mptcp, Call::BoundToDevice]).unwrap() {
        let errno = if how == Call::BoundToDevice { "EPERM" } else { "ECONNREFUSED" };
        let refused = world.client.call(how, EMPTY).unwrap();
        assert!(refused.failed_with(errno), "{how:?}: {refused:?}");
    }
    let mapped = world.client.call(Call::Tcp, "[::ffff:10.96.0.12]:80").unwrap();
    assert!(mapped.failed_with("ECONNREFUSED"), "{mapped:?}");
    assert!(world.client.call(Call::Tcp, SERVICE).unwrap().is_from("web"));
}

/// A decoy holds the addresses, so that a connect which is not rewritten succeeds.
#[test]
#[ignore = "needs root"]
fn what_is_not_an_ipv6_service_port_is_untouched() {
    let world = World::new(Features::THIS).unwrap();
    for address in ["fd00:96::11", "fd00:96::12", "fd00:96::99", "64:ff9b::a60:b"] {
        world.client.add_addresses(&[address.parse().unwrap()]).unwrap();
        for port in [80, 81] {
            world.client.serve(SocketAddr::new(address.parse().unwrap(), port), "decoy").unwrap();
        }
    }
    for (shows, target) in [
        ("an unknown address", "[fd00:96::99]:80"),
        ("an unknown port of a known address", "[fd00:96::11]:81"),
        ("an IPv4 Service behind a NAT64 prefix", "[64:ff9b::10.96.0.11]:80"),
    ] {
        let answer = world.client.dial(target, 1).unwrap().remove(0);
        assert!(answer.is_from("decoy"), "{shows}: {answer:?}");
    }
    assert!(world.client.call(Call::Udp, SERVICE).unwrap().is_from("connected"));
    assert_eq!(world.counts(), [0, 0, 4, 0, 0]);
}

#[test]
#[ignore = "needs root"]
fn the_agents_own_sockets_are_untouched_over_ipv6() {
    let world = World::new(Features::THIS).unwrap();
    for target in [SERVICE, EMPTY] {
        let answer = world.client.call_as_the_agent(&world.pin_root, target).unwrap();
        assert!(answer.failed_with("ENETUNREACH"), "{target}: {answer:?}");
        let answer = world.client.call(Call::Marked, target).unwrap();
        assert!(!answer.failed_with("ENETUNREACH"), "{target}: {answer:?}");
    }
    assert_eq!(world.counts(), [1, 1, 0, 0, 2]);
}

/// A Service of two families has a set in each; the one says nothing about the other.
#[test]
#[ignore = "needs root"]
fn a_dual_stack_service_is_served_in_both_families() {
    let mut world = World::new(Features::THIS).unwrap();
    world.client.also_at("10.244.1.2").unwrap();
    world.web.also_at("10.244.1.3").unwrap();
    let at = world.web.serve("10.244.1.3:9376".parse().unwrap(), "web4").unwrap();
    world.kernel.publish(SERVICE4, &[at]).unwrap();
    for (target, from) in [(SERVICE, "web"), (SERVICE4, "web4"), ("[::ffff:10.96.0.11]:80", "web4")] {
        let answer = world.client.dial(target, 1).unwrap().remove(0);
        assert!(answer.is_from(from), "{target}: {answer:?}");
    }
    world.kernel.publish(SERVICE4, &[]).unwrap();
    assert!(world.client.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    assert!(world.client.dial(SERVICE4, 1).unwrap()[0].failed_with("ECONNREFUSED"));
}

/// More than fit the element, so that regions of IPv6 are read, also after they moved.
#[test]
#[ignore = "needs root"]
fn all_backends_of_an_ipv6_service_are_used_and_no_other() {
    let mut world = World::new(Features::THIS).unwrap();
    let all: Vec<SocketAddr> =
        (1..=40).map(|host| format!("[fd00:244::1:{host:x}]:9376").parse().unwrap()).collect();
    for at in &all {
        world.web.also_at(&at.ip().to_string()).unwrap();
    }
    let ids: Vec<(SocketAddr, u32)> = all.iter().copied().zip(1..).collect();
    for (at, id) in &ids {
        world.web.serve(*at, &id.to_string()).unwrap();
    }
    for (shows, from, to) in [("all", 0, 40), ("fewer", 5, 25), ("inline alone", 7, 12), ("all again", 0, 40)]
    {
        world.kernel.publish(SERVICE, &all[from..to]).unwrap();
        let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
        for answer in world.client.dial(SERVICE, 600).unwrap() {
            *seen.entry(answer.result.unwrap().parse().unwrap()).or_default() += 1;
        }
        let expected: Vec<u32> = (from as u32 + 1..=to as u32).collect();
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected, "{shows}: {seen:?}");
    }
    assert_eq!(world.kernel.count(Outcome::Unproven).unwrap(), 0);
}

struct World {
    kernel: Kernel,
    backend: SocketAddr,
    client: Pod,
    web: Pod,
    pin_root: PathBuf,
    _site: Site,
}

impl World {
    /// `SERVICE` has one backend, `EMPTY` none. All pods have IPv6 addresses alone.
    fn new(machine: Features) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "fd00:244::2")?;
        let web = site.node("n3")?.pod("web", "fd00:244::3")?;
        let backend = web.serve_name(9376)?;
        let pin_root = node.pin_root();
        let mut kernel = Kernel::attach_object_on(&node, OBJECT, machine)?;
        kernel.publish(SERVICE, &[backend])?;
        kernel.publish(EMPTY, &[])?;
        kernel.publish("10.96.0.12:80", &[])?;
        Ok(Self { kernel, backend, client, web, pin_root, _site: site })
    }

    /// Forwarded, no backends, not a Service, not our protocol, the agent's.
    fn counts(&self) -> [u64; 5] {
        [
            Outcome::Forwarded,
            Outcome::NoBackends,
            Outcome::NotAService,
            Outcome::NotOurProtocol,
            Outcome::AgentSocket,
        ]
        .map(|outcome| self.kernel.count(outcome).unwrap())
    }
}
