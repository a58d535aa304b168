//! Why connections go where they go, in the words that are shown.

use crate::convert::Interner;
use crate::manifest::read;
use crate::model::{Change, Dialect, Kind, NamespaceTopology, SliceOwner, Unread};
use crate::store::Rules;

use super::super::held::{HeldState, beside};
use super::super::kernel::{KernelView, ServiceView};
use super::*;

const CLUSTER: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {apps.openyurt.io/nodepool: p1, rack: r1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {apps.openyurt.io/nodepool: p2}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {openyurt.io/topologyKeys: "kubernetes.io/hostname, openyurt.io/nodepool, *"}},
 spec: {clusterIP: 10.0.0.1, externalIPs: [203.0.113.7], ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 443}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: strict, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}},
 spec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: odd, annotations: {openyurt.io/topologyKeys: nonsense}},
 spec: {clusterIP: 10.0.0.3, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: none}, spec: {clusterIP: None, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}},
 addressType: IPv4, ports: [{name: a, port: 8080}], endpoints: [{addresses: [10.1.0.2], nodeName: n2}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-2, labels: {kubernetes.io/service-name: web}},
 addressType: FQDN, ports: [{name: a, port: 8080}], endpoints: [{addresses: [example.org]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: strict-1, labels: {kubernetes.io/service-name: strict}},
 addressType: IPv4, ports: [{port: 8080}], endpoints: [{addresses: [10.1.0.2], nodeName: n2}]}
"#;

fn cluster() -> Store {
    cluster_of(CLUSTER, Rules::default())
}

fn cluster_of(text: &str, rules: Rules) -> Store {
    let mut store = Store::new("n1", rules);
    let objects = read(text, &mut Interner::default()).objects;
    let objects = objects.into_iter().map(|defined| Change::Apply(defined.object));
    objects.chain(Kind::ALL.map(Change::Synced)).for_each(|change| store.apply(change));
    store.set_host([("192.0.2.1".parse().unwrap(), "eth0".into())].into_iter().collect());
    store
}

fn explained(asked: &str) -> Explanation {
    explain(&Published::first(&cluster(), "file:/x", std::time::Instant::now()), asked).unwrap()
}

#[test]
fn a_topology_is_shown_as_written_as_understood_and_how_far_it_goes() {
    for (service, means, reaches) in [
        (
            "web:a",
            "the first of these that has an endpoint to use: this node, this node's pool, any node",
            "all nodes",
        ),
        ("strict", "this node's pool and no other", "pool p1"),
        ("odd", "not understood, so all nodes: ", "all nodes"),
    ] {
        let found = explained(service);
        assert!(found.topology.means.starts_with(means), "{service}: {}", found.topology.means);
        assert_eq!(found.topology.origin, Some(Origin::Annotation), "{service}");
        assert_eq!(found.ports[0].level.as_deref(), Some(reaches), "{service}");
    }
    assert_eq!(explained("none").ignored.as_deref(), Some("headless"));
}

#[test]
fn a_topology_of_another_project_is_shown_with_its_annotation() {
    let object = |annotations: &str| {
        format!(
            "{CLUSTER}---\n{{apiVersion: v1, kind: Service, metadata: {{name: s, annotations: {{{annotations}}}}}, \
                 spec: {{clusterIP: 10.0.0.9, ports: [{{port: 80}}]}}}}"
        )
    };
    let rules = || Rules { dialects: [Dialect::KubeEdge, Dialect::SuperEdge].into(), ..Rules::default() };
    for (annotations, written, annotation, means, reaches) in [
        (
            "apps.kubeedge.io/service-topology: range-nodegroup",
            "range-nodegroup",
            "apps.kubeedge.io/service-topology",
            "this node's node group and no other",
            "nodes in no node group",
        ),
        (
            "topologyKeys: '[\"rack\", \"row\"]'",
            "[\"rack\", \"row\"]",
            "topologyKeys",
            "nodes with this node's rack, or nodes with this node's row and no other",
            "nodes with rack=r1",
        ),
        (
            "topologyKeys: rack",
            "rack",
            "topologyKeys",
            "not understood, so all nodes: \"rack\" is not a JSON list of node label keys",
            "all nodes",
        ),
    ] {
        let store = cluster_of(&object(annotations), rules());
        let found = explain(&Published::first(&store, "file:/x", std::time::Instant::now()), "s").unwrap();
        let expected = TopologyView {
            written: Some(written.to_owned()),
            origin: Some(Origin::Annotation),
            annotation: Some(annotation.to_owned()),
            means: means.to_owned(),
        };
        assert_eq!((found.topology, found.ports[0].level.as_deref()), (expected, Some(reaches)));
    }
}

