//! Each sentence about what an object is taken for, case by case.

mod services;
mod skips;

use serde_json::{Value, json};

use super::*;
use crate::model::{Conditions, Endpoint, Family, Node, Service, Skipped, Slice, Sources};

fn convert_service(written: Value) -> Converted<Service> {
    let object: written::Service = serde_json::from_value(written).unwrap();
    service(&object, &mut Interner::default()).unwrap()
}

/// A Service `default/s` with this spec.
fn with_spec(spec: Value) -> Converted<Service> {
    convert_service(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}))
}

/// A Service `default/s` with an ordinary spec.
fn with_metadata(metadata: Value) -> Service {
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80}]});
    convert_service(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})).object
}

fn convert_slice(mut written: Value) -> Converted<Slice> {
    let fields = written.as_object_mut().unwrap();
    fields.entry("apiVersion").or_insert(json!("discovery.k8s.io/v1"));
    fields.entry("kind").or_insert(json!("EndpointSlice"));
    fields.entry("metadata").or_insert(json!({"name": "s-1"}));
    fields.entry("addressType").or_insert(json!("IPv4"));
    let object: written::EndpointSlice = serde_json::from_value(written).unwrap();
    slice(&object, Version::V1, &mut Interner::default()).unwrap()
}

/// The only endpoint of a slice that is written so.
fn convert_endpoint(written: Value) -> Endpoint {
    let converted = convert_slice(json!({"endpoints": [written]}));
    assert_eq!(converted.problems, [""; 0]);
    converted.object.endpoints.into_iter().next().unwrap()
}

fn convert_node(metadata: Value) -> Node {
    let written = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata});
    let object: written::Node = serde_json::from_value(written).unwrap();
    node(&object, &mut Interner::default()).unwrap().object
}

fn words<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn null_lists_of_a_slice_are_empty() {
    for written in
        [json!({"endpoints": null, "ports": null}), json!({}), json!({"endpoints": [], "ports": []})]
    {
        let Converted { object, problems } = convert_slice(written);
        assert!(object.endpoints.is_empty() && object.ports.is_empty() && problems.is_empty());
    }
}

#[test]
fn nil_conditions_are_ready_serving_and_not_terminating() {
    let all = |ready, serving, terminating| Conditions { ready, serving, terminating };
    for (shows, conditions, expected) in [
        ("none", json!(null), all(true, true, false)),
        ("empty", json!({}), all(true, true, false)),
        ("null ones", json!({"ready": null, "serving": null, "terminating": null}), all(true, true, false)),
        ("not ready", json!({"ready": false}), all(false, true, false)),
        ("not serving", json!({"ready": false, "serving": false}), all(false, false, false)),
        ("draining", json!({"ready": false, "serving": true, "terminating": true}), all(false, true, true)),
    ] {
        let got = convert_endpoint(json!({"addresses": ["10.1.0.1"], "conditions": conditions})).conditions;
        assert_eq!(got, expected, "{shows}");
    }
}

#[test]
fn only_the_first_address_of_an_endpoint_counts() {
    let endpoint = convert_endpoint(json!({"addresses": ["10.1.0.1", "10.1.0.2", "nonsense"]}));
    assert_eq!(endpoint.address.to_string(), "10.1.0.1");
}

