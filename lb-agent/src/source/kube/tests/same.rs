//! One table for both live sources: what a file says and what an API server says is the same.

use serde_json::{Value, json};

use crate::convert::Interner;
use crate::manifest::{Format, read};
use crate::model::{Change, Kind, Object};
use crate::source::kube::tracker::Tracker;

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
            "a Service with an address and a port that are none",
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
        let manifest = read(&text, Format::Json, &mut Interner::default()).unwrap();
        let of_file: Vec<Object> = manifest.objects.into_iter().map(|defined| defined.object).collect();

        let mut track = Tracker::new(kind);
        track.now(text.as_bytes()).unwrap();
        let changes = track.take_changes();
        let expected: Vec<Change> = of_file.iter().cloned().map(Change::Apply).collect();
        assert_eq!(changes, expected, "{shows}");

        let problems = track.take_news().unwrap_or_default();
        let said: Vec<String> = problems.iter().map(|(object, why)| format!("{object}: {why}")).collect();
        let of_file: Vec<String> = manifest.oddities.into_iter().map(|oddity| oddity.text).collect();
        assert_eq!((said.len(), &said), (odd, &of_file), "{shows}");
        assert!(problems.iter().all(|(object, _)| *object == expected_key(&expected)), "{shows}");
    }
}

fn expected_key(changes: &[Change]) -> crate::model::ObjectKey {
    match &changes[0] {
        Change::Apply(object) => object.key(),
        Change::Delete(key) => key.clone(),
        Change::Synced(kind) => panic!("{} alone", kind.label()),
    }
}
