//! What hangs on an object that was never read.

use crate::model::{SliceOwner, Unread};
use crate::select::topology::OnInvalid;

use super::super::{Known, Unknown};
use super::*;

fn unread_service(name: &str) -> Change {
    Change::Unread(Unread::Service(ObjectName::new("default", name)))
}

fn unread_slice(name: &str, owner: SliceOwner) -> Change {
    Change::Unread(Unread::Slice { name: ObjectName::new("default", name), owner })
}

fn of(service: &str) -> SliceOwner {
    SliceOwner::Service(service.into())
}

fn unread_node(name: &str) -> Change {
    Change::Unread(Unread::Node(name.into()))
}

/// Service `a` with a topology and `o` without one, each with a slice, and `e` and `f` with none.
fn site() -> Store {
    store([
        with_topology("a", POOL).into(),
        slice("a-1", "x@n1 y@n2").into(),
        service("o").into(),
        slice("o-1", "x@n1 y@n2").into(),
        service("e").into(),
        with_topology("f", HOST).into(),
        node("n1", "pool=p1").into(),
        node("n2", "pool=p1").into(),
    ])
}

fn all(store: &Store) -> String {
    ["a", "o", "e", "f"].map(|name| said(store, name)).join(", ")
}

#[test]
fn what_hangs_on_an_object_that_was_never_read_is_kept_and_nothing_else() {
    const KNOWN: &str = "x y, x y, refuse, refuse";
    for (shows, change, touches, says) in [
        ("a Service: nothing of another", unread_service("s"), "", KNOWN),
        ("a slice of a", unread_slice("a-2", of("a")), "a", "keep, or x y, x y, refuse, refuse"),
        ("a slice of o", unread_slice("o-2", of("o")), "o", "x y, keep, or x y, refuse, refuse"),
        (
            "the one slice of e: kube-proxy serves it",
            unread_slice("e-1", of("e")),
            "e",
            "x y, x y, keep, refuse",
        ),
        (
            "the one slice of f: never wider",
            unread_slice("f-1", of("f")),
            "f",
            "x y, x y, refuse, keep, or refuse",
        ),
        ("a slice of a Service that is not there", unread_slice("s-1", of("s")), "s", KNOWN),
        ("a slice that counts for none", unread_slice("a-2", SliceOwner::None), "", KNOWN),
        (
            "a slice of a Service that is not known: those without any",
            unread_slice("a-2", SliceOwner::Unknown),
            "a e f o",
            "x y, x y, keep, keep, or refuse",
        ),
        ("a slice that was read stays as it was", unread_slice("a-1", of("a")), "", KNOWN),
        ("a Service that was read stays as it was", unread_service("a"), "", KNOWN),
        ("a Node that was read stays as it was", unread_node("n2"), "", KNOWN),
        ("a Node without endpoints", unread_node("n3"), "", KNOWN),
        ("a part of the source", Change::Incomplete, "a e f o", "x y, x y, keep, keep, or refuse"),
        ("what lists do not name", Change::Unlisted, "a e f o", "x y, x y, keep, keep, or refuse"),
    ] {
        let mut store = site();
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!(all(&store), says, "{shows}");
        assert!(store.is_ready(), "{shows}: one object does not take a node out");
    }
}

#[test]
fn a_slice_of_an_unknown_service_keeps_none_of_another_namespace() {
    let mut store = site();
    let name = ObjectName::new("other", "a-2");
    let change = Change::Unread(Unread::Slice { name, owner: SliceOwner::Unknown });
    assert_eq!(touched(&mut store, change), "");
    assert_eq!(said(&store, "e"), "refuse");
}

