//! What a Service or a slice touches by coming, changing and going.

use crate::model::{Change, Hints, Kind, ObjectName, Protocol, Slice};

use super::*;

/// One after the other, on a store that begins empty.
#[test]
fn a_change_touches_its_own_service_and_what_is_no_change_touches_nothing() {
    let mut store = store([]);
    for (shows, change, touches) in [
        ("a new Service", now(service("a")), "a"),
        ("the same again", now(service("a")), ""),
        ("another", now(service("b")), "b"),
        ("another annotation", now(with_topology("a", HOST)), "a"),
        ("a new slice", now(slice("a-1", "x@n1")), "a"),
        ("the same again", now(slice("a-1", "x@n1")), ""),
        ("a second slice", now(slice("a-2", "y@n1")), "a"),
        ("another condition", now(slice("a-1", "x@n1!")), "a"),
        ("another node", now(slice("a-1", "x@n2!")), "a"),
        ("a slice goes", gone(slice("a-1", "")), "a"),
        ("it is gone already", gone(slice("a-1", "")), ""),
        ("a slice that never was", gone(slice("b-1", "")), ""),
        ("the Service goes before its last slice", gone(service("a")), "a"),
        ("it is gone already", gone(service("a")), ""),
        ("its last slice", gone(slice("a-2", "")), "a"),
        ("a slice before its Service", now(slice("c-1", "x@n1")), "c"),
        ("the Service of a slice", now(service("c")), "c"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
    }
    assert_eq!(said(&store, "c"), "x");
}

#[test]
fn a_change_of_hints_alone_is_a_change() {
    let mut store = store([service("a").into(), slice("a-1", "x@n1").into()]);
    let mut hinted = slice("a-1", "x@n1");
    hinted.endpoints[0].hints = Some(Box::new(Hints { zones: vec!["z1".into()], nodes: vec![] }));
    assert_eq!(touched(&mut store, now(hinted)), "a");
}

#[test]
fn the_slices_of_a_service_add_up() {
    let mut store = store([service("a").into(), slice("a-1", "x@n1 y@n2").into()]);
    for (shows, change, says) in [
        ("a second one", now(slice("a-2", "z@n3")), "x y z"),
        ("one shrinks", now(slice("a-1", "x@n1")), "x z"),
        ("one copy of an endpoint is unready", now(slice("a-2", "x@n1! z@n3")), "x z"),
        ("one goes", gone(slice("a-1", "")), "z"),
        ("the last goes", gone(slice("a-2", "")), "refuse"),
    ] {
        store.apply(change);
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

#[test]
fn a_slice_that_goes_over_to_another_service_touches_both() {
    let mut store = store([service("a").into(), service("b").into(), slice("a-1", "x@n1").into()]);
    let to_b = Slice { service: Some("b".into()), ..slice("a-1", "x@n1") };
    assert_eq!(touched(&mut store, now(to_b.clone())), "a b");
    assert_eq!((said(&store, "a"), said(&store, "b")), ("refuse".to_owned(), "x".to_owned()));

    assert_eq!(touched(&mut store, now(to_b)), "");
    assert_eq!(touched(&mut store, gone(slice("a-1", ""))), "b", "it goes by its name, whatever its Service");
    assert_eq!(said(&store, "b"), "refuse");
}

#[test]
fn a_slice_can_lose_the_label_that_names_its_service_and_gain_it() {
    let mut store = store([service("a").into(), slice("a-1", "x@n1").into()]);
    let stray = Slice { service: None, ..slice("a-1", "x@n1") };
    assert_eq!(touched(&mut store, now(stray.clone())), "a");
    assert_eq!(said(&store, "a"), "refuse");

    assert_eq!(touched(&mut store, now(slice("a-1", "x@n1"))), "a");
    assert_eq!(said(&store, "a"), "x");

    store.apply(now(stray.clone()));
    dirty(&mut store);
    assert_eq!(touched(&mut store, gone(stray)), "");
}

#[test]
fn namespaces_do_not_mix() {
    let elsewhere = |name: &str| ObjectName::new("other", name);
    let mut store = store([service("a").into(), slice("a-1", "x@n1").into()]);
    let service = Service { name: elsewhere("a"), addresses: service("b").addresses, ..service("a") };
    assert_eq!(touched(&mut store, now(service.clone())), "other/a");
    assert_eq!(touched(&mut store, now(Slice { name: elsewhere("a-1"), ..slice("a-1", "y@n1") })), "other/a");
    assert_eq!(said(&store, "a"), "x");
    assert_eq!(port_said(&store.ports(&elsewhere("a"))[0]), "y");

    assert_eq!(touched(&mut store, gone(slice("a-1", ""))), "a");
    assert_eq!(port_said(&store.ports(&elsewhere("a"))[0]), "y");
}

#[test]
fn a_changed_annotation_takes_effect_without_any_change_to_the_slices() {
    let mut store = store([
        service("a").into(),
        slice("a-1", "x@n1 y@n2 z@n3").into(),
        node("n1", "pool=p1 rack=r1").into(),
        node("n2", "pool=p1").into(),
        node("n3", "pool=p2 rack=r1").into(),
    ]);
    for (keys, says) in [
        (HOST, "x"),
        (POOL, "x y"),
        (RACK, "x z"),
        ("not understood", "x y z"),
        ("kubernetes.io/hostname, *", "x"),
        ("", "x y z"),
    ] {
        assert_eq!(touched(&mut store, now(with_topology("a", keys))), "a");
        assert_eq!(said(&store, "a"), says, "{keys:?}");
    }
}

#[test]
fn the_first_time_that_a_kind_is_complete_touches_everything() {
    let mut store = unsynced([service("a").into(), service("b").into()]);
    let mut seen = Vec::new();
    for kind in [Kind::Node, Kind::Service, Kind::Service, Kind::EndpointSlice, Kind::EndpointSlice] {
        let touched = touched(&mut store, Change::Synced(kind));
        seen.push((touched, store.is_synced()));
    }
    let seen: Vec<(&str, bool)> = seen.iter().map(|(touched, synced)| (touched.as_str(), *synced)).collect();
    assert_eq!(seen, [("a b", false), ("a b", false), ("", false), ("a b", true), ("", true)]);
}

#[test]
fn services_alone_are_not_all_there_is() {
    let mut store = unsynced([]);
    store.apply(Change::Synced(Kind::EndpointSlice));
    assert!(!store.is_synced());
    store.apply(Change::Synced(Kind::Service));
    assert!(store.is_synced());
}

#[test]
fn what_is_dirty_is_handed_out_once_and_can_be_marked_again() {
    let mut store = store([]);
    store.apply(now(service("a")));
    store.apply(now(service("b")));
    let waiting: Vec<&str> = store.dirty().iter().map(|service| &*service.name).collect();
    assert_eq!(waiting, ["a", "b"], "looking takes nothing away");
    assert_eq!(dirty(&mut store), "a b");
    assert!(store.dirty().is_empty());
    assert_eq!(dirty(&mut store), "");

    store.mark_dirty([ObjectName::new("default", "b"), ObjectName::new("default", "c")]);
    assert_eq!(dirty(&mut store), "b c");
}

#[test]
fn all_that_goes_leaves_nothing_behind() {
    let nothing = format!("{:?}", store([node("n1", "").into()]));
    let twice = vec![port("http", Protocol::Tcp, 80), port("web", Protocol::Tcp, 80)];
    let objects: [Object; 6] = [
        with_topology("a", POOL).into(),
        Service { ports: twice, addresses: service("a").addresses, ..with_topology("b", ZONE) }.into(),
        slice("a-1", "x@n2").into(),
        slice("a-2", "y@n2").into(),
        Slice { service: None, ..slice("c-1", "") }.into(),
        node("n2", "pool=p1").into(),
    ];
    let forwards: Vec<usize> = (0..objects.len()).collect();
    let backwards: Vec<usize> = (0..objects.len()).rev().collect();
    for order in [forwards, backwards] {
        let mut store = store(objects.clone().into_iter().chain([node("n1", "").into()]));
        assert_ne!(format!("{store:?}"), nothing);
        for index in order {
            store.apply(Change::Delete(objects[index].key()));
        }
        store.take_dirty();
        assert_eq!(format!("{store:?}"), nothing);
    }
}
