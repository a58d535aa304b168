//! What `connect(2)` to a service address does on a real kernel, and what is left untouched.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::builds::planted_object;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Ability, Call, Pod, Site, Talk};
use lb_agent::datapath::programs::load::OBJECT;
use lb_common::outcome::Outcome;

const SERVICE: &str = "10.96.0.11:80";
const EMPTY: &str = "10.96.0.12:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
/// IPv6 addresses that end as an IPv4-mapped one does: the service, twice, and the empty one.
const LOOKS_MAPPED: [&str; 3] =
    ["[2001:db8::ffff:10.96.0.11]:80", "[0:1::ffff:10.96.0.11]:80", "[1::ffff:10.96.0.12]:80"];

/// Dials a service address that nothing listens on, and is answered by the backend: the address
/// was rewritten inside `connect(2)`.
#[test]
#[ignore = "needs root"]
fn connect_to_a_service_reaches_its_backend() {
    let world = World::new().unwrap();

    let answer = world.client.dial(SERVICE, 1).unwrap().remove(0);

    assert!(answer.is_from("web"), "{answer:?}");
    assert_eq!(answer.peer, Some(world.backend), "the kernel connected to the backend itself");
    assert_eq!(world.counts(), Counts { forwarded: 1, ..Counts::default() });
}

#[test]
#[ignore = "needs root"]
fn an_empty_set_refuses_at_once() {
    let world = World::new().unwrap();

    let answer = world.client.dial(EMPTY, 1).unwrap().remove(0);

    assert!(answer.failed_with("ECONNREFUSED"), "{answer:?}");
    println!("refused after {:?}", answer.took);
    assert!(answer.took < Duration::from_secs(1), "{answer:?}");
    assert_eq!(world.counts(), Counts { no_backends: 1, ..Counts::default() });
}

#[test]
#[ignore = "needs root"]
fn what_is_not_served_is_untouched() {
    let world = World::new().unwrap();
    for (shows, target) in [
        ("an unknown address", "10.96.0.99:80"),
        ("an unknown port of a known address", "10.96.0.11:81"),
        ("an address in IPv6 dress that is unknown", "[::ffff:10.96.0.99]:80"),
        ("an IPv6 address", "[fd00:96::99]:80"),
        ("an IPv6 address that ends in a known IPv4 one", "[::10.96.0.11]:80"),
    ] {
        let answer = world.client.dial(target, 1).unwrap().remove(0);
        assert!(answer.failed_with("ENETUNREACH"), "{shows}: {answer:?}");
    }
    assert_eq!(world.counts(), Counts { not_a_service: 5, ..Counts::default() });
}

/// A decoy holds the service address, so that a connect which is not rewritten succeeds.
#[test]
#[ignore = "needs root"]
fn other_protocols_are_untouched() {
    let world = World::new().unwrap();
    world.client.add_addresses(&["10.96.0.11".parse().unwrap(), "10.96.0.12".parse().unwrap()]).unwrap();
    for (how, target) in [
        (Call::Udp, SERVICE),
        (Call::Udp, EMPTY),
        (Call::Udp, MAPPED),
        (Call::Ping, SERVICE),
        (Call::Ping, EMPTY),
    ] {
        let answer = world.client.call(how, target).unwrap();
        assert!(answer.is_from("connected"), "{how:?} to {target}: {answer:?}");
        let peer = answer.peer.map(|peer| peer.ip());
        let dialled: SocketAddr = target.parse().unwrap();
        assert_eq!(peer, Some(dialled.ip()), "{how:?} to {target}");
    }
    let pings = if Ability::PingHook.is_here().unwrap() { 2 } else { 0 };
    let expected = Counts { not_a_service: 3, not_our_protocol: pings, ..Counts::default() };
    assert_eq!(world.counts(), expected);
}

