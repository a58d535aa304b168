//! What is wanted, from what the store says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::layout::CELL_UNNUMBERED;

use crate::model::{
    Change, Changed, Conditions, Endpoint, Kind, Mode, Node, Object, ObjectKey, PerFamily, Service,
    ServicePort, Slice, SliceOwner, SlicePort, Unread,
};
use crate::store::{Rules, Store};

use super::super::cells::{Cell, Cells, Within};
use super::super::{need, topology_first, wanted};
use super::*;

fn service(service: &str, number: u8) -> Service {
    Service {
        name: name(service),
        created: Some(i64::from(number)),
        skipped: None,
        discarded: false,
        addresses: vec![IpAddr::from([10, 96, 0, number])],
        ports: vec![ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, node_port: None }],
        topology: None,
        uid: None,
        internal_local: false,
        affinity: None,
        foreign: None,
        further: None,
    }
}

fn slice(service: &str, backends: impl IntoIterator<Item = u8>) -> Slice {
    let endpoint = |number: u8| Endpoint {
        address: IpAddr::from([10, 244, 0, number]),
        conditions: Conditions { ready: true, serving: true, terminating: false },
        node: None,
        hints: None,
    };
    Slice {
        name: name(&format!("{service}-1")),
        service: Some(service.into()),
        family: Some(Family::V4),
        headless: false,
        not_read: None,
        changed: Changed::default(),
        ports: vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port: 9376 }],
        endpoints: backends.into_iter().map(endpoint).collect(),
    }
}

fn store(objects: impl IntoIterator<Item = Object>) -> Store {
    let mut store = Store::new("here", Rules::default());
    for object in objects {
        store.apply(Change::Apply(object));
    }
    for kind in Kind::ALL {
        store.apply(Change::Synced(kind));
    }
    store
}

/// A front end that holds Services `a` at 1 and `b` at 2.
fn holding() -> Bench {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(frontend(2), Some(&want("b", [2])));
    bench
}

/// What is wanted of all Services that store or plan know: address number and backends.
fn all_wanted(store: &Store, mirror: &Mirror) -> Vec<(u8, Option<usize>)> {
    let mut dirty: BTreeSet<ObjectName> = store.services().map(|(service, _)| service.name.clone()).collect();
    dirty.extend(mirror.services().cloned());
    let wants = wanted(store, mirror, &mut Cells::default(), &dirty);
    wants.into_iter().map(|(at, want)| (last_byte(&at), want.map(|want| want.backends.len()))).collect()
}

fn unread_slice(service: &str) -> Change {
    let owner = SliceOwner::Service(service.into());
    Change::Unread(Unread::Slice { name: name(&format!("{service}-9")), owner })
}

/// As `plan` shows it.
#[test]
fn of_two_ports_with_one_number_the_first_is_wanted() {
    let port =
        |name: &str| ServicePort { name: name.into(), protocol: Protocol::Tcp, port: 80, node_port: None };
    for (ports, backends) in [([port(""), port("b")], 2), ([port("b"), port("")], 0)] {
        let twice = Service { ports: ports.to_vec(), ..service("a", 1) };
        let store = store([Object::Service(twice), Object::Slice(slice("a", [1, 2]))]);
        assert_eq!(all_wanted(&store, &Bench::new(8, 64).mirror), [(1, Some(backends))], "{ports:?}");
    }
}

#[test]
fn what_the_source_does_not_show_is_taken_back_unless_it_may_exist() {
    let bench = holding();
    let store = |change: Option<Change>| {
        let mut store = store([Object::Service(service("a", 1)), Object::Slice(slice("a", [1, 2]))]);
        change.into_iter().for_each(|change| store.apply(change));
        store
    };
    let unread = |service: &str| Some(Change::Unread(Unread::Service(name(service))));
    for (shows, change, wants) in [
        ("everything is known", None, vec![(1, Some(2)), (2, None)]),
        ("b may be in the part that was not read", Some(Change::Incomplete), vec![(1, Some(2))]),
        ("b is there and cannot be read", unread("b"), vec![(1, Some(2))]),
        ("another is there and cannot be read", unread("c"), vec![(1, Some(2)), (2, None)]),
    ] {
        assert_eq!(all_wanted(&store(change), &bench.mirror), wants, "{shows}");
    }
}

