//! What a Node touches, and who waits for one.

use crate::model::{Change, Kind, Skipped};
use crate::select::nodes::PoolKeys;

use super::*;

/// Services of every kind of topology with one endpoint each, on the client's pool or another.
fn site() -> Store {
    store([
        with_topology("a", POOL).into(),
        slice("a-1", "x@n2").into(),
        with_topology("b", "kubernetes.io/hostname, openyurt.io/nodepool, *").into(),
        slice("b-1", "x@n3").into(),
        with_topology("h", HOST).into(),
        slice("h-1", "x@n2").into(),
        service("o").into(),
        slice("o-1", "x@n2").into(),
        with_topology("r", RACK).into(),
        slice("r-1", "x@n2").into(),
        with_topology("w", "not understood").into(),
        slice("w-1", "x@n2").into(),
        with_topology("z", ZONE).into(),
        slice("z-1", "x@n2").into(),
        node("n1", "pool=p1 zone=z1 rack=r1").into(),
        node("n2", "pool=p1 zone=z1 rack=r1").into(),
        node("n3", "pool=p2 zone=z1 rack=r1").into(),
    ])
}

#[test]
fn a_label_touches_those_that_read_it_and_have_an_endpoint_on_the_node() {
    for (shows, change, touches) in [
        ("as it was", now(node("n2", "pool=p1 zone=z1 rack=r1")), ""),
        ("another pool, in which all count", now(node("n2", "pool=p2 zone=z1 rack=r1")), "a h o r w z"),
        ("no pool", now(node("n2", "zone=z1 rack=r1")), "a h o r w z"),
        ("the fallback pool label", now(node("n2", "pool=p1 desired=p1 zone=z1 rack=r1")), "a"),
        ("the other pool's node", now(node("n3", "pool=p1 zone=z1 rack=r1")), "b"),
        ("another zone: hints compare the client's alone", now(node("n2", "pool=p1 zone=z2 rack=r1")), "z"),
        ("another rack", now(node("n2", "pool=p1 zone=z1 rack=r2")), "r"),
        ("a label that no topology reads", now(node("n2", "pool=p1 zone=z1 rack=r1 row=w1")), ""),
        ("two labels", now(node("n2", "pool=p1 zone=z2 rack=r2")), "r z"),
        ("the node goes", gone(node("n2", "")), "a h o r w z"),
        ("a node without endpoints", now(node("n4", "pool=p1 zone=z1 rack=r1")), ""),
        ("a node that was not there goes", gone(node("n4", "")), ""),
        ("the client's node as it was", now(node("n1", "pool=p1 zone=z1 rack=r1")), ""),
        ("the client's pool", now(node("n1", "pool=p2 zone=z1 rack=r1")), "a b h o r w z"),
        ("the client's rack", now(node("n1", "pool=p1 zone=z1")), "r"),
        (
            "the client's zone, which hints of any Service may name",
            now(node("n1", "pool=p1 zone=z2 rack=r1")),
            "a b h o r w z",
        ),
        ("the client's node loses its zone", now(node("n1", "pool=p1 rack=r1")), "a b h o r w z"),
        (
            "a label of the client's node that no topology reads",
            now(node("n1", "pool=p1 zone=z1 rack=r1 row=w1")),
            "",
        ),
        ("the client's node goes: its last labels hold", gone(node("n1", "")), ""),
    ] {
        assert_eq!(touched(&mut site(), change), touches, "{shows}");
    }
}

#[test]
fn who_reads_a_label_follows_the_annotation() {
    let mut store = site();
    store.apply(now(with_topology("a", ZONE)));
    store.apply(now(with_topology("o", POOL)));
    store.apply(gone(service("b")));
    dirty(&mut store);
    assert_eq!(touched(&mut store, now(node("n2", "pool=p1 desired=p2 zone=z1 rack=r1"))), "o");
    assert_eq!(touched(&mut store, now(node("n3", "pool=p1 zone=z1 rack=r1"))), "");
    assert_eq!(touched(&mut store, now(node("n2", "pool=p1 desired=p2 zone=z2 rack=r1"))), "a z");
}

#[test]
fn the_label_that_names_a_pool_is_the_operators_choice() {
    let pool_keys = PoolKeys { preferred: "site".into(), fallback: None };
    let mut store = Store::new("n1", Rules { pool_keys, ..Rules::default() });
    for object in [
        with_topology("a", POOL).into(),
        slice("a-1", "x@n1 y@n2").into(),
        node("n1", "site=s1 pool=p1").into(),
        node("n2", "site=s1 pool=p2").into(),
    ] {
        store.apply(Change::Apply(object));
    }
    store.apply(Change::Synced(Kind::Node));
    store.take_dirty();
    assert_eq!(said(&store, "a"), "x y");
    assert_eq!(touched(&mut store, now(node("n2", "site=s1 pool=p1"))), "");
    assert_eq!(touched(&mut store, now(node("n2", "site=s2 pool=p1"))), "a");
    assert_eq!(said(&store, "a"), "x");
}