/// The agent's way to its API server: also to one that is a Service, and one that refuses.
#[test]
#[ignore = "needs root"]
fn the_agents_own_sockets_are_untouched() {
    let world = World::new().unwrap();
    for target in [SERVICE, EMPTY, MAPPED] {
        let answer = world.client.call_as_the_agent(&world.pin_root, target).unwrap();
        assert!(answer.failed_with("ENETUNREACH"), "{target}: {answer:?}");
    }
    assert_eq!(world.counts(), Counts { agent_socket: 3, ..Counts::default() });
}

/// Any process with CAP_NET_RAW can set the mark of the agent's sockets.
#[test]
#[ignore = "needs root"]
fn a_socket_with_the_agents_mark_alone_is_not_the_agents() {
    let world = World::new().unwrap();
    for target in [SERVICE, MAPPED] {
        let answer = world.client.call(Call::Marked, target).unwrap();
        assert!(answer.is_from("web"), "{target}: {answer:?}");
    }
    let refused = world.client.call(Call::Marked, EMPTY).unwrap();
    assert!(refused.failed_with("ECONNREFUSED"), "{refused:?}");
    assert_eq!(world.counts(), Counts { forwarded: 2, no_backends: 1, ..Counts::default() });
}

/// A planted bug that the test above must catch.
#[test]
#[ignore = "needs root"]
fn by_its_mark_alone_a_socket_passes_for_the_agents() {
    let world = World::of(planted_object("edgeloop-mark-alone.o").unwrap()).unwrap();
    for target in [SERVICE, MAPPED, EMPTY] {
        let answer = world.client.call(Call::Marked, target).unwrap();
        assert!(answer.failed_with("ENETUNREACH"), "{target}: {answer:?}");
    }
    assert_eq!(world.counts(), Counts { agent_socket: 3, ..Counts::default() });
}

/// Only `::ffff:a.b.c.d` is an IPv4 address: others that end alike are IPv6 addresses of their own.
#[test]
#[ignore = "needs root"]
fn an_ipv6_address_that_only_looks_mapped_is_untouched() {
    let world = World::new().unwrap();
    for target in LOOKS_MAPPED {
        let answer = world.client.dial(target, 1).unwrap().remove(0);
        assert!(!answer.is_from("web") && !answer.failed_with("ECONNREFUSED"), "{target}: {answer:?}");
    }
    assert_eq!(world.counts(), Counts { not_a_service: 3, ..Counts::default() });
}

/// A planted bug that the test above must catch.
#[test]
#[ignore = "needs root"]
fn by_its_third_word_alone_an_ipv6_address_passes_for_a_service() {
    let world = World::of(planted_object("edgeloop-third-word.o").unwrap()).unwrap();
    for target in LOOKS_MAPPED {
        world.client.dial(target, 1).unwrap();
    }
    assert_eq!(world.counts(), Counts { forwarded: 2, no_backends: 1, ..Counts::default() });
}

#[test]
#[ignore = "needs root"]
fn a_v4_mapped_dial_is_an_ipv4_dial() {
    let world = World::new().unwrap();

    let answer = world.client.dial(MAPPED, 1).unwrap().remove(0);
    let refused = world.client.dial("[::ffff:10.96.0.12]:80", 1).unwrap().remove(0);

    assert!(answer.is_from("web"), "{answer:?}");
    let canonical = answer.peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    assert_eq!(canonical, Some(world.backend));
    assert!(refused.failed_with("ECONNREFUSED"), "{refused:?}");
    assert_eq!(world.counts(), Counts { forwarded: 1, no_backends: 1, ..Counts::default() });
}

