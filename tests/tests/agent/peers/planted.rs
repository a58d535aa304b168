//! Planted bugs that the tests of this room must catch: sockets that end although they may stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use edgeloop_tests::agent::Agent;
use edgeloop_tests::{Ability, Datagrams};
use lb_agent::model::{EndBy, Frontend, ObjectName, PeersReport, Protocol};
use lb_agent::peers::{self, Asks, PeersConfig, PeersQueue};
use lb_agent::plan::admissions::News;
use lb_agent::store::{Admitted, Known};

use super::world::{World, is_ended};

const MEANWHILE: &str = "the other Service, meanwhile";

#[test]
#[ignore = "needs root"]
fn a_socket_is_asked_itself_and_just_before_it_is_ended() {
    for by in ways() {
        assert_eq!(wrongly_ended(by, Asks::JustBefore), Vec::<&str>::new(), "{by:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn planted_bug_sockets_end_by_their_address_alone() {
    for by in ways() {
        let wrong = wrongly_ended(by, Asks::ItsAddress);
        for shows in ["dialled itself", "another Service with that backend", "dialled itself, IPv4 by IPv6"] {
            assert!(wrong.contains(&shows), "{by:?}: {shows} is not in {wrong:?}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn planted_bug_sockets_are_not_asked_again_before_they_end() {
    for by in ways() {
        // The sockets have to move on in a third of a second, between the asking and the end: not each run of a busy machine
        // is so lucky.
        let mut runs = (0..5).map(|_| wrongly_ended(by, Asks::Early));
        let wrong = runs.find(|wrong| !wrong.is_empty()).unwrap_or_default();
        assert!(wrong.iter().all(|shows| *shows == MEANWHILE) && !wrong.is_empty(), "{by:?}: {wrong:?}");
    }
}

/// The sockets that may stay and do not, when the backend of `dns` goes. The thread that ends sockets runs in this process, as
/// the agent runs it, and is given what the writer would say.
fn wrongly_ended(by: EndBy, asks: Asks) -> Vec<&'static str> {
    let world = World::new();
    let agent = Agent::start(world.node(), &["--end-udp-sockets", "off"]).unwrap();
    let skips =
        |view: &lb_agent::view::status::AgentView| view.skipped_pods.iter().any(|pod| pod.cgroup.is_some());
    agent.wait_until("a pod is skipped", skips).unwrap();
    let (queue, (send, reports)) = (PeersQueue::default(), channel());
    let config = PeersConfig { by, pin_root: world.node().pin_root(), namespaces: Vec::new(), asks };
    peers::start(config, queue.clone(), move |report| send.send(report).is_ok()).unwrap();
    let (mut dialled, mut others) = (world.dialled(), world.others());
    queue.put(news(3), false);
    let settled = |report: &PeersReport| report.by.is_some();
    assert!(settled(&reports.recv_timeout(Duration::from_secs(5)).unwrap()));
    std::thread::sleep(Duration::from_millis(2_500));

    queue.put(news(4), false);
    std::thread::sleep(Duration::from_millis(100));
    let (mut moved, _): (Vec<_>, Vec<_>) = dialled.drain(..).partition(|(to, _)| *to == "10.96.0.10:53");
    for (shows, socket) in &mut moved {
        move_on(socket);
        *shows = MEANWHILE;
    }
    let mut ended = 0;
    while ended == 0 {
        ended = reports.recv_timeout(Duration::from_secs(5)).unwrap().ended.total();
    }
    std::thread::sleep(Duration::from_millis(500));
    let all = others.iter_mut().chain(&mut moved);
    all.filter_map(|(shows, socket)| is_ended(socket).then_some(*shows)).collect()
}

/// Connects to the other Service with the same backend. A socket that was ended before says so once more.
fn move_on(socket: &mut Datagrams) {
    is_ended(socket);
    assert_eq!(socket.call("connect 10.96.0.11:53").unwrap(), "ok");
    is_ended(socket);
}

/// `dns` admits the backends with this last number, and `log` those of the start.
fn news(last: u8) -> News {
    let of = |name: &str, all: &[(&str, String)]| {
        let admitted = |(dialled, backend): &(&str, String)| {
            let address: SocketAddr = dialled.parse().unwrap();
            let backends: Box<[SocketAddr]> = [backend.parse().unwrap()].into();
            (Frontend { address, protocol: Protocol::Udp }, Admitted::Backends(backends))
        };
        (ObjectName::new("kube-system", name), all.iter().map(admitted).collect())
    };
    let dns = [
        ("10.96.0.10:53", format!("10.244.1.{last}:5353")),
        ("[fd00:96::10]:53", format!("[fd00:244::{last}]:5353")),
    ];
    let log = [("10.96.0.11:53", "10.244.1.3:5353".to_owned())];
    News { services: BTreeMap::from([of("dns", &dns), of("log", &log)]), known: Known::All }
}

/// How sockets are found, by all that this kernel takes.
fn ways() -> Vec<EndBy> {
    let iterator = Ability::Iterators.is_here().unwrap().then_some(EndBy::Iterator);
    iterator.into_iter().chain([EndBy::SockDiag]).collect()
}