#[test]
fn a_service_is_not_emptied_while_its_slices_may_exist() {
    let bench = holding();
    let store = |change: Option<Change>| {
        let mut store = store([
            Object::Service(service("a", 1)),
            Object::Service(service("b", 2)),
            Object::Slice(slice("b", [])),
        ]);
        change.into_iter().for_each(|change| store.apply(change));
        store
    };
    for (shows, change, wants) in [
        ("everything is known", None, vec![(1, Some(0)), (2, Some(0))]),
        ("b's slice is known, and empty", Some(Change::Incomplete), vec![(2, Some(0))]),
        ("one of a", Some(unread_slice("a")), vec![(2, Some(0))]),
        ("another one of b", Some(unread_slice("b")), vec![(1, Some(0))]),
    ] {
        assert_eq!(all_wanted(&store(change), &bench.mirror), wants, "{shows}");
    }
    let empty = Bench::new(8, 8);
    let untouched = all_wanted(&store(Some(unread_slice("a"))), &empty.mirror);
    assert_eq!(untouched, [(2, Some(0))], "without a topology, kube-proxy serves it");
}

#[test]
fn a_topology_is_carried_out_on_what_was_read_where_the_maps_hold_nothing_as_narrow() {
    let narrow = |number| Service { topology: Some("kubernetes.io/hostname".into()), ..service("a", number) };
    let mut store = store([Object::Service(narrow(1))]);
    store.apply(unread_slice("a"));

    assert_eq!(all_wanted(&store, &Bench::new(8, 8).mirror), [(1, Some(0))], "nothing is held");
    assert_eq!(all_wanted(&store, &holding().mirror), [(1, Some(0)), (2, None)], "held without the topology");
    let mut bench = Bench::new(8, 8);
    bench.bring(frontend(1), Some(&with_topology(want("a", [1]))));
    assert_eq!(all_wanted(&store, &bench.mirror), [], "held with it");
}

#[test]
fn what_goes_further_than_a_topology_by_now_is_not_kept() {
    let mut cells = Cells::default();
    let pool = |name: &str| Some(Arc::from(name));
    let mut within = |client: &str, within| {
        let cell = Cell { client_pool: pool(client), backend_pool: pool("p9"), within };
        cells.number(&cell)
    };
    let [any, node, own, left, label] = [
        within("p1", Within::Any),
        within("p1", Within::Node),
        within("p1", Within::Pool),
        within("p2", Within::Pool),
        within("p1", Within::Label),
    ];
    for (topology, held, stays) in [
        ("kubernetes.io/hostname", node, true),
        ("kubernetes.io/hostname", own, false),
        ("kubernetes.io/hostname", any, false),
        ("openyurt.io/nodepool", node, true),
        ("openyurt.io/nodepool", own, true),
        ("openyurt.io/nodepool", left, false),
        ("openyurt.io/nodepool", label, false),
        ("openyurt.io/nodepool", any, false),
        ("kubernetes.io/hostname, openyurt.io/nodepool", own, true),
        ("kubernetes.io/hostname, topology.kubernetes.io/zone", label, true),
        ("kubernetes.io/hostname, topology.kubernetes.io/zone", own, false),
        ("kubernetes.io/hostname, *", any, true),
        ("what is not understood", any, true),
        ("kubernetes.io/hostname", CELL_UNNUMBERED, true),
    ] {
        let asks = Service { topology: Some(topology.into()), ..service("a", 1) };
        let labels = [(Arc::from("apps.openyurt.io/nodepool"), Arc::from("p1"))].into();
        let here = Node { name: "here".into(), labels, odd_labels: Vec::new() };
        let mut store = store([Object::Service(asks), Object::Node(here)]);
        store.apply(unread_slice("a"));
        let mut bench = Bench::new(8, 8);
        let mut want = with_topology(want("a", [1, 2]));
        want.backends[1].cell = held;
        bench.bring(frontend(1), Some(&want));
        let wants = wanted(&store, &bench.mirror, &mut cells, &[name("a")].into());
        assert_eq!(wants.is_empty(), stays, "{topology}, held by cell {held}: {wants:?}");
    }
}

