//! What every call gets for every situation: the rows of the contract's section 4, in both modes and with both ways to refuse.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::SocketAddr;

use anyhow::Result;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Ability, Call, Datagrams, Pod, Site};
use lb_agent::datapath::programs::load::{Features, OBJECT};
use lb_agent::model::{Mode, TcpPeername};
use lb_common::outcome::Outcome;

/// There is no route to any address of a Service.
const UNTOUCHED: &str = "ENETUNREACH";
const REFUSED: &str = "ECONNREFUSED";
const SERVED: &str = "ok";

/// A situation, an address of each family in it, a port, and what TCP connect, UDP connect and UDP sendto get.
type Row = (&'static str, u8, u16, [&'static str; 3]);

const SAME: [Row; 5] = [
    ("known service port with backends", 11, 80, [SERVED, SERVED, SERVED]),
    ("known service port, empty set", 12, 80, [REFUSED, REFUSED, REFUSED]),
    ("anything else: an address that is no Service's", 99, 80, [UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    ("anything else: an address that is left alone", 13, 80, [UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    ("anything else: port 0 of it", 13, 1, [UNTOUCHED, UNTOUCHED, UNTOUCHED]),
];
const REPLACE: [Row; 2] = [
    ("known cluster IP, unknown port, replace mode", 11, 81, [REFUSED, UNTOUCHED, REFUSED]),
    ("the same where no port has a backend", 12, 81, [REFUSED, UNTOUCHED, REFUSED]),
];
const BESIDE: [Row; 2] = [
    ("known cluster IP, unknown port, beside mode", 11, 81, [UNTOUCHED, UNTOUCHED, UNTOUCHED]),
    ("the same where no port has a backend", 12, 81, [UNTOUCHED, UNTOUCHED, UNTOUCHED]),
];

const BESIDE_MODE: Features = Features::THIS;
const REPLACE_MODE: Features = Features { mode: Mode::Replace, ..Features::THIS };

/// Every way to connect by TCP.
const TCP: [Call; 7] = [
    Call::Tcp,
    Call::NonBlocking,
    Call::FastOpen,
    Call::FastOpenConnect,
    Call::Mptcp,
    Call::BoundToDevice,
    Call::IoUring,
];

#[test]
#[ignore = "needs root"]
fn every_row_of_the_contract_in_beside_mode() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    World::new(BESIDE_MODE).unwrap().follow(&BESIDE, |errno| errno);
}

#[test]
#[ignore = "needs root"]
fn every_row_of_the_contract_in_replace_mode() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    World::new(REPLACE_MODE).unwrap().follow(&REPLACE, |errno| errno);
}

/// As on kernels before 5.18: UDP gets EPERM.
#[test]
#[ignore = "needs root"]
fn every_row_of_the_contract_without_bpf_set_retval() {
    let eperm = |errno| if errno == REFUSED { "EPERM" } else { errno };
    let old = Features { may_set_errno: false, ..REPLACE_MODE };
    World::new(old).unwrap().follow(&REPLACE, eperm);
}

/// Those of arm64, in both modes.
#[test]
#[ignore = "needs root"]
fn every_row_of_the_contract_with_load_fences() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    World::new(Features { loads_reorder: true, ..BESIDE_MODE }).unwrap().follow(&BESIDE, |errno| errno);
    World::new(Features { loads_reorder: true, ..REPLACE_MODE }).unwrap().follow(&REPLACE, |errno| errno);
}

/// Fails at once and not later, whichever way is taken. A kernel without io_uring is said.
#[test]
#[ignore = "needs root"]
fn every_way_to_connect_by_tcp_is_refused_at_once() {
    if Ability::Errno.is_missing().unwrap() {
        return;
    }
    let ways = Call::of_this_kernel(&TCP).unwrap();
    let world = World::new(REPLACE_MODE).unwrap();
    for address in
        World::addresses(12).into_iter().chain(World::addresses(11).map(|at| at.replace(":80", ":81")))
    {
        for how in ways.iter().copied() {
            let answer = world.client.call(how, &address).unwrap();
            if how == Call::IoUring && answer.failed_with("ENOSYS") {
                println!("ignored: this kernel makes no ring for io_uring");
                continue;
            }
            assert!(answer.failed_with(REFUSED), "{how:?} {address}: {answer:?}");
        }
    }
    for address in World::addresses(11) {
        for how in ways.iter().copied() {
            let answer = world.client.call(how, &address).unwrap();
            let no_ring = how == Call::IoUring && answer.failed_with("ENOSYS");
            assert!(no_ring || answer.is_from("web"), "{how:?} {address}: {answer:?}");
        }
    }
    assert_eq!(world.kernel.count(Outcome::NotAService).unwrap(), 0);
}

/// Loopback port 0 answers after the call of a socket that does not block; one that is bound to a device would hang.
#[test]
#[ignore = "needs root"]
fn every_way_to_connect_by_tcp_is_refused_without_bpf_set_retval() {
    let ways = Call::of_this_kernel(&TCP).unwrap();
    let world = World::new(Features { may_set_errno: false, ..REPLACE_MODE }).unwrap();
    for address in
        World::addresses(12).into_iter().chain(World::addresses(11).map(|at| at.replace(":80", ":81")))
    {
        for how in ways.iter().copied() {
            let answer = world.client.call(how, &address).unwrap();
            let no_ring = how == Call::IoUring && answer.failed_with("ENOSYS");
            let later = how == Call::NonBlocking && answer.is_from("later: ECONNREFUSED");
            let errno = if how == Call::BoundToDevice { "EPERM" } else { REFUSED };
            let refused = no_ring || later || answer.failed_with(errno);
            assert!(refused, "{how:?} {address}: {answer:?}");
        }
    }
}

/// The contract's row of any protocol but TCP and UDP.
#[test]
#[ignore = "needs root"]
fn ping_sockets_are_untouched_in_both_modes() {
    let is_asked = Ability::PingHook.is_here().unwrap();
    for features in [BESIDE_MODE, REPLACE_MODE] {
        let world = World::new(features).unwrap();
        for host in [11, 12] {
            for address in [format!("10.96.0.{host}:80"), format!("[fd00:96::{host}]:80")] {
                let answer = world.client.call(Call::Ping, &address).unwrap();
                assert!(answer.failed_with(UNTOUCHED), "{address}: {answer:?}");
            }
        }
        assert_eq!(world.kernel.count(Outcome::NotOurProtocol).unwrap() >= 2, is_asked);
        assert_eq!(world.kernel.count(Outcome::NotAService).unwrap(), 0);
    }
}

/// The agent's way to its API server, at whatever port.
#[test]
#[ignore = "needs root"]
fn the_agents_own_sockets_are_not_refused_in_replace_mode() {
    let world = World::new(REPLACE_MODE).unwrap();
    for address in World::addresses(11).map(|at| at.replace(":80", ":81")) {
        let answer = world.client.call_as_the_agent(&world.client.node().pin_root(), &address).unwrap();
        assert!(answer.failed_with(UNTOUCHED), "{address}: {answer:?}");
        let answer = world.client.call(Call::Marked, &address).unwrap();
        assert!(answer.failed_with(REFUSED), "the mark alone: {address}: {answer:?}");
    }
    let counts = [Outcome::AgentSocket, Outcome::UnknownPort, Outcome::NotAService];
    assert_eq!(counts.map(|outcome| world.kernel.count(outcome).unwrap()), [3, 3, 0]);
}

/// `--tcp-peername`; only while the kernel's peer is the backend that was chosen.
#[test]
#[ignore = "needs root"]
fn getpeername_shows_what_a_tcp_socket_dialled_where_that_is_asked_for() {
    for (tcp_peername, is_shown) in [(TcpPeername::Dialled, true), (TcpPeername::Backend, false)] {
        let world = World::new(Features { tcp_peername, ..Features::THIS }).unwrap();
        for address in World::addresses(11) {
            for how in
                [Call::Tcp, Call::NonBlocking, Call::FastOpen, Call::FastOpenConnect, Call::BoundToDevice]
            {
                let answer = world.client.call(how, &address).unwrap();
                let dialled: SocketAddr = address.parse().unwrap();
                assert_eq!(answer.peer == Some(dialled), is_shown, "{how:?} {address}: {answer:?}");
            }
            let direct = world.backend(&address);
            let answer = world.client.dial(&direct, 1).unwrap().remove(0);
            assert_eq!(
                answer.peer,
                Some(direct.parse().unwrap()),
                "a pod that is dialled itself: {answer:?}"
            );
        }
        let shown = world.kernel.count(Outcome::ShownAsDialled).unwrap();
        assert_eq!(shown, if is_shown { 15 } else { 0 });
    }
}

/// The kernel asks about the subflow when it connects and about the MPTCP socket when it is asked for the peer: what was
/// dialled is not known then.
#[test]
#[ignore = "needs root"]
fn getpeername_of_an_mptcp_socket_shows_the_backend() {
    if Ability::Mptcp.is_missing().unwrap() {
        return;
    }
    let world = World::new(Features { tcp_peername: TcpPeername::Dialled, ..Features::THIS }).unwrap();
    for address in World::addresses(11) {
        let answer = world.client.call(Call::Mptcp, &address).unwrap();
        let peer = answer.peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        assert_eq!(peer, Some(world.backend(&address).parse().unwrap()), "{address}: {answer:?}");
    }
}

/// Also where the kernel was not asked in between: no program runs when a socket is disconnected.
#[test]
#[ignore = "needs root"]
fn what_a_tcp_socket_dialled_before_is_not_its_peer() {
    let world = World::new(Features { tcp_peername: TcpPeername::Dialled, ..Features::THIS }).unwrap();
    for address in World::addresses(11) {
        let mut direct: SocketAddr = world.backend(&address).parse().unwrap();
        if let (true, SocketAddr::V4(at)) = (address.contains("ffff"), direct) {
            direct = SocketAddr::new(at.ip().to_ipv6_mapped().into(), at.port());
        }
        let answer = world.client.call_again(&address, &direct.to_string()).unwrap();
        assert_eq!(answer.peer, Some(direct), "{address}: {answer:?}");
    }
}

struct World {
    kernel: Kernel,
    client: Pod,
    _web: Pod,
    _site: Site,
}

impl World {
    /// TCP and UDP port 80 at `…11` have a backend, and none at `…12`; `…13` is left alone.
    fn new(features: Features) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        client.also_at("fd00:244::2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        web.also_at("fd00:244::3")?;
        let mut kernel = Kernel::attach_object_on(&node, OBJECT, features)?;
        for (network, at) in [("10.96.0.", "10.244.1.3:9376"), ("fd00:96::", "[fd00:244::3]:9376")] {
            let at: SocketAddr = at.parse()?;
            web.serve(at, "web")?;
            web.serve_datagrams_at(at, "web")?;
            for (host, backends) in [(11, &[at][..]), (12, &[])] {
                let address = |port| match at {
                    SocketAddr::V4(_) => format!("{network}{host}:{port}"),
                    SocketAddr::V6(_) => format!("[{network}{host}]:{port}"),
                };
                kernel.publish(&address(80), backends)?;
                kernel.publish_udp(&address(80), backends)?;
                if features.mode == Mode::Replace {
                    kernel.publish(&address(0), &[])?;
                }
            }
        }
        Ok(Self { kernel, client, _web: web, _site: site })
    }

    /// The address of this number in IPv4, as an IPv4-mapped one, and in IPv6, at port 80.
    fn addresses(host: u8) -> [String; 3] {
        ["10.96.0.", "[::ffff:10.96.0.", "[fd00:96::"].map(|network| {
            let end = if network.starts_with('[') { "]" } else { "" };
            format!("{network}{host}{end}:80")
        })
    }

    /// The backend of the Service at `address`.
    fn backend(&self, address: &str) -> String {
        let at = if address.starts_with("[fd00") { "[fd00:244::3]:9376" } else { "10.244.1.3:9376" };
        at.to_owned()
    }

    /// Calls of each kind in each situation; `udp` is what a refusal reads there.
    fn follow(&self, rows: &[Row], udp: fn(&'static str) -> &'static str) {
        for (shows, host, port, [tcp, connect, sendto]) in SAME.iter().chain(rows) {
            for (address, family) in Self::addresses(*host).iter().zip([4, 6, 6]) {
                let address = address.replace(":80", &format!(":{port}"));
                let answer = self.client.dial(&address, 1).unwrap().remove(0);
                let is_right = if *tcp == SERVED { answer.is_from("web") } else { answer.failed_with(tcp) };
                assert!(is_right, "{shows}: TCP connect to {address}: {answer:?}");
                let open = if family == 4 { Datagrams::open4 } else { Datagrams::open6 };
                for (call, expected) in [
                    (format!("connect {address}"), udp(connect)),
                    (format!("sendto {address} q"), udp(sendto)),
                ] {
                    let got = open(&self.client).unwrap().call(&call).unwrap();
                    assert_eq!(got, expected, "{shows}: UDP {call}");
                }
            }
        }
    }
}
