//! The annotations of other projects: which one counts, and which nodes touch it.

use std::collections::BTreeSet;

use super::super::Origin;
use super::*;
use crate::model::{Dialect, Foreign};

const BOTH: &[Dialect] = &[Dialect::KubeEdge, Dialect::SuperEdge];
const RANGE: &str = "range-nodegroup";
const ZONES: &str = r#"["topology.kubernetes.io/zone"]"#;
const HOSTS: &str = r#"["kubernetes.io/hostname"]"#;

fn store_of(dialects: &[Dialect], objects: impl IntoIterator<Item = Object>) -> Store {
    let dialects = dialects.iter().copied().collect();
    let topologies = [(ObjectName::new("default", "f"), HOST.into())].into();
    let mut store = Store::new("n1", Rules { dialects, topologies, ..Rules::default() });
    objects.into_iter().for_each(|object| store.apply(Change::Apply(object)));
    Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    store.take_dirty();
    store
}

/// Annotated for OpenYurt, KubeEdge and SuperEdge; "-" is not annotated.
fn annotated(name: &str, openyurt: &str, kubeedge: &str, superedge: &str) -> Service {
    let text = |text: &str| (text != "-").then(|| text.into());
    let foreign = Foreign { kubeedge: text(kubeedge), superedge: text(superedge) };
    Service { topology: text(openyurt), foreign: Some(Box::new(foreign)), ..service(name) }
}

/// `x` is on this node, `y` in its pool, `z` in its node group, `u` in its zone.
fn site() -> Vec<Object> {
    let endpoints = "x@n1 y@n2 z@n3 u@n4";
    vec![
        slice("a-1", endpoints).into(),
        slice("f-1", endpoints).into(),
        node("n1", "pool=p1 group=g1 zone=z1").into(),
        node("n2", "pool=p1").into(),
        node("n3", "group=g1").into(),
        node("n4", "zone=z1").into(),
    ]
}

/// What is decided about `service`, who says so, and the annotations that ask for something else.
fn judged(dialects: &[Dialect], service: Service) -> [String; 3] {
    let name = service.name.clone();
    let store = store_of(dialects, site().into_iter().chain([service.into()]));
    let (service, _) = store.service(&name).unwrap();
    let names: BTreeSet<String> = said(&store, &name.name).split(' ').map(str::to_owned).collect();
    let by = match store.written(service).map(|written| written.origin) {
        Some(Origin::Annotation(dialect)) => format!("{dialect:?}"),
        Some(Origin::Flag) => "flag".to_owned(),
        Some(Origin::Namespace) => "namespace".to_owned(),
        None => String::new(),
    };
    let others = store.differing(service).into_iter().map(|two| format!("{:?}", two.other.0));
    [names.into_iter().collect::<Vec<_>>().join(" "), by, others.collect::<Vec<_>>().join(" ")]
}

#[test]
fn the_first_annotation_that_is_there_and_asked_for_counts() {
    const SUPER: &[Dialect] = &[Dialect::SuperEdge];
    let all = annotated("a", POOL, RANGE, ZONES);
    let two = annotated("a", "-", RANGE, ZONES);
    for (shows, dialects, service, judgement) in [
        ("none is asked for", &[][..], two.clone(), ["u x y z", "", ""]),
        ("KubeEdge's", BOTH, annotated("a", "-", RANGE, "-"), ["x z", "KubeEdge", ""]),
        ("SuperEdge's", BOTH, annotated("a", "-", "-", ZONES), ["u x", "SuperEdge", ""]),
        ("OpenYurt's goes first", BOTH, all.clone(), ["x y", "OpenYurt", "KubeEdge SuperEdge"]),
        ("then KubeEdge's", BOTH, two, ["x z", "KubeEdge", "SuperEdge"]),
        ("an empty one is as none", BOTH, annotated("a", "", "", ZONES), ["u x", "SuperEdge", ""]),
        ("only what is asked for differs", SUPER, all, ["x y", "OpenYurt", "SuperEdge"]),
        ("the same in other words", BOTH, annotated("a", HOST, "-", HOSTS), ["x", "OpenYurt", ""]),
        ("not understood", BOTH, annotated("a", "-", "range", "-"), ["u x y z", "KubeEdge", ""]),
        ("nor passed over", BOTH, annotated("a", "-", "range", ZONES), ["u x y z", "KubeEdge", "SuperEdge"]),
        ("an empty list", BOTH, annotated("a", "-", "-", "[]"), ["u x y z", "SuperEdge", ""]),
        ("before the flag", BOTH, annotated("f", "-", RANGE, "-"), ["x z", "KubeEdge", ""]),
        ("the flag, as it is not asked for", &[], annotated("f", "-", RANGE, "-"), ["x", "flag", ""]),
    ] {
        assert_eq!(judged(dialects, service), judgement, "{shows}");
    }
}

#[test]
fn a_node_touches_those_whose_dialect_reads_its_labels() {
    let group = annotated("a", "-", RANGE, "-");
    let hosts = annotated("f", "-", "-", r#"["kubernetes.io/hostname","example.com/rack"]"#);
    let endpoints = "x@n1 y@n2";
    let objects = [
        group.into(),
        hosts.into(),
        slice("a-1", endpoints).into(),
        slice("f-1", endpoints).into(),
        node("n1", "group=g1").into(),
        node("n2", "group=g1").into(),
    ];
    let mut store = store_of(BOTH, objects);
    assert_eq!((said(&store, "a").as_str(), said(&store, "f").as_str()), ("x y", "x"));
    for (shows, change, touches, of_group, of_hosts) in [
        ("another group", now(node("n2", "group=g2")), "a", "x", "x"),
        ("none", now(node("n2", "")), "a", "x", "x"),
        ("as this node", now(node("n1", "")), "a", "x y", "x"),
        ("a node that goes is unknown, and not one without a label", gone(node("n2", "")), "a f", "x", "x"),
        ("and one that comes", now(node("n2", "")), "a f", "x y", "x"),
        ("a label that says another name", now(node("n2", "hostname=n1")), "f", "x y", "x y"),
        ("a label of the list", now(node("n2", "rack=r1")), "f", "x y", "x"),
        ("and of this node", now(node("n1", "rack=r1")), "f", "x y", "x y"),
    ] {
        assert_eq!(touched(&mut store, change), touches, "{shows}");
        assert_eq!((said(&store, "a").as_str(), said(&store, "f").as_str()), (of_group, of_hosts), "{shows}");
    }
}

#[test]
fn it_waits_until_this_nodes_labels_are_known() {
    for service in
        [annotated("a", "-", RANGE, "-"), annotated("a", "-", "-", r#"["kubernetes.io/hostname"]"#)]
    {
        let rules = Rules { dialects: BOTH.iter().copied().collect(), ..Rules::default() };
        let mut store = Store::new("n1", rules);
        for object in [service.into(), Object::from(slice("a-1", "x@n1"))] {
            store.apply(Change::Apply(object));
        }
        [Kind::Service, Kind::EndpointSlice].into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
        assert_eq!((said(&store, "a").as_str(), store.is_ready()), ("keep", false));
        store.apply(now(node("n1", "")));
        store.apply(Change::Synced(Kind::Node));
        assert_eq!((said(&store, "a").as_str(), store.is_ready()), ("x", true));
    }
}
