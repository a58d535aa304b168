//! Who has an address that several Services claim.

use std::net::SocketAddr;

use crate::model::{Frontend, Further, Protocol, Skipped};

use super::*;

/// On the one address that all of them claim.
fn claimant(name: &str, created: impl Into<Option<i64>>) -> Service {
    Service { created: created.into(), addresses: service("a").addresses, ..service(name) }
}

fn conflict(owner: &str) -> String {
    format!("address and port belong to Service default/{owner}")
}

/// Whichever comes first.
#[test]
fn the_older_service_owns_an_address_then_the_first_by_name() {
    let elsewhere =
        |name: &str, namespace: &str| Service { name: ObjectName::new(namespace, "a"), ..claimant(name, 5) };
    for (shows, owner, other) in [
        ("the older one", claimant("b", 1), claimant("a", 2)),
        ("one with a creation time", claimant("b", i64::MAX - 1), claimant("a", None)),
        ("before 1970 is old", claimant("b", -1), claimant("a", 0)),
        ("of the same age: the first by name", claimant("a", 5), claimant("b", 5)),
        ("neither has one: the first by name", claimant("a", None), claimant("b", None)),
        ("of the same age: the first by namespace", elsewhere("z", "n1"), elsewhere("a", "n2")),
    ] {
        for objects in [[&owner, &other], [&other, &owner]] {
            let store = store(objects.into_iter().cloned().map(Object::from));
            assert_eq!(port_said(&store.ports(&owner.name)[0]), "refuse", "{shows}");
            assert_eq!(
                port_said(&store.ports(&other.name)[0]),
                format!("address and port belong to Service {}", owner.name),
                "{shows}"
            );
        }
    }
}

#[test]
fn a_service_that_loses_or_inherits_an_address_is_touched() {
    let skipped = Service { skipped: Some(Skipped::Headless), ..claimant("a", 1) };
    let moved = Service { addresses: service("m").addresses, ..claimant("a", 1) };
    let renumbered = Service { ports: vec![port("http", Protocol::Tcp, 81)], ..claimant("a", 1) };
    let portless = Service { ports: vec![], ..claimant("a", 1) };
    for (shows, change, touches, owner) in [
        ("the owner goes", gone(claimant("a", 1)), "a b", "b"),
        ("the owner does not count any more", now(skipped), "a b", "b"),
        ("the owner gets another address", now(moved), "a b", "b"),
        ("the owner gets another port", now(renumbered), "a b", "b"),
        ("the owner has no port any more", now(portless), "a b", "b"),
        ("the owner is a younger one of that name", now(claimant("a", 3)), "a b", "b"),
        ("the second goes", gone(claimant("b", 2)), "b", "a"),
        ("the last goes", gone(claimant("c", 4)), "c", "a"),
        ("a younger one comes", now(claimant("d", 5)), "d", "a"),
        ("an older one comes", now(claimant("d", 0)), "a d", "d"),
        ("the last turns out to be the oldest", now(claimant("c", 0)), "a c", "c"),
    ] {
        let mut store = store([claimant("a", 1), claimant("b", 2), claimant("c", 4)].map(Object::from));
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        for name in ["a", "b", "c", "d"] {
            let claims = store.ports(&ObjectName::new("default", name));
            for port in claims.iter().filter(|port| port.dialled == dialled_by_all()) {
                let says = if name == owner { "refuse".to_owned() } else { conflict(owner) };
                assert_eq!(port_said(port), says, "{shows}: {name}");
            }
        }
    }
}

#[test]
fn a_cluster_ip_can_be_reused_by_another_service_at_once() {
    let mut in_order = store([claimant("a", 1).into()]);
    assert_eq!(touched(&mut in_order, gone(claimant("a", 1))), "a");
    assert_eq!(touched(&mut in_order, now(claimant("b", 2))), "b");
    assert_eq!((said(&in_order, "a"), said(&in_order, "b")), (String::new(), "refuse".to_owned()));

    let mut overtaken = store([claimant("a", 1).into()]);
    assert_eq!(touched(&mut overtaken, now(claimant("b", 2))), "b");
    assert_eq!((said(&overtaken, "a"), said(&overtaken, "b")), ("refuse".to_owned(), conflict("a")));
    assert_eq!(touched(&mut overtaken, gone(claimant("a", 1))), "a b");
    assert_eq!((said(&overtaken, "a"), said(&overtaken, "b")), (String::new(), "refuse".to_owned()));
}