#[test]
fn an_endpoint_on_an_unknown_node_joins_when_the_node_is_known() {
    let mut store = store([
        with_topology("a", POOL).into(),
        slice("a-1", "x@n1 y@n2").into(),
        service("o").into(),
        slice("o-1", "y@n2").into(),
        node("n1", "pool=p1").into(),
    ]);
    for (shows, change, touches, says) in [
        ("known, in no pool: nothing to do", now(node("n2", "")), "", "x"),
        ("it gains its pool", now(node("n2", "pool=p1")), "a o", "x y"),
        ("it goes to another pool", now(node("n2", "pool=p2")), "a o", "x"),
        ("it comes home by the fallback label", now(node("n2", "desired=p1")), "a o", "x y"),
        ("unknown again", gone(node("n2", "")), "a o", "x"),
        ("known with its pool at once", now(node("n2", "pool=p1")), "a o", "x y"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

#[test]
fn the_last_known_labels_of_the_clients_node_hold_while_it_is_gone() {
    let mut store = store([
        with_topology("a", POOL).into(),
        slice("a-1", "x@n1 y@n2 z@n3").into(),
        node("n1", "pool=p1").into(),
        node("n2", "pool=p1").into(),
        node("n3", "pool=p2").into(),
    ]);
    assert!(store.own_node_exists());
    for (shows, change, touches, exists, says) in [
        ("it goes", gone(node("n1", "")), "", false, "x y"),
        ("it returns as it was", now(node("n1", "pool=p1")), "", true, "x y"),
        ("it goes again", gone(node("n1", "")), "", false, "x y"),
        ("it returns in another pool", now(node("n1", "pool=p2")), "a", true, "x z"),
        ("it loses its pool: a pool of one", now(node("n1", "")), "a", true, "x"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!((store.own_node_exists(), said(&store, "a").as_str()), (exists, says), "{shows}");
        assert!(store.is_ready(), "{shows}");
    }
}

#[test]
fn a_topology_that_reads_labels_waits_for_the_clients_node_and_no_other_does() {
    for (keys, before, after) in [
        (POOL, "keep", "x y"),
        ("kubernetes.io/zone", "keep", "x y"),
        (ZONE, "keep", "x"),
        (RACK, "keep", "x"),
        ("kubernetes.io/hostname, openyurt.io/nodepool", "keep", "x"),
        (HOST, "x", "x"),
        ("kubernetes.io/hostname, *", "x", "x"),
        ("*", "x y", "x y"),
        ("not understood", "x y", "x y"),
        ("", "x y", "x y"),
    ] {
        let mut store = store([
            with_topology("a", keys).into(),
            slice("a-1", "x@n1 y@n2").into(),
            node("n2", "pool=p1 zone=z2").into(),
        ]);
        assert_eq!(said(&store, "a"), before, "{keys:?}");
        assert_eq!(store.is_ready(), before != "keep", "{keys:?}");

        assert_eq!(touched(&mut store, now(node("n1", "pool=p1 zone=z1 rack=r1"))), "a", "{keys:?}");
        assert_eq!(said(&store, "a"), after, "{keys:?}");
        assert!(store.is_ready(), "{keys:?}");
    }
}

#[test]
fn the_first_sight_of_the_clients_node_touches_everything_even_without_labels() {
    let mut store = store([service("a").into(), with_topology("b", HOST).into()]);
    assert!(!store.own_node_exists());
    assert_eq!(touched(&mut store, now(node("n1", ""))), "a b");
    assert!(store.own_node_exists());
}

#[test]
fn the_other_nodes_must_be_complete_too() {
    let mut store = unsynced([
        with_topology("a", POOL).into(),
        with_topology("h", HOST).into(),
        slice("a-1", "x@n1").into(),
        slice("h-1", "x@n1").into(),
        node("n1", "pool=p1").into(),
    ]);
    store.apply(Change::Synced(Kind::Service));
    store.apply(Change::Synced(Kind::EndpointSlice));
    dirty(&mut store);
    assert_eq!((said(&store, "a"), said(&store, "h")), ("keep".to_owned(), "x".to_owned()));
    assert!(store.is_synced() && !store.is_ready());

    assert_eq!(touched(&mut store, Change::Synced(Kind::Node)), "a h");
    assert_eq!(said(&store, "a"), "x");
    assert!(store.is_ready());
}

#[test]
fn readiness_waits_for_services_and_slices_whatever_they_read() {
    let mut store = unsynced([service("a").into(), node("n1", "").into()]);
    store.apply(Change::Synced(Kind::Node));
    assert!(!store.is_ready());
    store.apply(Change::Synced(Kind::Service));
    assert!(!store.is_ready());
    store.apply(Change::Synced(Kind::EndpointSlice));
    assert!(store.is_ready());
}

#[test]
fn a_service_that_is_left_alone_keeps_no_node_waiting() {
    let reader = with_topology("a", POOL);
    let headless = Service { skipped: Some(Skipped::Headless), ..reader.clone() };
    let discarded = Service { discarded: true, ..reader.clone() };
    for left_alone in [headless, discarded] {
        let mut store = store([left_alone.clone().into()]);
        assert!(store.is_ready(), "{left_alone:?}");
        store.apply(now(reader.clone()));
        assert!(!store.is_ready(), "it counts now");
        store.apply(now(left_alone));
        assert!(store.is_ready(), "and no longer");
    }

    let excluded = [reader.name.clone()].into();
    let mut store = Store::new("n1", Rules { excluded, ..Rules::default() });
    for change in [now(reader), Change::Synced(Kind::Service), Change::Synced(Kind::EndpointSlice)] {
        store.apply(change);
    }
    assert!(store.is_ready());
}