#[test]
fn a_topology_of_its_namespace_is_shown_as_one() {
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: default, annotations: {edgeloop.io/topology: kubernetes.io/hostname}}}";
    let plain = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.0.0.9, ports: [{port: 80}]}}";
    let rules = Rules { namespace_topology: NamespaceTopology::On, ..Rules::default() };
    let mut store = cluster_of(&format!("{CLUSTER}---\n{plain}\n---\n{namespace}"), rules.clone());
    let found = |store: &Store, service: &str| {
        explain(&Published::first(store, "file:/x", std::time::Instant::now()), service).unwrap()
    };
    let heir = found(&store, "s");
    assert_eq!(
        (heir.topology.written.as_deref(), heir.topology.origin),
        (Some("kubernetes.io/hostname"), Some(Origin::Namespace))
    );
    assert_eq!(
        (heir.topology.means.as_str(), heir.ports[0].level.as_deref()),
        ("this node and no other", Some("this node"))
    );
    assert_eq!(found(&store, "strict").topology.origin, Some(Origin::Annotation));

    store = Store::new("n1", rules);
    let objects = read(plain, &mut Interner::default()).objects;
    let objects = objects.into_iter().map(|defined| Change::Apply(defined.object));
    objects.chain(Kind::DECIDING.map(Change::Synced)).for_each(|change| store.apply(change));
    let waits = found(&store, "s");
    assert_eq!((waits.topology.origin, waits.ports[0].outcome), (None, Action::Wait));
    assert_eq!(
        waits.ports[0].why.as_deref(),
        Some("its Namespace default was never read, and may give it a topology")
    );
}

#[test]
fn a_service_is_found_by_each_way_that_it_is_dialled() {
    for (asked, ports) in [
        ("web", "a b"),
        ("default/web", "a b"),
        ("web:a", "a"),
        ("web:443", "b"),
        ("web:30080", "a"),
        ("10.0.0.1", "a b"),
        ("::ffff:10.0.0.1", "a b"),
        ("[::ffff:10.0.0.1]:443", "b"),
        ("10.0.0.1:443", "b"),
        ("203.0.113.7:80", "a"),
        ("192.0.2.1:30080", "a"),
    ] {
        let found = explained(asked);
        let names: Vec<&str> = found.ports.iter().map(|port| port.port_name.as_str()).collect();
        assert_eq!((found.service.as_str(), names.join(" ").as_str()), ("web", ports), "{asked}");
    }
}

/// What the kernel holds for it stays, though something else would be written anew.
#[test]
fn what_waits_for_a_slice_keeps_what_the_kernel_holds() {
    let mut store = cluster();
    let (name, owner) = (ObjectName::new("default", "strict-2"), SliceOwner::Service("strict".into()));
    store.apply(Change::Unread(Unread::Slice { name, owner }));
    let published = Published::first(&store, "file:/x", std::time::Instant::now());
    let mut found = explain(&published, "strict").unwrap();
    assert!(found.ports[0].kept && found.ports[0].outcome == Action::Refuse, "{found:?}");
    let element = ServiceView {
        namespace: "default".to_owned(),
        service: "strict".to_owned(),
        port_name: String::new(),
        protocol: "TCP".to_owned(),
        address: "10.0.0.2:80".to_owned(),
        id: 1,
        revision: 1,
        topology: true,
        outcome: "forward".to_owned(),
        backends: vec!["10.1.0.9:8080".to_owned()],
    };
    beside(&mut found, &KernelView { services: vec![element], ..KernelView::default() });
    assert_eq!(found.ports[0].kernel.as_ref().unwrap().state, HeldState::Kept);
    assert!(!explained("strict").ports[0].kept);
}

#[test]
fn what_belongs_to_no_service_is_not_explained_as_one() {
    let published = Published::first(&cluster(), "file:/x", std::time::Instant::now());
    for asked in ["198.51.100.1:30080", "127.0.0.1:30080", "10.0.0.1:81", "192.0.2.1:80", "10.0.0.9"] {
        let why = explain(&published, asked).unwrap_err();
        assert!(why.contains("belongs to no Service"), "{asked}: {why}");
    }
}

#[test]
fn each_port_has_its_endpoints_and_each_refusal_its_reason() {
    let found = explained("web");
    assert_eq!(found.ports[0].endpoints.len(), 1);
    assert!(found.ports[0].endpoints[0].used);
    assert_eq!(found.ports[1].outcome, Action::Refuse);
    assert!(found.ports[1].why.as_deref().unwrap().contains("FQDN"), "{:?}", found.ports[1].why);
    let slices: Vec<_> =
        found.slices.iter().map(|slice| (slice.name.as_str(), slice.ignored.is_some())).collect();
    assert_eq!(slices, [("web-1", false), ("web-2", true)]);

    let strict = &explained("strict").ports[0];
    assert_eq!((strict.outcome, strict.endpoints[0].used), (Action::Refuse, false));
    assert_eq!(strict.endpoints[0].why.as_deref(), Some("node n2 is in pool p2"));
}
