//! What is done with each port of a Service.

use std::net::IpAddr;

use crate::model::{Family, Hints, Protocol, Skipped, Slice};
use crate::select::topology::{OnInvalid, Topology};
use crate::store::LeaveWhy;

use super::*;

#[test]
fn a_service_port_is_known_by_name_protocol_and_family() {
    let v6: IpAddr = "fd00::a".parse().unwrap();
    let v4 = service("a").addresses[0];
    let dual = Service {
        addresses: vec![v4, v6],
        ports: vec![
            port("dns", Protocol::Udp, 53),
            port("dns", Protocol::Tcp, 53),
            port("", Protocol::Tcp, 9),
        ],
        ..service("a")
    };
    let store = store([dual.into()]);
    let ports = store.ports(&ObjectName::new("default", "a"));
    let found: Vec<String> = ports
        .iter()
        .map(|port| {
            assert_eq!(port.key.service, port.service.name);
            assert_eq!((port.key.protocol, *port.topology == Topology::None), (port.dialled.protocol, true));
            let key = &port.key;
            format!("{}/{} {:?} {}", key.port_name, key.protocol.label(), key.family, port.dialled.address)
        })
        .collect();
    assert_eq!(
        found,
        [
            "dns/UDP V4 10.96.0.97:53",
            "dns/TCP V4 10.96.0.97:53",
            "/TCP V4 10.96.0.97:9",
            "dns/UDP V6 [fd00::a]:53",
            "dns/TCP V6 [fd00::a]:53",
            "/TCP V6 [fd00::a]:9",
        ]
    );
}