#[test]
fn what_was_kept_is_decided_once_the_object_is_read_or_gone() {
    for (shows, unread, then, touches, says) in [
        ("the slice is read", unread_slice("a-2", of("a")), now(slice("a-2", "z@n1")), "a", "x y z"),
        ("the slice is gone", unread_slice("a-2", of("a")), gone(slice("a-2", "")), "a", "x y"),
        ("it is another Service's", unread_slice("a-2", of("a")), unread_slice("a-2", of("o")), "a o", "x y"),
        (
            "it counts for none",
            unread_slice("a-2", of("a")),
            unread_slice("a-2", SliceOwner::None),
            "a",
            "x y",
        ),
        (
            "it was none's, and is",
            unread_slice("a-2", SliceOwner::None),
            unread_slice("a-2", of("a")),
            "a",
            "keep, or x y",
        ),
        ("read as another's", unread_slice("o-2", of("a")), now(slice("o-2", "")), "a o", "x y"),
        ("still unread", unread_slice("a-2", of("a")), unread_slice("a-2", of("a")), "", "keep, or x y"),
        ("the source is read to its end", Change::Incomplete, Change::Complete, "a e f o", "x y"),
        ("lists name everything", Change::Unlisted, Change::Complete, "a e f o", "x y"),
        ("the Service is gone", unread_service("s"), gone(service("s")), "s", "x y"),
        ("the Service is read", unread_service("s"), now(service("s")), "s", "x y"),
    ] {
        let mut store = site();
        store.apply(unread);
        dirty(&mut store);
        assert_eq!(touched(&mut store, then), touches, "{shows}");
        assert_eq!(said(&store, "a"), says, "{shows}");
    }
}

#[test]
fn an_endpoint_on_a_node_that_was_never_read_keeps_what_reads_labels() {
    let objects = || {
        [
            with_topology("a", POOL).into(),
            slice("a-1", "x@n1 y@n2").into(),
            with_topology("h", HOST).into(),
            slice("h-1", "x@n1 y@n2").into(),
            service("o").into(),
            slice("o-1", "x@n1 y@n2").into(),
            with_topology("z", ZONE).into(),
            slice("z-1", "x@n1").into(),
            node("n1", "pool=p1 zone=z1").into(),
        ]
    };
    let mut store = store(objects());
    assert_eq!(said(&store, "a"), "x", "n2 does not exist");

    assert_eq!(touched(&mut store, unread_node("n2")), "a");
    assert_eq!(["a", "h", "o", "z"].map(|name| said(&store, name)), ["keep, or x", "x", "x y", "x"]);
    assert!(store.is_ready() && store.known() == Known::Part);

    assert_eq!(touched(&mut store, now(node("n2", ""))), "a", "read, though without a label");
    assert_eq!((said(&store, "a").as_str(), store.known()), ("x", Known::All));

    store.apply(gone(node("n2", "")));
    store.apply(unread_node("n2"));
    dirty(&mut store);
    assert_eq!(touched(&mut store, gone(node("n2", ""))), "a");
    assert_eq!(said(&store, "a"), "x");
}

/// `store` has the operator choose the label `rack` for topologies.
#[test]
fn a_node_whose_place_is_no_text_is_one_that_cannot_be_read() {
    for (shows, key, says) in [
        ("a label that nothing reads", "commit", "x"),
        ("one that the operator lets topologies read", RACK, "keep, or x"),
        ("the pool's", "apps.openyurt.io/nodepool", "keep, or x"),
    ] {
        let rack = format!("{RACK}, {HOST}");
        let mut store = store([
            with_topology("a", &rack).into(),
            slice("a-1", "x@n1 y@n2").into(),
            node("n1", "rack=r1").into(),
        ]);
        let odd = Node { odd_labels: vec![key.into()], ..node("n2", "") };
        store.apply(now(odd));
        assert_eq!(said(&store, "a"), says, "{shows}");
        store.apply(now(node("n2", "rack=r1")));
        assert_eq!(said(&store, "a"), "x y", "{shows}: once it can be read");
        store.apply(now(Node { odd_labels: vec![key.into()], ..node("n2", "") }));
        let still = if says == "x" { "x" } else { "x y" };
        assert_eq!(said(&store, "a"), still, "{shows}: the last labels hold");
    }
}

#[test]
fn an_own_node_that_was_never_read_is_waited_for_and_no_misspelt_name() {
    let mut store = store([with_topology("a", POOL).into(), slice("a-1", "x@n1").into()]);
    assert!(store.is_nowhere());
    store.apply(unread_node("n1"));
    assert!(!store.is_nowhere() && !store.is_ready());
    assert_eq!(said(&store, "a"), "keep");
    store.apply(now(node("n1", "pool=p1")));
    store.apply(unread_node("n1"));
    assert_eq!(said(&store, "a"), "x", "its last good state holds");
    assert!(store.is_ready() && store.known() == Known::All);
}

