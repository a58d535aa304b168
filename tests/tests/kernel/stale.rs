//! What the maps hold is older than the operator allows: everything is left as it is dialled, on hits alone.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::SocketAddr;
use std::time::Duration;

use edgeloop_tests::bpf::{Pinned, update};
use edgeloop_tests::kernel::{Kernel, frontend};
use edgeloop_tests::{Datagrams, Node, Pod, Site};
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::datapath::programs::load::OBJECT;
use lb_agent::datapath::since_boot;
use lb_common::layout::{CONTROL, Control};
use lb_common::outcome::Outcome;

const SERVICE: &str = "10.96.0.11:80";
const STICKY: &str = "10.96.0.13:80";
const EMPTY: &str = "10.96.0.12:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
const OTHER: &str = "10.96.0.99:80";
const MINUTE: Duration = Duration::from_secs(60);

/// A decoy holds the addresses, so that what is left alone reaches it.
#[test]
#[ignore = "needs root"]
fn what_is_too_old_is_left_as_it_is_dialled_and_back_when_a_source_is_in_sync() {
    let mut world = World::new();
    let ages = [
        ("without the flag", None, MINUTE * 1000, false),
        ("in sync", Some(MINUTE), Duration::ZERO, false),
        ("not for long", Some(MINUTE), MINUTE - Duration::from_secs(20), false),
        ("for too long", Some(MINUTE), MINUTE + Duration::from_millis(1), true),
        ("in sync again", Some(MINUTE), Duration::ZERO, false),
    ];
    for (shows, max, age, is_over) in ages {
        world.set(max, age);
        let expected = if is_over { "decoy" } else { "web" };
        for target in [SERVICE, MAPPED, STICKY] {
            let answer = world.client.dial(target, 1).unwrap().remove(0);
            assert!(answer.is_from(expected), "{shows}, {target}: {answer:?}");
        }
        let empty = world.client.dial(EMPTY, 1).unwrap().remove(0);
        assert_eq!(empty.is_from("decoy"), is_over, "{shows}: {empty:?}");
        assert_eq!(empty.failed_with("ECONNREFUSED"), !is_over, "{shows}: {empty:?}");
    }
    assert_eq!(world.kernel.count(Outcome::Stale).unwrap(), 4);
}

/// What is no Service does not even ask.
#[test]
#[ignore = "needs root"]
fn whether_it_is_too_old_is_asked_on_hits_alone() {
    let mut world = World::new();
    world.set(Some(MINUTE), MINUTE * 2);
    assert!(world.client.dial(OTHER, 3).unwrap().iter().all(|answer| answer.is_from("decoy")));
    let of = |outcome| world.kernel.count(outcome).unwrap();
    assert_eq!((of(Outcome::Stale), of(Outcome::NotAService)), (0, 3));
}

/// A socket that was sent to a backend goes to what it dials from then on, and replies that are under way come from the Service.
#[test]
#[ignore = "needs root"]
fn a_udp_socket_that_is_kept_shows_old_replies_as_those_of_the_service() {
    let mut world = World::new();
    world.set(Some(MINUTE), Duration::ZERO);
    let mut socket = Datagrams::open4(&world.client).unwrap();
    let mut say = |call: &str, replies: &str| assert_eq!(socket.call(call).unwrap(), replies, "{call}");
    say("sendto 10.96.0.11:80 later 300", "ok");
    world.set(Some(MINUTE), MINUTE * 2);
    say("sendto 10.96.0.11:80 q", "ok");
    say("recvfrom", "decoy q from 10.96.0.11:80");
    say("recvfrom", "web later 300 from 10.96.0.11:80");
    world.set(Some(MINUTE), Duration::ZERO);
    say("sendto 10.96.0.11:80 r", "ok");
    say("recvfrom", "web r from 10.96.0.11:80");
}

/// Which backend a client has is as it was, whatever happens meanwhile.
#[test]
#[ignore = "needs root"]
fn affinity_is_untouched_while_it_is_too_old() {
    let mut world = World::new();
    world.set(Some(MINUTE), MINUTE * 2);
    world.client.dial(STICKY, 3).unwrap();
    assert_eq!(world.clients(), 0);
    world.set(Some(MINUTE), Duration::ZERO);
    world.client.dial(STICKY, 1).unwrap();
    assert_eq!(world.clients(), 1);
}

struct World {
    kernel: Kernel,
    client: Pod,
    node: Node,
    _web: Pod,
    _site: Site,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let web = site.node("n2").unwrap().pod("web", "10.244.1.3").unwrap();
        let backend = web.serve_name(9376).unwrap();
        web.serve_datagrams(9376).unwrap();
        let mut kernel = Kernel::attach_object(&node, OBJECT).unwrap();
        kernel.publish(SERVICE, &[backend]).unwrap();
        kernel.publish_udp(SERVICE, &[backend]).unwrap();
        kernel.publish_sticky(frontend(STICKY).unwrap(), &[backend], 60).unwrap();
        kernel.publish(EMPTY, &[]).unwrap();
        let client = node.pod("client", "10.244.1.2").unwrap();
        for at in [SERVICE, EMPTY, STICKY, OTHER] {
            let at: SocketAddr = at.parse().unwrap();
            client.add_addresses(&[at.ip()]).unwrap();
            client.serve(at, "decoy").unwrap();
            client.serve_datagrams_at(at, "decoy").unwrap();
        }
        Self { kernel, client, node, _web: web, _site: site }
    }

    /// As an agent does it.
    fn set(&mut self, max: Option<Duration>, age: Duration) {
        let path = folder(&self.node.pin_root()).join(CONTROL.pin);
        let mut control: Control = Pinned::open(&path).unwrap().read(&0_u32).unwrap().unwrap();
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        control.max_stale = max.map_or(0, nanoseconds);
        control.in_sync_at = nanoseconds(since_boot().saturating_sub(age).max(Duration::from_nanos(1)));
        update(&path, &0_u32, &control).unwrap();
    }

    fn clients(&self) -> usize {
        let maps = PinnedMaps::open(&folder(&self.node.pin_root())).unwrap();
        maps.clients().unwrap()
    }
}
