//! One table for both live sources: what a file says and what an API server says is the same.

use serde_json::{Value, json};

use crate::convert::Interner;
use crate::manifest::read;
use crate::model::{Change, Kind, Object, ObjectKey, ObjectName};
use crate::source::file::{FileId, Folder, Seen};
use crate::source::kube::head::Naming;
use crate::source::kube::tracker::Tracker;
use crate::store::{Rules, Store};

/// An object as it is written, its kind, and how many parts of it cannot be used.
fn cases() -> Vec<(&'static str, Kind, Value, usize)> {
    vec![
        (
            "a Service with everything",
            Kind::Service,
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "s", "namespace": "shop", "creationTimestamp": "2026-01-02T03:04:05Z",
                    "labels": {"a": "b"}, "annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"},
                    "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
                "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "type": "LoadBalancer",
                    "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080}],
                    "sessionAffinity": "ClientIP", "selector": {"app": "s"}, "internalTrafficPolicy": "Local"},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}),
            0,
        ),
        (
            "a headless Service in no namespace",
            Kind::Service,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "None"}}),
            0,
        ),
        (
            "a Service with an address and a port that cannot be used",
            Kind::Service,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "labels": null},
                "spec": {"clusterIPs": ["ten"], "ports": [{"port": 0}]}}),
            2,
        ),
        (
            "a slice",
            Kind::EndpointSlice,
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
                "ports": [{"name": "http", "port": 8080}, {"port": null}],
                "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "n1", "conditions": {"ready": null},
                    "hints": {"forZones": [{"name": "z"}]}}, {"addresses": ["fd00::1"]}]}),
            1,
        ),
        (
            "a slice of nothing",
            Kind::EndpointSlice,
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6",
                "metadata": {"name": "s-1"}, "endpoints": null, "ports": null}),
            0,
        ),
        (
            "a Node",
            Kind::Node,
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"a": "b", "c": ""}},
                "status": {"images": [{"names": ["x"]}]}}),
            0,
        ),
    ]
}

#[test]
fn both_live_sources_read_an_object_alike() {
    for (shows, kind, written, odd) in cases() {
        let text = written.to_string();
        let manifest = read(&text, &mut Interner::default());
        let of_file: Vec<Object> = manifest.objects.into_iter().map(|defined| defined.object).collect();

        let mut track = Tracker::new(kind);
        track.item(text.as_bytes(), Naming::ByItem).unwrap();
        let changes = track.take_changes();
        let expected: Vec<Change> = of_file.iter().cloned().map(Change::Apply).collect();
        assert_eq!(changes, expected, "{shows}");

        let problems = track.take_problems().unwrap_or_default();
        let said: Vec<String> = problems.iter().map(|(object, why)| format!("{object}: {why}")).collect();
        let of_file: Vec<String> =
            manifest.left_out.into_iter().map(|part| format!("{}: {}", part.object, part.why)).collect();
        assert_eq!((said.len(), &said), (odd, &of_file), "{shows}");
        assert!(problems.iter().all(|(object, _)| *object == expected_key(&expected)), "{shows}");
    }
}

fn expected_key(changes: &[Change]) -> ObjectKey {
    let Change::Apply(object) = &changes[0] else { panic!("{changes:?}") };
    object.key()
}

/// Services `a` and `b` can be read, each with a slice and a topology that reads labels, and `e` with
/// neither; `s` and `t` are not there. One object more cannot be read: which of them are kept?
#[test]
fn what_hangs_on_an_unread_object_is_kept_whichever_the_source() {
    let slice = |labels: Value| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "unread", "labels": labels}, "endpoints": 5})
    };
    let of = |service: &str| slice(json!({"kubernetes.io/service-name": service}));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": 5});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2", "labels": 5}});
    for (shows, kind, unread, expected) in [
        ("a Service", Kind::Service, service, "s"),
        ("a slice next to another one", Kind::EndpointSlice, of("a"), "a"),
        ("the only slice", Kind::EndpointSlice, of("e"), "e"),
        ("a slice of none", Kind::EndpointSlice, slice(json!({})), ""),
        ("a slice of an unknown one", Kind::EndpointSlice, slice(json!(5)), "e"),
        ("the Node of an endpoint", Kind::Node, node, "b"),
    ] {
        let text = unread.to_string();
        let mut track = Tracker::new(kind);
        track.item(text.as_bytes(), Naming::ByItem).unwrap();
        assert_eq!(kept(track.take_changes()), expected, "{shows}, from an API server");

        let mut folder = Folder::new(vec!["conf".into()]);
        let file = FileId { folder: 0, name: "unread.json".into() };
        let changes = folder.take(vec![(file, Seen::Text(text))]);
        assert_eq!((folder.report().unknown, folder.report().problems().len()), (0, 1), "{shows}");
        assert_eq!(kept(changes), expected, "{shows}, from a file");
    }
}

fn kept(changes: Vec<Change>) -> String {
    let readable = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
            "metadata": {"name": "a", "annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "e"},
            "spec": {"clusterIP": "10.0.0.2", "ports": [{"port": 80}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "a-1", "labels": {"kubernetes.io/service-name": "a"}},
            "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "n1"}]},
        {"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.0.0.3", "ports": [{"port": 80}]},
            "metadata": {"name": "b", "annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"}}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "b-1", "labels": {"kubernetes.io/service-name": "b"}},
            "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.1.0.2"], "nodeName": "n2"}]},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}]}"#;
    let mut store = Store::new("n1", Rules::default());
    for defined in read(readable, &mut Interner::default()).objects {
        store.apply(Change::Apply(defined.object));
    }
    for change in changes.into_iter().chain(Kind::ALL.map(Change::Synced)) {
        store.apply(change);
    }
    let names = ["a", "b", "e", "s", "t"].into_iter();
    names.filter(|name| store.keeps(&ObjectName::new("default", name))).collect::<Vec<_>>().join(" ")
}
