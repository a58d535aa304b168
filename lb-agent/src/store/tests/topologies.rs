//! Topologies by flag.

use super::super::Effect;
use super::*;

/// `a` has a flag, which admits this node's pool alone; `x` is in it, `y` is not.
fn flagged(keys: &str) -> Store {
    let topologies = [("a", keys), ("gone", "*")];
    let topologies = topologies.map(|(name, keys)| (ObjectName::new("default", name), keys.into())).into();
    Store::new("n1", Rules { topologies, ..Rules::default() })
}

fn synced(mut store: Store, objects: impl IntoIterator<Item = Object>) -> Store {
    objects.into_iter().for_each(|object| store.apply(Change::Apply(object)));
    Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    store.take_dirty();
    store
}

fn cast() -> [Object; 5] {
    [
        slice("a-1", "x@n1 y@n2").into(),
        service("b").into(),
        slice("b-1", "z@n2").into(),
        node("n1", "pool=p1").into(),
        node("n2", "pool=p2").into(),
    ]
}

#[test]
fn an_annotation_goes_first_and_an_empty_one_is_as_none() {
    for (shows, annotation, decided, effect) in [
        ("none", None, "x", Effect::Used),
        ("an empty one", Some(""), "x", Effect::Used),
        ("a wider one", Some("*"), "x y", Effect::Annotated),
        ("one that is not understood", Some("rack"), "x y", Effect::Annotated),
    ] {
        let service = Service { topology: annotation.map(Into::into), ..service("a") };
        let store = synced(flagged(POOL), cast().into_iter().chain([service.into()]));
        assert_eq!(said(&store, "a"), decided, "{shows}");
        assert_eq!(said(&store, "b"), "z", "{shows}: no other Service has it");
        let effects: Vec<Effect> = store.topologies_by_flag().map(|given| given.effect).collect();
        assert_eq!(effects, [effect, Effect::Absent], "{shows}");
    }
}

#[test]
fn it_holds_from_the_first_sight_of_its_service_and_follows_annotation_and_labels() {
    let mut store = synced(flagged(POOL), cast());
    assert_eq!(said(&store, "a"), "");
    assert_eq!(touched(&mut store, now(service("a"))), "a");
    assert_eq!(said(&store, "a"), "x");
    assert_eq!(touched(&mut store, now(with_topology("a", HOST))), "a");
    assert_eq!(touched(&mut store, now(node("n2", "pool=p1"))), "a b", "they count in another pool");
    assert_eq!(touched(&mut store, now(service("a"))), "a");
    assert_eq!(said(&store, "a"), "x y");
    assert_eq!(touched(&mut store, now(node("n2", "pool=p2"))), "a b");
    assert_eq!(said(&store, "a"), "x");
    store.apply(gone(service("a")));
    assert_eq!(store.topologies_by_flag().next().map(|given| given.effect), Some(Effect::Absent));
}

/// As with an annotation: a hard key is strict, and one that reads labels waits for them.
#[test]
fn it_is_as_strict_as_it_is_written_and_waits_for_labels() {
    let far = slice("a-1", "y@n2");
    let objects = || cast().into_iter().chain([service("a").into(), far.clone().into()]);
    assert_eq!(said(&synced(flagged(POOL), objects()), "a"), "refuse");
    assert_eq!(said(&synced(flagged("openyurt.io/nodepool, *"), objects()), "a"), "y");

    let mut waiting = flagged(POOL);
    assert_eq!(waiting.topologies_by_flag().next().map(|given| given.effect), Some(Effect::Unknown));
    for object in [service("a").into(), Object::from(far)] {
        waiting.apply(Change::Apply(object));
    }
    for kind in [Kind::Service, Kind::EndpointSlice] {
        waiting.apply(Change::Synced(kind));
    }
    assert_eq!((said(&waiting, "a").as_str(), waiting.is_ready()), ("keep", false));
}
