//! What UDP sockets get, on a real kernel: each row of the contract's table of calls.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

mod calls;

use std::net::SocketAddr;

use anyhow::Result;
use edgeloop_tests::builds::planted_object;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Ability, Datagrams, Pod, Site};
use lb_agent::datapath::programs::load::{Features, OBJECT};
use lb_common::outcome::{Event, Outcome};

use calls::{CALLS, NO_LONGER_CONNECTED, in_ipv6};

/// Served by the pod `a`.
const DNS: &str = "10.96.0.10:53";
/// Served by the pod `b`.
const LOG: &str = "10.96.0.11:514";
const EMPTY: &str = "10.96.0.12:53";
/// A port of the pod `a`, which no Service leads to; it says that it is `c`.
const NO_SERVICES_PORT: u16 = 5354;

#[test]
#[ignore = "needs root"]
fn each_udp_call_is_rewritten_and_its_reply_comes_from_what_was_dialled() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    let world = World::new().unwrap();
    for (shows, family, calls) in CALLS {
        world.follow(shows, *family, calls);
        if *family == 4 && *shows != NO_LONGER_CONNECTED {
            let calls = in_ipv6(calls);
            let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
            world.follow(&format!("{shows}, IPv6"), 6, &calls);
        }
    }
    assert_eq!(world.kernel.events(Event::ForgottenTranslation).unwrap(), 0);
    assert_eq!(world.kernel.events(Event::UnstoredTranslation).unwrap(), 0);
    assert_eq!(world.kernel.count(Outcome::Unproven).unwrap(), 0);
}

