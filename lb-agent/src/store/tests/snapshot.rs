//! A store made again from its changes knows what the first one knew.

use super::*;
use crate::model::{Namespace, ObjectKey, Pod, PodState, SkipLabel, SliceOwner, Unread};

#[test]
fn a_store_made_from_the_changes_of_another_is_the_same() {
    let first = full();
    let again = made_of(&first);
    assert_eq!(again.changes(), first.changes());
    for (name, expected) in [("a", "w"), ("b", "refuse"), ("s", "keep, or refuse")] {
        assert_eq!((&*said(&again, name), &*said(&first, name)), (expected, expected), "{name}");
    }
    assert_eq!((again.known(), again.is_ready()), (first.known(), first.is_ready()));
    assert_eq!(again.skipped_pods(), first.skipped_pods());
    assert_eq!(again.skipped_pods().len(), 2);
    assert_eq!(again.nodes().own, first.nodes().own, "the last labels of a Node that is gone");
    let (sick, name) = (ObjectName::new("default", "s"), ObjectName::new("default", "u"));
    assert!(again.keeps(&sick), "a slice of it was never read");
    assert!(again.keeps(&name), "it was never read");
    assert_eq!(again.not_read(&ObjectName::new("default", "b")).len(), 1, "v1 Endpoints");
}

#[test]
fn a_copy_of_the_store_stays_as_it_was() {
    let mut first = full();
    let copy = first.copy();
    let before: Vec<String> = ["a", "b", "s"].map(|name| said(&copy, name)).to_vec();
    assert_eq!(before, ["a", "b", "s"].map(|name| said(&first, name)));

    first.apply(Change::Apply(Object::Slice(slice("a-1", "y@n1"))));
    first.apply(Change::Delete(ObjectKey { kind: Kind::Service, name: ObjectName::new("default", "b") }));
    first.apply(Change::Apply(Object::Node(node("n1", "pool=p2"))));

    assert_eq!(before, ["a", "b", "s"].map(|name| said(&copy, name)));
    assert_ne!(said(&first, "a"), before[0]);
    assert!(copy.dirty().is_empty() && !first.dirty().is_empty());
}

#[test]
fn what_was_not_shown_yet_is_not_shown_by_the_changes_either() {
    let mut first = Store::new("n1", Rules::default());
    first.apply(Change::Synced(Kind::Service));
    let mut again = made_of(&first);
    assert!(!again.is_synced());
    again.apply(Change::Synced(Kind::EndpointSlice));
    assert!(again.is_synced() && !again.has_synced(Kind::Node));
}

fn made_of(first: &Store) -> Store {
    let mut again = first.afresh();
    first.changes().into_iter().for_each(|change| again.apply(change));
    again
}

fn pod(name: &str, label: SkipLabel) -> Pod {
    let uid = Some(name.into());
    Pod { name: ObjectName::new("default", name), uid, node: None, label, state: PodState::Live }
}

/// Something of each kind of knowledge.
fn full() -> Store {
    let mut store = store([
        Object::Service(with_topology("a", POOL)),
        Object::Service(service("b")),
        Object::Service(with_topology("s", POOL)),
        Object::Slice(slice("a-1", "w@n1 x@n2")),
        Object::Node(node("n1", "pool=p1")),
        Object::Node(node("n2", "pool=p2")),
        Object::Pod(pod("p", SkipLabel::Skip)),
        Object::Pod(pod("q", SkipLabel::Absent)),
        Object::Namespace(Namespace { name: "default".into(), label: SkipLabel::Skip, topology: None }),
        Object::Namespace(Namespace {
            name: "other".into(),
            label: SkipLabel::Absent,
            topology: Some(POOL.into()),
        }),
    ]);
    store.apply(Change::Delete(ObjectKey::of_cluster(Kind::Node, &"n1".into())));
    store.apply(Change::Unread(Unread::Service(ObjectName::new("default", "u"))));
    store.apply(Change::Unread(Unread::Slice {
        name: ObjectName::new("default", "s-1"),
        owner: SliceOwner::Service("s".into()),
    }));
    store.apply(Change::Unread(Unread::Node("n3".into())));
    store.apply(Change::Unread(Unread::Pod(ObjectName::new("default", "r"))));
    store.apply(Change::Endpoints(ObjectName::new("default", "b")));
    store
}