#[test]
fn a_service_that_waits_for_node_labels_keeps_what_the_maps_hold() {
    let topology = |number| Service { topology: Some("openyurt.io/nodepool".into()), ..service("a", number) };
    let bench = holding();
    let mut waiting = store([Object::Service(topology(1)), Object::Slice(slice("a", [1]))]);
    assert_eq!(all_wanted(&waiting, &bench.mirror), [(2, None)]);
    assert_eq!(all_wanted(&waiting, &Bench::new(8, 8).mirror), [], "and is not written where it is not");
    assert!(!waiting.is_ready());

    waiting.apply(Change::Apply(Object::Node(Node {
        name: "here".into(),
        labels: Default::default(),
        odd_labels: Vec::new(),
    })));
    assert_eq!(all_wanted(&waiting, &bench.mirror), [(1, Some(0)), (2, None)], "on no known node: out");
}

#[test]
fn what_is_left_alone_is_taken_back_at_once() {
    let bench = holding();
    let left = Service { discarded: true, ..service("a", 1) };
    let store = store([Object::Service(left), Object::Slice(slice("a", [1]))]);
    assert_eq!(all_wanted(&store, &bench.mirror), [(1, None), (2, None)]);
}

#[test]
fn an_address_that_one_gives_up_and_another_takes_is_one_want() {
    let bench = holding();
    let mut store = store([Object::Service(service("a", 1)), Object::Slice(slice("a", [1]))]);
    store.apply(Change::Delete(ObjectKey { kind: Kind::Service, name: name("a") }));
    store.apply(Change::Apply(Object::Service(service("z", 1))));
    store.apply(Change::Apply(Object::Slice(slice("z", [7, 8]))));
    assert_eq!(all_wanted(&store, &bench.mirror), [(1, Some(2)), (2, None)]);
}

#[test]
fn what_a_service_asks_for_is_desired_of_its_element() {
    for (shows, topology, affinity, has_topology) in [
        ("nothing", None, None, false),
        ("affinity", None, Some(60), false),
        ("a topology", Some("kubernetes.io/hostname"), None, true),
        ("a topology and affinity", Some("kubernetes.io/hostname"), Some(60), true),
    ] {
        let asks = Service { topology: topology.map(Into::into), affinity, ..service("a", 1) };
        let store = store([Object::Service(asks), Object::Slice(slice("a", [1]))]);
        let wants = wanted(&store, &Bench::new(8, 8).mirror, &mut Cells::default(), &[name("a")].into());
        let want = wants[&frontend(1)].as_ref().unwrap();
        assert_eq!((want.has_topology, want.affinity), (has_topology, affinity), "{shows}");
    }
}

#[test]
fn a_service_that_waits_keeps_nothing_that_is_another_ones() {
    let waits = Service { topology: Some("openyurt.io/nodepool".into()), ..service("a", 2) };
    let bench = holding();
    let store = store([Object::Service(waits), Object::Slice(slice("a", [1]))]);
    assert_eq!(all_wanted(&store, &bench.mirror), [(1, None), (2, None)], "2 is b's, and b is gone");
}

#[test]
fn an_element_without_a_name_goes_once_all_is_known() {
    let mut bench = holding();
    bench.maps.memory_mut().names.clear();
    let mirror = Mirror::adopt(&bench.maps.held(), bench.mirror.capacity());
    let with = |change: Option<Change>| {
        let mut store = store([Object::Service(service("a", 1)), Object::Slice(slice("a", [1]))]);
        change.into_iter().for_each(|change| store.apply(change));
        store
    };
    let waits = Service { topology: Some("openyurt.io/nodepool".into()), ..service("c", 3) };
    for (shows, change, wants) in [
        ("all is known", None, vec![(1, Some(1)), (2, None)]),
        ("2 may be of a Service that was not read", Some(Change::Incomplete), vec![(1, Some(1))]),
        ("or of one that waits", Some(Change::Apply(Object::Service(waits))), vec![(1, Some(1))]),
        ("or of one whose slice was not read", Some(unread_slice("c")), vec![(1, Some(1))]),
    ] {
        assert_eq!(all_wanted(&with(change), &mirror), wants, "{shows}");
    }
}