/// As on kernels before 5.18: port 0 would refuse too late, or never.
#[test]
#[ignore = "needs root"]
fn without_bpf_set_retval_udp_is_refused_with_eperm() {
    let old = Features { may_set_errno: false, ..Features::THIS };
    let world = World::of(OBJECT, old).unwrap();
    world.follow(
        "IPv4",
        4,
        &[
            "sendto 10.96.0.12:53 q -> EPERM",
            "connect 10.96.0.12:53 -> EPERM",
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    );
    world.follow("IPv4-mapped", 6, &["connect [::ffff:10.96.0.12]:53 -> EPERM"]);
    world.follow(
        "IPv6",
        6,
        &[
            "sendto [fd00:96::12]:53 q -> EPERM",
            "connect [fd00:96::12]:53 -> EPERM",
            "sendto [fd00:96::10]:53 q -> ok",
            "recvfrom -> a q from [fd00:96::10]:53",
        ],
    );
}

#[test]
#[ignore = "needs root"]
fn replies_of_a_backend_that_left_still_come_from_the_service() {
    for (shows, before, after) in [
        (
            "with the next query under way",
            &["sendto 10.96.0.10:53 later 300 -> ok"][..],
            &[
                "sendto 10.96.0.10:53 q -> ok",
                "recvfrom -> b q from 10.96.0.10:53",
                "recvfrom -> a later 300 from 10.96.0.10:53",
                "sendto 10.96.0.10:53 r -> ok",
                "recvfrom -> b r from 10.96.0.10:53",
            ][..],
        ),
        (
            "connected",
            &["connect 10.96.0.10:53 -> ok", "send later 300 -> ok"],
            &["recvfrom -> a later 300 from 10.96.0.10:53", "peer -> 10.96.0.10:53"],
        ),
        (
            "connected again while it waits to be read",
            &["connect 10.96.0.10:53 -> ok", "send q -> ok", "pause 100 -> ok"],
            &[
                "connect 10.96.0.10:53 -> ok",
                "recvfrom -> a q from 10.96.0.10:53",
                "send q -> ok",
                "recvfrom -> b q from 10.96.0.10:53",
            ],
        ),
    ] {
        let mut world = World::new().unwrap();
        let mut socket = Datagrams::open4(&world.client).unwrap();
        follow(&mut socket, shows, before);
        world.kernel.publish_udp(DNS, &[world.at_b]).unwrap();
        follow(&mut socket, shows, after);
    }
}

#[test]
#[ignore = "needs root"]
fn replies_still_come_from_a_service_that_is_gone() {
    let mut world = World::new().unwrap();
    let mut socket = Datagrams::open4(&world.client).unwrap();
    follow(&mut socket, "before", &["sendto 10.96.0.10:53 later 300 -> ok"]);
    world.kernel.unpublish_udp(DNS).unwrap();
    follow(&mut socket, "after", &["recvfrom -> a later 300 from 10.96.0.10:53"]);
}

/// Of many backends each socket keeps the one that it was given, whatever else comes and goes.
#[test]
#[ignore = "needs root"]
fn a_socket_keeps_its_backend_while_that_stays_in_the_set() {
    for way in [Way::Sendto, Way::Connect] {
        let mut world = World::new().unwrap();
        let all: Vec<SocketAddr> =
            (1..=30).map(|host| SocketAddr::from(([10, 244, 9, host], 5353))).collect();
        world.a.add_addresses(&all.iter().map(SocketAddr::ip).collect::<Vec<_>>()).unwrap();
        for at in &all {
            world.a.serve_datagrams_at(*at, &at.ip().to_string()).unwrap();
        }
        world.kernel.publish_udp(DNS, &all).unwrap();
        let mut socket = Datagrams::open4(&world.client).unwrap();
        let chosen = way.backend(&mut socket);
        let half = |shift: usize| {
            let others = all.iter().copied().skip(shift).step_by(2).filter(|at| *at != chosen);
            others.chain([chosen]).collect::<Vec<_>>()
        };
        for (shows, set) in [
            ("the same set", all.clone()),
            ("half of it", half(0)),
            ("the other half", half(1)),
            ("alone", vec![chosen]),
            ("all of them again", all.clone()),
        ] {
            world.kernel.publish_udp(DNS, &set).unwrap();
            for _ in 0..3 {
                assert_eq!(way.backend(&mut socket), chosen, "{way:?}, {shows}");
            }
        }
        let others: Vec<SocketAddr> = all.iter().copied().filter(|at| *at != chosen).collect();
        world.kernel.publish_udp(DNS, &others).unwrap();
        let next = way.backend(&mut socket);
        assert_ne!(next, chosen, "{way:?}: it has left");
        world.kernel.publish_udp(DNS, &all).unwrap();
        assert_eq!(way.backend(&mut socket), next, "{way:?}: the newer one stays");
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Sendto,
    Connect,
}

impl Way {
    /// Asks [`DNS`] who it is.
    fn backend(self, socket: &mut Datagrams) -> SocketAddr {
        let calls: &[&str] = match self {
            Self::Sendto => &["sendto 10.96.0.10:53 q"],
            Self::Connect => &["connect 10.96.0.10:53", "send q"],
        };
        for call in calls {
            assert_eq!(socket.call(call).unwrap(), "ok", "{call}");
        }
        let came = socket.call("recvfrom").unwrap();
        let (name, from) = came.split_once(" q from ").unwrap();
        assert_eq!(from, DNS);
        SocketAddr::new(name.parse().unwrap(), 5353)
    }
}

/// The newest record wins.
#[test]
#[ignore = "needs root"]
fn of_two_services_that_share_a_backend_the_one_dialled_last_is_shown() {
    let mut world = World::new().unwrap();
    world.kernel.publish_udp(LOG, &[world.at_a]).unwrap();
    world.follow(
        "unconnected",
        4,
        &[
            "sendto 10.96.0.10:53 one -> ok",
            "recvfrom -> a one from 10.96.0.10:53",
            "sendto 10.96.0.11:514 two -> ok",
            "recvfrom -> a two from 10.96.0.11:514",
            "sendto 10.96.0.10:53 three -> ok",
            "recvfrom -> a three from 10.96.0.10:53",
        ],
    );
    world.follow(
        "connected",
        4,
        &[
            "sendto 10.96.0.11:514 one -> ok",
            "recvfrom -> a one from 10.96.0.11:514",
            "connect 10.96.0.10:53 -> ok",
            "send two -> ok",
            "recvfrom -> a two from 10.96.0.10:53",
            "sendto 10.96.0.11:514 three -> ok",
            "recvfrom -> a three from 10.96.0.11:514",
            "peer -> 10.96.0.10:53",
            "sendto 10.96.0.10:53 four -> ok",
            "recvfrom -> a four from 10.96.0.10:53",
        ],
    );
}

/// A planted bug that the test above must catch.
#[test]
#[ignore = "needs root"]
fn by_the_connection_first_a_reply_passes_for_one_of_another_service() {
    let mut world = World::of(planted_object("edgeloop-connected-first.o").unwrap(), Features::THIS).unwrap();
    world.kernel.publish_udp(LOG, &[world.at_a]).unwrap();
    world.follow(
        "dialled last, and shown as what was dialled first",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "sendto 10.96.0.11:514 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    );
}

#[test]
#[ignore = "needs root"]
fn of_more_services_than_a_socket_remembers_the_oldest_is_forgotten_and_counted() {
    let mut world = World::new().unwrap();
    let service = |number: usize| format!("10.96.1.{number}:53");
    for number in 0..9 {
        world.kernel.publish_udp(&service(number), &[world.at_a]).unwrap();
    }
    world.kernel.publish_udp(DNS, &[world.at_b]).unwrap();
    let mut socket = Datagrams::open4(&world.client).unwrap();
    follow(&mut socket, "the oldest", &["sendto 10.96.0.10:53 later 500 -> ok"]);
    for number in 0..8 {
        follow(
            &mut socket,
            "others",
            &[
                &format!("sendto {} q -> ok", service(number)),
                &format!("recvfrom -> a q from {}", service(number)),
            ],
        );
        let forgotten = world.kernel.events(Event::ForgottenTranslation).unwrap();
        assert_eq!(forgotten, u64::from(number == 7), "after {}", number + 1);
    }
    follow(&mut socket, "shown as it is", &["recvfrom -> b later 500 from 10.244.1.4:5353"]);
}

#[test]
#[ignore = "needs root"]
fn every_udp_call_is_counted_once() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    let world = World::new().unwrap();
    world.follow(
        "each outcome",
        4,
        &[
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
            "sendto 10.96.0.12:53 q -> ECONNREFUSED",
            "sendto 10.244.1.4:5353 q -> ok",
            "recvfrom -> b q from 10.244.1.4:5353",
        ],
    );
    for (outcome, times) in [
        (Outcome::Forwarded, 1),
        (Outcome::NoBackends, 1),
        (Outcome::NotAService, 1),
        (Outcome::ShownAsDialled, 1),
        (Outcome::ShownAsItIs, 1),
        (Outcome::NotOurProtocol, 0),
    ] {
        assert_eq!(world.kernel.count(outcome).unwrap(), times, "{}", outcome.label());
    }
}

struct World {
    kernel: Kernel,
    client: Pod,
    a: Pod,
    at_a: SocketAddr,
    at_b: SocketAddr,
    _b: Pod,
    _site: Site,
}

impl World {
    fn new() -> Result<Self> {
        Self::of(OBJECT, Features::THIS)
    }

    /// With these programs, as if they ran on this machine. The backends are on another node, where nothing is attached.
    fn of(object: &'static [u8], machine: Features) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let far = site.node("n3")?;
        let (a, b) = (far.pod("a", "10.244.1.3")?, far.pod("b", "10.244.1.4")?);
        let (at_a, at_b) = (a.serve_datagrams(5353)?, b.serve_datagrams(5353)?);
        a.serve_datagrams_at(SocketAddr::new(a.address(), NO_SERVICES_PORT), "c")?;
        for (pod, address) in [(&client, "fd00:244::2"), (&a, "fd00:244::3"), (&b, "fd00:244::4")] {
            pod.also_at(address)?;
        }
        let [at_a6, at_b6] = ["[fd00:244::3]:5353", "[fd00:244::4]:5353"].map(|at| at.parse().unwrap());
        a.serve_datagrams_at(at_a6, "a")?;
        a.serve_datagrams_at(SocketAddr::new(at_a6.ip(), NO_SERVICES_PORT), "c")?;
        b.serve_datagrams_at(at_b6, "b")?;
        let mut kernel = Kernel::attach_object_on(&node, object, machine)?;
        kernel.publish_udp(DNS, &[at_a])?;
        kernel.publish_udp(LOG, &[at_b])?;
        kernel.publish_udp(EMPTY, &[])?;
        kernel.publish_udp("[fd00:96::10]:53", &[at_a6])?;
        kernel.publish_udp("[fd00:96::11]:514", &[at_b6])?;
        kernel.publish_udp("[fd00:96::12]:53", &[])?;
        Ok(Self { kernel, client, a, at_a, at_b, _b: b, _site: site })
    }

    /// One socket, and what each of its calls returns: `CALL -> RESULT`.
    fn follow(&self, shows: &str, family: u8, calls: &[&str]) {
        let open = if family == 4 { Datagrams::open4 } else { Datagrams::open6 };
        follow(&mut open(&self.client).unwrap(), shows, calls);
    }
}

fn follow(socket: &mut Datagrams, shows: &str, calls: &[&str]) {
    for step in calls {
        let (call, result) = step.split_once(" -> ").unwrap();
        assert_eq!(socket.call(call).unwrap(), result, "{shows}: {call}");
    }
}