/// The slice port `http` = 8080/TCP is all there is of Service `a`.
#[test]
fn endpoints_are_found_by_port_name_and_protocol() {
    let tcp = Protocol::Tcp;
    for (shows, port, says) in [
        ("as the slice has it", port("http", tcp, 80), "x"),
        ("the Service's own number does not matter", port("http", tcp, 8443), "x"),
        ("another name", port("https", tcp, 80), "refuse"),
        ("no name", port("", tcp, 80), "refuse"),
        ("another protocol", port("http", Protocol::Udp, 80), "refuse"),
        ("SCTP", port("http", Protocol::Sctp, 80), "SCTP is left to kube-proxy"),
    ] {
        let store =
            store([Service { ports: vec![port], ..service("a") }.into(), slice("a-1", "x@n1").into()]);
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

#[test]
fn of_two_ports_with_one_number_and_protocol_the_first_is_served() {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let (http, other) = (port("http", tcp, 80), port("b", tcp, 80));
    for (shows, ports, says) in [
        (
            "the first",
            vec![http.clone(), other.clone()],
            "x; port \"b\" claims what port \"http\" has, which stands first and is used",
        ),
        (
            "though it is refused",
            vec![other.clone(), http.clone()],
            "refuse; port \"http\" claims what port \"b\" has, which stands first and is used",
        ),
        ("another number", vec![http.clone(), port("b", tcp, 81)], "x; refuse"),
        ("another protocol", vec![http.clone(), port("b", udp, 80)], "x; refuse"),
        (
            "the same twice",
            vec![http.clone(), http.clone()],
            "x; port \"http\" claims what port \"http\" has, which stands first and is used",
        ),
    ] {
        let store = store([Service { ports, ..service("a") }.into(), slice("a-1", "x@n1").into()]);
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

#[test]
fn endpoints_that_are_not_read_are_named() {
    let odd = Slice { family: None, not_read: Some("its addressType is missing".into()), ..slice("a-2", "") };
    let of_slice = "the endpoints of EndpointSlice default/a-2 are not read: its addressType is missing";
    let of_endpoints =
        "it has endpoints in v1 Endpoints, which are not read, and none that can be used in an EndpointSlice";
    let name = ObjectName::new("default", "a");
    let mut store = store([service("a").into()]);
    for (shows, change, says) in [
        ("v1 Endpoints alone", Change::Endpoints(name.clone()), of_endpoints),
        ("next to a slice without endpoints", now(slice("a-1", "")), of_endpoints),
        (
            "next to one of the other family",
            now(Slice { family: Some(Family::V6), ..slice("a-1", "x@n1") }),
            of_endpoints,
        ),
        ("next to one with an endpoint", now(slice("a-1", "x@n1")), ""),
        ("a slice of no family", now(odd), of_slice),
        ("as before", Change::NoEndpoints(name.clone()), of_slice),
        ("it becomes one", now(slice("a-2", "y@n1")), ""),
    ] {
        assert_eq!(touched(&mut store, change), "a", "{shows}");
        assert_eq!(store.not_read(&name).join("; "), says, "{shows}");
    }
}

#[test]
fn each_family_has_its_own_slices() {
    let dual =
        Service { addresses: vec!["fd00::a".parse().unwrap(), service("a").addresses[0]], ..service("a") };
    let mut v6 = Slice { family: Some(Family::V6), ..slice("a-2", "y@n1") };
    v6.endpoints[0].address = "fd00::79".parse().unwrap();
    let mut store = store([dual.into(), slice("a-1", "x@n1").into(), v6.clone().into()]);
    assert_eq!(said(&store, "a"), "y; x");

    store.apply(now(Slice { family: None, ..v6 }));
    assert_eq!(said(&store, "a"), "refuse; x");
}

#[test]
fn a_slice_can_be_marked_headless_and_unmarked() {
    let mut store = store([service("a").into(), slice("a-1", "x@n1").into()]);
    let marked = Slice { headless: true, ..slice("a-1", "x@n1") };
    assert_eq!(touched(&mut store, now(marked)), "a");
    assert_eq!(said(&store, "a"), "refuse");
    assert_eq!(touched(&mut store, now(slice("a-1", "x@n1"))), "a");
    assert_eq!(said(&store, "a"), "x");
}

#[test]
fn a_service_can_stop_to_count_and_count_again() {
    let name = ObjectName::new("default", "a");
    for skipped in
        [Skipped::ExternalName, Skipped::Headless, Skipped::NoClusterIp, Skipped::OtherProxy("cilium".into())]
    {
        let mut store = store([
            with_topology("a", POOL).into(),
            slice("a-1", "x@n1").into(),
            node("n1", "pool=p1").into(),
        ]);
        let off = Service { skipped: Some(skipped.clone()), ..with_topology("a", POOL) };
        assert_eq!(touched(&mut store, now(off)), "a", "{skipped:?}");
        assert_eq!(said(&store, "a"), "", "{skipped:?}");
        assert!(store.has_service(&name), "{skipped:?}");
        assert_eq!(touched(&mut store, now(node("n1", "pool=p2"))), "", "{skipped:?}");

        assert_eq!(touched(&mut store, now(with_topology("a", POOL))), "a", "{skipped:?}");
        assert_eq!(said(&store, "a"), "x", "{skipped:?}");
        assert_eq!(touched(&mut store, now(node("n1", "pool=p1"))), "a", "{skipped:?}");
    }
}

#[test]
fn a_discarded_service_is_left_alone_while_it_is_discarded() {
    let mut store = store([service("a").into(), slice("a-1", "x@n1").into()]);
    assert_eq!(touched(&mut store, now(Service { discarded: true, ..service("a") })), "a");
    assert_eq!(said(&store, "a"), "annotated svc.openyurt.io/discard");
    assert_eq!(touched(&mut store, now(service("a"))), "a");
    assert_eq!(said(&store, "a"), "x");
}

#[test]
fn an_excluded_service_is_left_alone_and_no_other_is() {
    let excluded = [ObjectName::new("other", "a"), ObjectName::new("default", "b")].into();
    let mut store = Store::new("n1", Rules { excluded, ..Rules::default() });
    for name in ["a", "b"] {
        store.apply(now(with_topology(name, HOST)));
        store.apply(now(slice(&format!("{name}-1"), "x@n1")));
    }
    assert_eq!(
        (said(&store, "a").as_str(), said(&store, "b").as_str()),
        ("x", "excluded by --exclude-service")
    );
}

/// A Service that several reasons leave alone; the owner of its address is `a`.
#[test]
fn of_several_reasons_the_one_that_no_setting_lifts_is_said() {
    let rules = |excluded: &[&str]| Rules {
        excluded: excluded.iter().map(|name| ObjectName::new("default", name)).collect(),
        ..Rules::default()
    };
    for (protocol, excluded, discarded, why) in [
        (Protocol::Sctp, &["b"][..], true, LeaveWhy::Sctp),
        (Protocol::Tcp, &["b"], true, LeaveWhy::Excluded),
        (Protocol::Tcp, &[], true, LeaveWhy::Discarded),
        (Protocol::Tcp, &[], false, LeaveWhy::Conflict(ObjectName::new("default", "a"))),
    ] {
        let ports = vec![port("http", protocol, 80)];
        let mut store = Store::new("n1", rules(excluded));
        store.apply(now(Service { ports: ports.clone(), ..service("a") }));
        store.apply(now(Service { ports, discarded, addresses: service("a").addresses, ..service("b") }));
        assert_eq!(said(&store, "b"), why.describe());
    }
}

#[test]
fn left_alone_is_said_before_the_node_is_known() {
    let store = store([Service { discarded: true, ..with_topology("a", POOL) }.into()]);
    assert_eq!(said(&store, "a"), "annotated svc.openyurt.io/discard");
}

#[test]
fn the_policies_and_hints_of_a_service_are_obeyed() {
    let local = Service { internal_local: true, ..service("a") };
    let mut store = store([
        service("a").into(),
        slice("a-1", "x@n1 y@n2").into(),
        node("n1", "zone=z1").into(),
        node("n2", "zone=z2").into(),
    ]);
    assert_eq!(said(&store, "a"), "x y");
    assert_eq!(touched(&mut store, now(local)), "a");
    assert_eq!(said(&store, "a"), "x");

    store.apply(now(service("a")));
    let mut hinted = slice("a-1", "x@n1 y@n2");
    for (endpoint, zone) in hinted.endpoints.iter_mut().zip(["z2", "z1"]) {
        endpoint.hints = Some(Box::new(Hints { zones: vec![zone.into()], nodes: vec![] }));
    }
    store.apply(now(hinted));
    assert_eq!(said(&store, "a"), "y");
    store.apply(now(node("n1", "zone=z2")));
    assert_eq!(said(&store, "a"), "x");
}

#[test]
fn a_topology_that_is_not_understood_follows_the_operators_rule() {
    for (on_invalid, says) in [(OnInvalid::Unfiltered, "x y"), (OnInvalid::Refuse, "refuse")] {
        let mut store = Store::new("n1", Rules { on_invalid, ..Rules::default() });
        store.apply(now(with_topology("a", RACK)));
        store.apply(now(slice("a-1", "x@n1 y@n2")));
        assert_eq!(said(&store, "a"), says);
        let ports = store.ports(&ObjectName::new("default", "a"));
        assert!(matches!(ports[0].topology, Topology::Invalid(_)), "its label is not allowed");
    }
}

#[test]
fn a_service_without_addresses_or_ports_has_no_service_port() {
    for (shows, service) in [
        ("no address", Service { addresses: vec![], ..service("a") }),
        ("no port", Service { ports: vec![], ..service("a") }),
    ] {
        let store = store([service.into(), slice("a-1", "x@n1").into()]);
        assert_eq!(said(&store, "a"), "", "{shows}");
    }
    assert_eq!(said(&store([]), "a"), "", "no Service");
}

#[test]
fn all_that_exists_can_be_looked_at() {
    let headless = Service { skipped: Some(Skipped::Headless), ..with_topology("b", HOST) };
    let stray = Slice { service: None, ..slice("s-1", "") };
    let store = store([
        headless.into(),
        service("a").into(),
        slice("a-1", "x").into(),
        slice("a-2", "y").into(),
        slice("b-1", "z").into(),
        stray.into(),
        node("n1", "pool=p1").into(),
    ]);
    let services: Vec<(&str, bool)> = store
        .services()
        .map(|(service, topology)| (&*service.name.name, *topology == Topology::None))
        .collect();
    assert_eq!(services, [("a", true), ("b", false)]);
    let found = |name: &str| {
        let found = store.service(&ObjectName::new("default", name))?;
        Some((found.0.name.to_string(), *found.1 == Topology::None))
    };
    assert_eq!(found("a"), Some(("default/a".to_owned(), true)));
    assert_eq!(found("b"), Some(("default/b".to_owned(), false)), "also those that do not count");
    assert_eq!(found("c"), None);
    assert!(store.has_service(&ObjectName::new("default", "a")));
    assert!(!store.has_service(&ObjectName::new("other", "a")));

    let of_a = ObjectName::new("default", "a");
    let slices: Vec<&str> = store.slices_of(&of_a).map(|slice| &*slice.name.name).collect();
    assert_eq!(slices, ["a-1", "a-2"]);
    let mut all: Vec<&str> = store.slices().map(|slice| &*slice.name.name).collect();
    all.sort_unstable();
    assert_eq!(all, ["a-1", "a-2", "b-1", "s-1"]);
    assert_eq!((&*store.nodes().here, store.nodes().own_pool().map(|pool| &**pool)), ("n1", Some("p1")));
}