#[test]
#[ignore = "needs root"]
fn fast_open_and_mptcp_are_rewritten_and_refused_like_tcp() {
    let all = [Call::Tcp, Call::FastOpen, Call::FastOpenConnect, Call::Mptcp, Call::BoundToDevice];
    let may_choose = Ability::Errno.is_here().unwrap();
    for how in Call::of_this_kernel(&all).unwrap() {
        let errno = if how == Call::BoundToDevice && !may_choose { "EPERM" } else { "ECONNREFUSED" };
        let world = World::new().unwrap();

        let answer = world.client.call(how, SERVICE).unwrap();
        let refused = world.client.call(how, EMPTY).unwrap();

        assert!(answer.is_from("web"), "{how:?}: {answer:?}");
        assert_eq!(answer.peer, Some(world.backend), "{how:?}");
        assert!(refused.failed_with(errno), "{how:?}: {refused:?}");
        assert_eq!(world.counts(), Counts { forwarded: 1, no_backends: 1, ..Counts::default() }, "{how:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn every_connection_is_counted_once() {
    let world = World::new().unwrap();

    world.client.dial(SERVICE, 300).unwrap();
    world.client.dial(EMPTY, 200).unwrap();
    world.client.dial("10.96.0.99:80", 100).unwrap();
    world.client.dial(&world.backend.to_string(), 50).unwrap();

    let expected = Counts { forwarded: 300, no_backends: 200, not_a_service: 150, ..Counts::default() };
    assert_eq!(world.counts(), expected);
}

/// Another node's pods run under another cgroup, and so does everything that is of no node.
#[test]
#[ignore = "needs root"]
fn sockets_outside_the_cgroup_are_untouched() {
    let world = World::new().unwrap();
    let stranger = world.site.node("n2").unwrap().pod("stranger", "10.244.1.9").unwrap();

    let answer = stranger.dial(SERVICE, 1).unwrap().remove(0);

    assert!(answer.failed_with("ENETUNREACH"), "{answer:?}");
    assert_eq!(world.counts(), Counts::default());
}

#[test]
#[ignore = "needs root"]
fn connections_that_exist_outlive_their_service() {
    let mut world = World::new().unwrap();
    let echo = world.web.echo(7).unwrap();
    world.kernel.publish(SERVICE, &[echo]).unwrap();
    let mut talk = Talk::start(&world.client, SERVICE.parse().unwrap()).unwrap();
    assert_eq!(talk.say("one").unwrap(), "one");

    world.kernel.publish(SERVICE, &[]).unwrap();
    assert!(world.client.dial(SERVICE, 1).unwrap()[0].failed_with("ECONNREFUSED"));
    assert_eq!(talk.say("two").unwrap(), "two");

    world.kernel.unpublish(SERVICE).unwrap();
    assert!(world.client.dial(SERVICE, 1).unwrap()[0].failed_with("ENETUNREACH"));
    assert_eq!(talk.say("three").unwrap(), "three");
}

struct World {
    kernel: Kernel,
    backend: SocketAddr,
    client: Pod,
    web: Pod,
    pin_root: PathBuf,
    site: Site,
}

/// How often each way out was taken.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    forwarded: u64,
    not_a_service: u64,
    not_our_protocol: u64,
    no_backends: u64,
    unproven: u64,
    agent_socket: u64,
}

impl World {
    /// `SERVICE` has one backend, `EMPTY` none. The backend is on another node, where nothing is attached.
    fn new() -> Result<Self> {
        Self::of(OBJECT)
    }

    /// The same with the programs of another object.
    fn of(object: &'static [u8]) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        let backend = web.serve_name(9376)?;
        let pin_root = node.pin_root();
        let mut kernel = Kernel::attach_object(&node, object)?;
        kernel.publish(SERVICE, &[backend])?;
        kernel.publish(EMPTY, &[])?;
        Ok(Self { kernel, backend, client, web, pin_root, site })
    }

    fn counts(&self) -> Counts {
        let count = |outcome| self.kernel.count(outcome).unwrap();
        Counts {
            forwarded: count(Outcome::Forwarded),
            not_a_service: count(Outcome::NotAService),
            not_our_protocol: count(Outcome::NotOurProtocol),
            no_backends: count(Outcome::NoBackends),
            unproven: count(Outcome::Unproven),
            agent_socket: count(Outcome::AgentSocket),
        }
    }
}