#[test]
fn what_differs_in_port_protocol_or_address_is_no_conflict() {
    for (shows, other) in [
        ("the port", Service { ports: vec![port("http", Protocol::Tcp, 81)], ..claimant("b", 2) }),
        ("the protocol", Service { ports: vec![port("http", Protocol::Udp, 80)], ..claimant("b", 2) }),
        ("the address", Service { addresses: service("b").addresses, ..claimant("b", 2) }),
    ] {
        let store = store([claimant("a", 1).into(), other.into()]);
        assert_eq!(
            (said(&store, "a"), said(&store, "b")),
            ("refuse".to_owned(), "refuse".to_owned()),
            "{shows}"
        );
    }
}

#[test]
fn only_the_ports_that_both_claim_are_in_conflict() {
    let both = vec![port("http", Protocol::Tcp, 80), port("more", Protocol::Tcp, 81)];
    let store = store([claimant("a", 1).into(), Service { ports: both, ..claimant("b", 2) }.into()]);
    assert_eq!(said(&store, "b"), format!("{}; refuse", conflict("a")));
}

#[test]
fn a_service_that_claims_an_address_twice_owns_it_and_gives_it_up_once() {
    let twice = vec![port("http", Protocol::Tcp, 80), port("web", Protocol::Tcp, 80)];
    let double = Service { ports: twice, ..claimant("a", 1) };
    let mut store = store([double.clone().into(), claimant("b", 2).into()]);
    assert!(said(&store, "a").starts_with("refuse; port \"web\" claims what port \"http\" has"));
    assert_eq!(touched(&mut store, gone(double)), "a b");
    assert_eq!(said(&store, "b"), "refuse");
}

/// Its address is not ours to touch, so connections to it are not served for another Service either.
#[test]
fn a_service_that_is_left_alone_keeps_its_address() {
    let discarded = Service { discarded: true, ..claimant("a", 1) };
    let with_discarded = store([discarded.into(), claimant("b", 2).into()]);
    assert_eq!(said(&with_discarded, "b"), conflict("a"));

    let excluded = [ObjectName::new("default", "a")].into();
    let mut with_excluded = Store::new("n1", Rules { excluded, ..Rules::default() });
    with_excluded.apply(now(claimant("a", 1)));
    with_excluded.apply(now(claimant("b", 2)));
    assert_eq!(said(&with_excluded, "b"), conflict("a"));
}

fn dialled_by_all() -> Frontend {
    Frontend { address: SocketAddr::new(service("a").addresses[0], 80), protocol: Protocol::Tcp }
}

/// Service `a` has an endpoint at the address of Service `o`, written as the endpoint `o` of a slice.
fn with_endpoint_at(name: &str) -> Slice {
    let mut slice = slice("a-1", "x@n1 y@n2");
    slice.endpoints[1].address = service(name).addresses[0];
    slice
}