#[test]
fn an_endpoint_that_cannot_be_used_is_left_out_and_named() {
    let converted = convert_slice(json!({"endpoints": [
        {"addresses": ["10.1.0.1"]}, {"addresses": ["ten"]}, {"addresses": []}, {"addresses": null},
        {"addresses": ["fd00::1"]}, {"addresses": ["10.1.0.2"]}, {"addresses": ["127.0.0.1"]}, null,
    ]}));
    let kept: Vec<_> = converted.object.endpoints.iter().map(|endpoint| endpoint.address).collect();
    assert_eq!(words(&kept), "10.1.0.1 10.1.0.2");
    assert_eq!(
        converted.problems,
        [
            "endpoints[1].addresses[0]: \"ten\" is not an IP address; the endpoint is left out",
            "endpoints[2].addresses[0]: there is no address; the endpoint is left out",
            "endpoints[3].addresses[0]: there is no address; the endpoint is left out",
            "endpoints[4].addresses[0]: \"fd00::1\" is not of the slice's addressType; the endpoint is left out",
            "endpoints[6].addresses[0]: 127.0.0.1 is a loopback address: it means this host; the endpoint is left out",
            "endpoints[7].addresses[0]: there is no address; the endpoint is left out",
        ]
    );
    let named = json!({"name": "s-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "s"}});
    let converted = convert_slice(json!({"metadata": named, "endpoints": [{"addresses": ["::"]}]}));
    assert_eq!(
        converted.problems,
        [
            "endpoints[0].addresses[0]: :: is unspecified: it means this host; the endpoint of Service shop/s is left out"
        ]
    );
}

#[test]
fn the_node_of_an_endpoint_is_where_its_version_of_the_slice_has_it() {
    let by_label = json!({"topology": {"kubernetes.io/hostname": "n2", "topology.kubernetes.io/zone": "z"}});
    let both = json!({"nodeName": "n1", "topology": {"kubernetes.io/hostname": "n2"}});
    for (shows, endpoint, v1, v1beta1) in [
        ("nodeName", json!({"nodeName": "n1"}), Some("n1"), Some("n1")),
        ("the label", by_label, None, Some("n2")),
        ("both", both, Some("n1"), Some("n1")),
        ("an empty name", json!({"nodeName": ""}), None, None),
        ("no such label", json!({"topology": {"a": "b"}}), None, None),
        ("null", json!({"nodeName": null, "topology": null}), None, None),
        ("a label of null", json!({"topology": {"kubernetes.io/hostname": null}}), None, None),
    ] {
        for (version, expected) in [(Version::V1, v1), (Version::V1beta1, v1beta1)] {
            let mut endpoint = endpoint.clone();
            endpoint["addresses"] = json!(["10.1.0.1"]);
            let written =
                json!({"metadata": {"name": "s-1"}, "addressType": "IPv4", "endpoints": [endpoint]});
            let read: written::EndpointSlice = serde_json::from_value(written).unwrap();
            let slice = slice(&read, version, &mut Interner::default()).unwrap().object;
            assert_eq!(slice.endpoints[0].node.as_deref(), expected, "{shows}, {version:?}");
        }
    }
}

/// What is read and is no text costs the object; what is not read does not matter.
#[test]
fn only_labels_and_annotations_that_are_read_have_to_be_texts() {
    const NAME: &str = "kubernetes.io/service-name";
    const POOL: &str = "apps.openyurt.io/nodepool";
    const KEYS: &str = "openyurt.io/topologyKeys";
    const PROXY: &str = "service.kubernetes.io/service-proxy-name";
    let wrong = |place: &str, key: &str| Some(format!("metadata.{place}[\"{key}\"]: is not a text"));
    for odd in [json!(5), json!(true), json!(1.5), json!(["a"]), json!({"a": ["b"]})] {
        for (kind, place, key, expected) in [
            (Kind::Service, "labels", "a", None),
            (Kind::Service, "annotations", "a", None),
            (Kind::Service, "annotations", KEYS, wrong("annotations", KEYS)),
            (Kind::Service, "annotations", "topologyKeys", None),
            (Kind::Service, "labels", PROXY, wrong("labels", PROXY)),
            (Kind::Service, "labels", NAME, None),
            (Kind::EndpointSlice, "labels", "a", None),
            (Kind::EndpointSlice, "annotations", KEYS, None),
            (Kind::EndpointSlice, "labels", PROXY, None),
            (Kind::EndpointSlice, "labels", NAME, wrong("labels", NAME)),
            (Kind::EndpointSlice, "labels", "service.kubernetes.io/headless", None),
            (Kind::Node, "labels", "a", None),
            (Kind::Node, "annotations", POOL, None),
            (Kind::Node, "labels", POOL, wrong("labels", POOL)),
            (
                Kind::Node,
                "labels",
                "apps.kubeedge.io/belonging-to",
                wrong("labels", "apps.kubeedge.io/belonging-to"),
            ),
            (
                Kind::Node,
                "labels",
                "topology.kubernetes.io/zone",
                wrong("labels", "topology.kubernetes.io/zone"),
            ),
        ] {
            let metadata = json!({"name": "s", place: {key: odd}});
            let object =
                json!({"metadata": metadata, "spec": {"clusterIP": "10.0.0.1"}, "addressType": "IPv4"});
            let why = reads(kind, object).err().map(|why| why.to_string());
            assert_eq!(why, expected, "{kind:?} {place} {key}: {odd}");
        }
    }
}

fn reads(kind: Kind, object: Value) -> Result<(), Unusable> {
    let mut names = Interner::default();
    match kind {
        Kind::Service => service(&serde_json::from_value(object).unwrap(), &mut names).map(drop),
        Kind::EndpointSlice => {
            slice(&serde_json::from_value(object).unwrap(), Version::V1, &mut names).map(drop)
        }
        Kind::Node => node(&serde_json::from_value(object).unwrap(), &mut names).map(drop),
        Kind::Pod => pod(&serde_json::from_value(object).unwrap(), &mut names).map(drop),
        Kind::Namespace => namespace(&serde_json::from_value(object).unwrap(), &mut names).map(drop),
    }
}

#[test]
fn null_is_the_zero_of_its_type() {
    let service = convert_service(json!({"metadata": {"name": "s", "labels": {"a": null},
            "annotations": {"openyurt.io/topologyKeys": null}, "uid": null},
        "spec": {"clusterIPs": ["10.0.0.1", null], "ports": [null, {"port": 80, "name": null}]}}));
    assert_eq!(service.object.topology.as_deref(), Some(""));
    assert_eq!(words(&service.object.addresses), "10.0.0.1");
    assert_eq!(service.problems, ["spec.ports[0].port: 0 is not a port number; the port is left out"]);
    let labels = json!({"kubernetes.io/service-name": null, "a": null});
    let slice = convert_slice(json!({"metadata": {"name": "s-1", "labels": labels}, "ports": [null],
        "endpoints": [{"addresses": [null], "hints": {"forZones": [null]}}]}));
    assert_eq!((slice.object.service, slice.object.ports.len()), (None, 0));
    assert_eq!(
        slice.problems,
        ["endpoints[0].addresses[0]: \"\" is not an IP address; the endpoint is left out"]
    );
    assert!(convert_node(json!({"name": "n1", "labels": {"a": null}})).labels.is_empty());
}

#[test]
fn a_label_of_a_node_that_is_no_text_is_left_out_and_named() {
    let metadata = json!({"name": "n1", "labels": {"commit": 5, "rack": "r1"}});
    let read: written::Node = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    let Converted { object, problems } = node(&read, &mut Interner::default()).unwrap();
    assert_eq!(object.labels.keys().map(|key| &**key).collect::<Vec<_>>(), ["rack"]);
    assert_eq!(object.odd_labels, ["commit".into()]);
    let says = "metadata.labels[\"commit\"]: is not a text; the label is left out, and the Node is not read where --pool-label or --topology-label names it";
    assert_eq!(problems, [says]);
}

#[test]
fn nodes_and_hints_are_kept_and_absent_ones_are_none() {
    for (shows, written, expected) in [
        ("nothing", json!({}), (None, None)),
        ("null", json!({"nodeName": null, "hints": null}), (None, None)),
        ("empty", json!({"nodeName": "", "hints": {}}), (None, None)),
        ("empty lists", json!({"hints": {"forZones": [], "forNodes": null}}), (None, None)),
        ("a node", json!({"nodeName": "n1"}), (Some("n1"), None)),
        ("zones", json!({"hints": {"forZones": [{"name": "a"}, {"name": "b"}]}}), (None, Some("a b|"))),
        ("nodes", json!({"hints": {"forNodes": [{"name": "n1"}]}}), (None, Some("|n1"))),
    ] {
        let mut written = written;
        written["addresses"] = json!(["10.1.0.1"]);
        let endpoint = convert_endpoint(written);
        let hints = endpoint.hints.map(|hints| format!("{}|{}", words(&hints.zones), words(&hints.nodes)));
        assert_eq!((endpoint.node.as_deref(), hints.as_deref()), expected, "{shows}");
    }
}

#[test]
fn slice_ports_without_a_number_are_left_out_and_unusable_ones_named() {
    let converted = convert_slice(json!({"ports": [
        {"port": 9376}, {"name": null, "port": 1, "protocol": ""}, {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "none", "port": null}, {"name": "absent"}, {"name": "odd", "port": 8, "protocol": "QUIC"},
        {"name": "big", "port": 70000},
    ]}));
    let ports = converted.object.ports.iter();
    let ports: Vec<_> =
        ports.map(|port| format!("{}/{}/{}", port.name, port.protocol.label(), port.port)).collect();
    assert_eq!(words(&ports), "/TCP/9376 /TCP/1 dns/UDP/53");
    assert_eq!(
        converted.problems,
        [
            "ports[5].protocol: \"QUIC\" is not TCP, UDP or SCTP; the port is left out",
            "ports[6].port: 70000 is not a port number; the port is left out",
        ]
    );
}

#[test]
fn a_slice_says_whose_it_is_of_which_family_and_whether_headless() {
    let label = |key: &str, value: &str| json!({"name": "s-1", "namespace": "shop", "labels": {key: value}});
    let named = convert_slice(json!({"metadata": label("kubernetes.io/service-name", "s")})).object;
    assert_eq!((named.name.to_string().as_str(), named.service.as_deref()), ("shop/s-1", Some("s")));
    let empty = convert_slice(json!({"metadata": label("kubernetes.io/service-name", "")})).object;
    assert_eq!(empty.service, None);
    assert!(!empty.headless);
    let both = json!({"kubernetes.io/service-name": "s", "service.kubernetes.io/headless": ""});
    let headless = convert_slice(json!({"metadata": {"name": "s-1", "labels": both}})).object;
    assert_eq!((headless.headless, headless.service), (true, None), "as if it were not there");

    let odd = |written: &str| Some(format!("its addressType \"{written}\" is neither IPv4 nor IPv6"));
    for (written, family, kept, why) in [
        (json!("IPv4"), Some(Family::V4), 1, None),
        (json!("IPv6"), Some(Family::V6), 0, None),
        (json!("FQDN"), None, 0, odd("FQDN")),
        (json!("ipv4"), None, 0, odd("ipv4")),
        (json!("IP"), None, 0, odd("IP")),
        (json!(null), None, 0, Some("its addressType is missing".to_owned())),
    ] {
        let endpoints = json!([{"addresses": ["10.1.0.1"]}]);
        let slice = convert_slice(json!({"addressType": written, "endpoints": endpoints})).object;
        assert_eq!((slice.family, slice.endpoints.len()), (family, kept), "{written}");
        assert_eq!(slice.not_read.as_deref(), why.as_deref(), "{written}");
        let none = convert_slice(json!({"addressType": written, "endpoints": []})).object;
        assert_eq!(none.not_read, None, "nothing is lost where there are no endpoints");
    }
}

#[test]
fn a_label_with_an_empty_value_counts_as_lacking() {
    let labels = json!({"apps.openyurt.io/nodepool": "", "apps.openyurt.io/desired-nodepool": "p1"});
    let node = convert_node(json!({"name": "n1", "labels": labels}));
    let labels: Vec<_> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!((&*node.name, words(&labels).as_str()), ("n1", "apps.openyurt.io/desired-nodepool=p1"));
    assert!(convert_node(json!({"name": "n1", "labels": null})).labels.is_empty());
}

#[test]
fn objects_share_the_names_they_repeat() {
    let mut names = Interner::default();
    let written = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s-1"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "n1"}, {"addresses": ["10.1.0.2"], "nodeName": "n1"}]});
    let object: written::EndpointSlice = serde_json::from_value(written).unwrap();
    let endpoints = slice(&object, Version::V1, &mut names).unwrap().object.endpoints;
    let nodes: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.node.as_ref()).collect();
    assert!(std::sync::Arc::ptr_eq(nodes[0], nodes[1]));
    assert!(size_of::<Endpoint>() <= 56);
}
