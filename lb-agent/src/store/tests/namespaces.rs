//! Topologies that Namespaces give their Services.

use super::super::Origin;
use super::*;
use crate::model::{Namespace, NamespaceTopology, ObjectKey, SkipLabel, Skipped, Unread};
use crate::store::Known;

/// `b` has a flag, which admits this node alone.
fn with(namespaces: NamespaceTopology) -> Store {
    let topologies = [(ObjectName::new("default", "b"), HOST.into())].into();
    Store::new("n1", Rules { namespace_topology: namespaces, topologies, ..Rules::default() })
}

fn namespace(topology: Option<&str>) -> Object {
    let topology = topology.map(Into::into);
    Object::Namespace(Namespace { name: "default".into(), label: SkipLabel::Absent, topology })
}

/// `a` has no topology of its own; `c` is annotated with this node's zone. `x` is here, `y` in the pool, `z` in the zone.
fn site() -> Vec<Object> {
    let endpoints = "x@n1 y@n2 z@n3";
    vec![
        service("a").into(),
        service("b").into(),
        with_topology("c", ZONE).into(),
        slice("a-1", endpoints).into(),
        slice("b-1", endpoints).into(),
        slice("c-1", endpoints).into(),
        node("n1", "pool=p1 zone=z1").into(),
        node("n2", "pool=p1").into(),
        node("n3", "zone=z1").into(),
    ]
}

fn filled(mut store: Store, kinds: &[Kind]) -> Store {
    site().into_iter().for_each(|object| store.apply(Change::Apply(object)));
    kinds.iter().for_each(|kind| store.apply(Change::Synced(*kind)));
    store.take_dirty();
    store
}

fn all(store: &Store) -> String {
    ["a", "b", "c"].map(|name| said(store, name)).join(" | ")
}

fn by(store: &Store, name: &str) -> Option<Origin> {
    let (service, _) = store.service(&ObjectName::new("default", name)).unwrap();
    store.written(service).map(|written| written.origin)
}

fn delete() -> Change {
    Change::Delete(ObjectKey::of_cluster(Kind::Namespace, &"default".into()))
}