#[test]
fn a_cluster_ip_is_no_endpoint_while_a_service_has_it() {
    let own = slice("o-1", "z@n1");
    let mut store =
        store([service("a").into(), with_endpoint_at("o").into(), own.into(), node("n1", "").into()]);
    let y = char::from(b'o').to_string();
    let both = format!("x {y}");
    let portless = Service { ports: vec![], ..service("o") };
    let headless = Service { skipped: Some(Skipped::Headless), ..service("o") };
    let excluded = Service { discarded: true, ..service("o") };
    let renumbered = Service { ports: vec![port("http", Protocol::Tcp, 81)], ..service("o") };
    let second =
        Service { addresses: service("o").addresses, ports: renumbered.ports.clone(), ..service("p") };
    for (shows, change, touches, says) in [
        ("no Service has it", now(node("n1", "")), "", both.as_str()),
        ("a Service gets it, on whatever port", now(renumbered.clone()), "a o", "x"),
        ("it has another port", now(service("o")), "o", "x"),
        ("another Service shares it", now(second.clone()), "p", "x"),
        ("the first goes: the second has it", gone(service("o")), "a o", "x"),
        ("the second goes", gone(second), "a p", both.as_str()),
        ("a Service that is left alone", now(excluded), "a o", "x"),
        ("one that does not count", now(headless), "a o", both.as_str()),
        ("one without a port", now(portless), "o", both.as_str()),
        ("a itself", now(with_endpoint_at("a")), "a", "x"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

/// Else the pool would seem to reach a ready endpoint, and nothing would be left of it.
#[test]
fn a_cluster_ip_is_left_out_before_the_topology_looks() {
    let list = "openyurt.io/nodepool, *";
    let mut far = with_endpoint_at("o");
    far.endpoints[1].node = Some("n1".into());
    far.endpoints[0].node = Some("n2".into());
    let store = store([
        with_topology("a", list).into(),
        far.into(),
        service("o").into(),
        node("n1", "pool=p1").into(),
        node("n2", "pool=p2").into(),
    ]);
    assert_eq!(said(&store, "a"), "x");
    let ports = store.ports(&ObjectName::new("default", "a"));
    let Disposition::Serve(decision) = &ports[0].disposition else { panic!("{:?}", ports[0]) };
    let (candidate, why) = &decision.excluded[0];
    let why = why.describe(candidate, store.nodes());
    assert_eq!(why, "its address is the cluster IP of Service default/o");
}

/// On the one external IP, 192.0.2.1, that all of them claim.
fn external(name: &str, created: i64) -> Service {
    let further = Further { external: vec![EXTERNAL], ..Further::default() };
    Service { created: Some(created), further: Some(Box::new(further)), ..service(name) }
}

const EXTERNAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

#[test]
fn a_further_address_has_the_older_service_and_a_cluster_ip_goes_before_it() {
    let balancer = |name: &str, created| {
        let further = Further { balancer: vec![EXTERNAL], ..Further::default() };
        Service { further: Some(Box::new(further)), ..external(name, created) }
    };
    let as_cluster_ip =
        |name: &str, created| Service { addresses: vec![EXTERNAL], ..claimant(name, created) };
    let elsewhere = Service { ports: vec![port("http", Protocol::Tcp, 81)], ..external("b", 2) };
    for (shows, first, other, of_first, of_other) in [
        (
            "both have an external IP",
            external("a", 1),
            external("b", 2),
            "refuse; refuse",
            "refuse; conflict",
        ),
        (
            "the younger one comes first by name",
            external("b", 1),
            external("a", 2),
            "refuse; refuse",
            "refuse; conflict",
        ),
        (
            "an external IP and a load balancer's",
            external("a", 1),
            balancer("b", 2),
            "refuse; refuse",
            "refuse; conflict",
        ),
        (
            "a cluster IP, of whatever age",
            as_cluster_ip("a", 2),
            external("b", 1),
            "refuse",
            "refuse; conflict",
        ),
        ("on two ports", external("a", 1), elsewhere, "refuse; refuse", "refuse; refuse"),
    ] {
        for objects in [[&first, &other], [&other, &first]] {
            let store = store(objects.into_iter().cloned().map(Object::from));
            let expected = of_other.replace("conflict", &conflict(&first.name.name));
            assert_eq!(
                (said(&store, &first.name.name).as_str(), said(&store, &other.name.name)),
                (of_first, expected),
                "{shows}"
            );
        }
    }
}

#[test]
fn a_further_address_passes_to_the_next_claimant_at_once() {
    let mut store = store([external("a", 1), external("b", 2)].map(Object::from));
    for (shows, change, touches, of_b) in [
        ("its owner goes", gone(external("a", 1)), "a b", "refuse; refuse"),
        ("it comes back", now(external("a", 1)), "a b", "refuse; conflict"),
        ("it gives the address up", now(claimant("a", 1)), "a b", "refuse; refuse"),
        (
            "a cluster IP there",
            now(Service { addresses: vec![EXTERNAL], ..claimant("c", 9) }),
            "b c",
            "refuse; conflict",
        ),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        let owner = if touches == "b c" { "c" } else { "a" };
        assert_eq!(said(&store, "b"), of_b.replace("conflict", &conflict(owner)), "{shows}");
    }
}

/// Nodes' own addresses are external IPs as often as endpoints.
#[test]
fn an_endpoint_at_a_further_address_stays_one() {
    let mut slice = slice("a-1", "x@n1");
    slice.endpoints[0].address = EXTERNAL;
    let number = char::from(EXTERNAL.to_string().rsplit('.').next().unwrap().parse::<u8>().unwrap());
    let mut store = store([service("a").into(), slice.into(), external("o", 1).into()]);
    assert_eq!(said(&store, "a"), number.to_string());
    let cluster_ip = Service { addresses: vec![EXTERNAL], ..claimant("p", 9) };
    assert_eq!(touched(&mut store, now(cluster_ip)), "a o p");
    assert_eq!(said(&store, "a"), "refuse", "a cluster IP is not an endpoint, whatever else it is");
}