#[test]
fn a_service_is_absent_only_where_that_is_known() {
    let name = |name: &str| ObjectName::new("default", name);
    let mut store = unsynced([service("a").into()]);
    assert!(!store.is_absent(&name("s")), "nothing is known yet");
    for kind in Kind::ALL {
        store.apply(Change::Synced(kind));
    }
    assert!(store.is_absent(&name("s")) && !store.is_absent(&name("a")));
    for (shows, unread, then) in [
        ("unread", unread_service("s"), gone(service("s"))),
        ("in a part that was never read", Change::Incomplete, Change::Complete),
    ] {
        store.apply(unread);
        assert!(!store.is_absent(&name("s")) && store.keeps(&name("s")), "{shows}");
        assert_eq!(store.known(), Known::Part, "{shows}");
        store.apply(then);
        assert!(store.is_absent(&name("s")) && !store.keeps(&name("s")), "{shows}");
        assert_eq!(store.known(), Known::All, "{shows}");
    }
}

#[test]
fn what_the_kernel_holds_is_looked_at_again_once_the_source_is_complete() {
    let mut store = site();
    assert!(!store.take_sweep());
    store.apply(Change::Complete);
    assert!(!store.take_sweep(), "it was");
    store.apply(Change::Incomplete);
    store.take_sweep();
    store.apply(Change::Complete);
    assert!(store.take_sweep());
    assert!(!store.take_sweep(), "asked once");
}

#[test]
fn a_service_that_is_refused_whatever_there_is_waits_for_nothing() {
    let rules = Rules { on_invalid: OnInvalid::Refuse, ..Rules::default() };
    let mut store = Store::new("n1", rules);
    store.apply(now(with_topology("a", "rack")));
    store.apply(unread_slice("a-1", of("a")));
    assert_eq!(said(&store, "a"), "refuse");
}

#[test]
fn what_is_unknown_is_named() {
    let mut store = site();
    store.apply(now(slice("a-1", "x@n1 y@n3")));
    let unknown = |store: &Store, name: &str| {
        let ports = store.ports(&ObjectName::new("default", name));
        ports.iter().find_map(|port| match &port.disposition {
            Disposition::Keep { unknown, .. } => Some(unknown.clone()),
            Disposition::Serve(_) | Disposition::Leave(_) => None,
        })
    };
    assert_eq!(unknown(&store, "a"), None);
    store.apply(unread_node("n3"));
    assert_eq!(unknown(&store, "a"), Some(Unknown::Node("n3".into())));
    store.apply(unread_slice("a-2", of("a")));
    assert_eq!(unknown(&store, "a"), Some(Unknown::Slice(ObjectName::new("default", "a-2"))));
    store.apply(Change::Incomplete);
    assert_eq!(unknown(&store, "e"), Some(Unknown::AnySlice));
}

/// Where lists may not name everything, a deletion is certain all the same: an unread part may hold what went.
#[test]
fn what_was_deleted_is_gone_though_lists_do_not_name_everything() {
    for (change, before, after) in [(Change::Unlisted, true, false), (Change::Incomplete, true, true)] {
        let mut store = site();
        store.apply(change.clone());
        dirty(&mut store);
        let s = ObjectName::new("default", "s");
        assert_eq!(store.keeps(&s), before, "{change:?}: never named");
        store.apply(gone(service("s")));
        assert_eq!(store.keeps(&s), after, "{change:?}: deleted");
        store.apply(gone(slice("a-1", "")));
        store.apply(gone(slice("a-2", "")));
        let of_a = if after { "keep" } else { "refuse" };
        assert!(said(&store, "a").starts_with(of_a), "{change:?}: {}", said(&store, "a"));
        store.apply(now(service("s")));
        store.apply(gone(service("s")));
        assert_eq!(store.keeps(&s), after, "{change:?}: deleted again");
    }
}