#[test]
fn a_namespace_gives_a_topology_to_those_that_have_none_of_their_own_and_none_by_flag() {
    let mut store = filled(with(NamespaceTopology::On), &Kind::ALL);
    assert_eq!(all(&store), "x y z | x | x z", "no such object: no topology");
    for (shows, change, touches, of_a) in [
        ("the pool", Change::Apply(namespace(Some(POOL))), "a", "x y"),
        ("as it was", Change::Apply(namespace(Some(POOL))), "", "x y"),
        (
            "a node that it reads, and in whose pool all count",
            now(node("n3", "zone=z1 pool=p1")),
            "a b c",
            "x y z",
        ),
        ("another one", Change::Apply(namespace(Some(HOST))), "a", "x"),
        ("which reads no label; all count in another pool", now(node("n2", "pool=p2")), "a b c", "x"),
        ("not understood", Change::Apply(namespace(Some("rack"))), "a", "x y z"),
        ("this node alone", Change::Apply(namespace(Some(HOST))), "a", "x"),
        ("what was read stays", Change::Unread(Unread::Namespace("default".into())), "", "x"),
        ("an empty one is as none", Change::Apply(namespace(Some(""))), "a", "x y z"),
        ("none", Change::Apply(namespace(None)), "a", "x y z"),
        ("this node alone again", Change::Apply(namespace(Some(HOST))), "a", "x"),
        ("it is gone", delete(), "a", "x y z"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!(all(&store), format!("{of_a} | x | x z"), "{shows}");
    }
    store.apply(Change::Apply(namespace(Some(POOL))));
    assert_eq!([by(&store, "a"), by(&store, "b")], [Some(Origin::Namespace), Some(Origin::Flag)]);
    assert_eq!(said(&store, "a"), "x z", "n2 has left the pool, n3 has come");
    assert_eq!(touched(&mut store, now(with_topology("a", "*"))), "a");
    assert_eq!(
        (said(&store, "a").as_str(), by(&store, "a").is_some()),
        ("x y z", true),
        "its own goes first"
    );
    assert_eq!(touched(&mut store, Change::Apply(namespace(Some(HOST)))), "", "and the other is not read");
    assert_eq!(touched(&mut store, now(service("a"))), "a");
    assert_eq!(said(&store, "a"), "x", "its own is gone");
}

#[test]
fn it_counts_only_where_the_operator_says_so() {
    let mut store = filled(with(NamespaceTopology::Off), &Kind::DECIDING);
    assert_eq!(touched(&mut store, Change::Apply(namespace(Some(HOST)))), "");
    assert_eq!(touched(&mut store, Change::Unread(Unread::Namespace("other".into()))), "");
    assert_eq!((all(&store).as_str(), store.is_ready()), ("x y z | x | x z", true));
    assert_eq!(store.known(), Known::All, "nothing waits for Namespaces");
    assert!(store.topologies_of_namespaces().is_empty());
}

#[test]
fn those_without_one_of_their_own_wait_until_namespaces_are_known() {
    let mut store = filled(with(NamespaceTopology::On), &Kind::DECIDING);
    assert_eq!(all(&store), "keep | x | x z");
    assert_eq!((store.is_ready(), store.knows_labels(), store.known()), (false, true, Known::Part));

    let mut first = filled(with(NamespaceTopology::On), &Kind::DECIDING);
    assert_eq!(touched(&mut first, Change::Apply(namespace(Some(POOL)))), "a");
    assert_eq!(
        (said(&first, "a").as_str(), first.is_ready()),
        ("x y", true),
        "an object that has come is known"
    );

    assert_eq!(touched(&mut store, Change::Synced(Kind::Namespace)), "a b c");
    assert_eq!(all(&store), "x y z | x | x z", "it does not exist");
    assert_eq!((store.is_ready(), store.known()), (true, Known::All));

    assert_eq!(touched(&mut store, Change::Unread(Unread::Namespace("default".into()))), "a");
    assert_eq!((all(&store).as_str(), store.known()), ("keep | x | x z", Known::Part), "it cannot be read");
    assert!(store.is_ready(), "one object must not take every node out");
    assert_eq!(touched(&mut store, Change::Apply(namespace(Some(HOST)))), "a");
    assert_eq!((all(&store).as_str(), store.known()), ("x | x | x z", Known::All));

    store.apply(delete());
    store.apply(Change::Incomplete);
    assert_eq!(said(&store, "a"), "keep", "a file that was never read may hold it");
}

#[test]
fn where_all_have_one_of_their_own_nothing_waits() {
    let mut store = with(NamespaceTopology::On);
    for object in site().into_iter().filter(|object| *object != Object::from(service("a"))) {
        store.apply(Change::Apply(object));
    }
    Kind::DECIDING.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    assert_eq!((store.is_ready(), store.known()), (true, Known::All));
    store.apply(now(Service { skipped: Some(Skipped::Headless), ..service("h") }));
    assert!(store.is_ready(), "nothing is decided about it");
    store.apply(now(service("a")));
    assert!(!store.is_ready());
    store.apply(gone(service("a")));
    assert!(store.is_ready());
}

#[test]
fn a_copy_and_a_store_made_again_know_it_too() {
    let mut store = filled(with(NamespaceTopology::On), &Kind::ALL);
    store.apply(Change::Apply(namespace(Some(HOST))));
    store.apply(Change::Unread(Unread::Namespace("other".into())));
    let mut again = store.afresh();
    store.changes().into_iter().for_each(|change| again.apply(change));
    for other in [&again, &*store.copy()] {
        assert_eq!((all(other).as_str(), other.known()), ("x | x | x z", store.known()));
        assert_eq!(other.topologies_of_namespaces(), store.topologies_of_namespaces());
    }
    assert_eq!(again.changes(), store.changes());
}