#[test]
fn both_families_are_desired_and_sctp_is_not() {
    let mut odd = service("a", 1);
    let v6: IpAddr = "fd00::1".parse().unwrap();
    odd.addresses.push(v6);
    odd.ports.push(ServicePort { name: "sctp".into(), protocol: Protocol::Sctp, port: 80, node_port: None });
    let of_v6 =
        Slice { family: Some(Family::V6), name: name("a-v6"), endpoints: Vec::new(), ..slice("a", [1]) };
    let store = store([Object::Service(odd), Object::Slice(slice("a", [1])), Object::Slice(of_v6)]);
    let wants = wanted(&store, &Bench::new(8, 8).mirror, &mut Cells::default(), &[name("a")].into());
    let wants: Vec<_> =
        wants.iter().map(|(at, want)| (*at, want.as_ref().map(|want| want.backends.len()))).collect();
    let dialled = |address| Frontend { address: SocketAddr::new(address, 80), protocol: Protocol::Tcp };
    assert_eq!(wants, [(frontend(1), Some(1)), (dialled(v6), Some(0))]);
}

#[test]
fn a_pass_takes_back_first_then_serves_what_has_a_topology() {
    let wants = BTreeMap::from([
        (frontend(1), Some(want("plain", [1]))),
        (frontend(2), None),
        (frontend(3), Some(with_topology(want("strict", [1])))),
    ]);
    let order: Vec<u8> = topology_first(wants).into_iter().map(|(at, _)| last_byte(&at)).collect();
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn the_room_that_is_needed_counts_regions_as_they_are_allocated() {
    let wants = BTreeMap::from([
        (frontend(1), Some(want("a", 1..=6))),
        (frontend(2), Some(want("b", 1..=11))),
        (frontend(3), None),
        (
            Frontend { address: "[fd00::1]:80".parse().unwrap(), protocol: Protocol::Tcp },
            Some(want("d", 1..=20)),
        ),
    ]);
    assert_eq!(need(&wants), Capacity { frontends: 3, backends: PerFamily { v4: 8, v6: 16 } });
}

fn last_byte(at: &Frontend) -> u8 {
    let IpAddr::V4(ip) = at.address.ip() else { panic!("{at:?}") };
    ip.octets()[3]
}

/// Last, so that a service port never waits for it; and taken back by an agent beside kube-proxy.
#[test]
fn without_kube_proxy_an_address_refuses_its_other_ports() {
    let store = |mode| {
        let mut store = Store::new("here", Rules { mode, ..Rules::default() });
        store.apply(Change::Apply(Object::Service(service("a", 1))));
        Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
        store
    };
    let mut bench = Bench::new(8, 64);
    let others = Frontend::other_ports([10, 96, 0, 1].into());
    let dirty = BTreeSet::from([name("a")]);

    let wants = topology_first(wanted(&store(Mode::Replace), &bench.mirror, &mut Cells::default(), &dirty));
    let order: Vec<Frontend> = wants.iter().map(|(frontend, _)| *frontend).collect();
    assert_eq!(order, [frontend(1), others]);
    for (frontend, want) in &wants {
        bench.bring(*frontend, want.as_ref());
    }
    assert_eq!(need(&wants.into_iter().collect()).frontends, 2);
    assert!(bench.mirror.holds_any_at(&others));

    let wants = wanted(&store(Mode::Beside), &bench.mirror, &mut Cells::default(), &dirty);
    assert_eq!(wants.get(&others), Some(&None));
}
