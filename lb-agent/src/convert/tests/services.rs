//! What a Service is taken for.

use super::*;

#[test]
fn cluster_ips_win_over_the_cluster_ip_and_each_family_has_one() {
    for (shows, spec, addresses, problems) in [
        ("one", json!({"clusterIP": "10.0.0.1"}), "10.0.0.1", vec![]),
        ("both fields", json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}), "10.0.0.1", vec![]),
        ("they differ", json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]}), "10.0.0.2", vec![]),
        ("clusterIPs alone", json!({"clusterIPs": ["fd00::1"]}), "fd00::1", vec![]),
        ("null is absent", json!({"clusterIP": "10.0.0.1", "clusterIPs": null}), "10.0.0.1", vec![]),
        ("empty is absent", json!({"clusterIP": "10.0.0.1", "clusterIPs": []}), "10.0.0.1", vec![]),
        ("dual-stack", json!({"clusterIPs": ["fd00::1", "10.0.0.1"]}), "fd00::1 10.0.0.1", vec![]),
        ("leading zeros are decimal", json!({"clusterIP": "010.000.0.08"}), "10.0.0.8", vec![]),
        ("an IPv4-mapped address", json!({"clusterIP": "::ffff:10.0.0.1"}), "10.0.0.1", vec![]),
        (
            "a second one of a family",
            json!({"clusterIPs": ["10.0.0.1", "10.0.0.2", "fd00::1"]}),
            "10.0.0.1 fd00::1",
            vec!["spec.clusterIPs[1]: 10.0.0.2 is a second one of its family; it is left out"],
        ),
        (
            "unreadable ones",
            json!({"clusterIPs": ["10.0.0.256", "fd00::1"]}),
            "fd00::1",
            vec!["spec.clusterIPs[0]: \"10.0.0.256\" is not an IP address; it is left out"],
        ),
        (
            "one that means this host",
            json!({"clusterIPs": ["::1", "10.0.0.1"]}),
            "10.0.0.1",
            vec!["spec.clusterIPs[0]: ::1 is a loopback address: it means this host; it is left out"],
        ),
    ] {
        let converted = with_spec(spec);
        assert_eq!(words(&converted.object.addresses), addresses, "{shows}");
        assert_eq!(converted.problems, problems, "{shows}");
        assert_eq!(converted.object.skipped, None, "{shows}");
    }
}

#[test]
fn a_service_that_does_not_count_says_why() {
    for (shows, metadata, spec, expected) in [
        ("ordinary", json!({}), json!({"clusterIP": "10.0.0.1"}), None),
        ("ExternalName", json!({}), json!({"type": "ExternalName"}), Some(Skipped::ExternalName)),
        (
            "ExternalName with an old address",
            json!({}),
            json!({"type": "ExternalName", "clusterIP": "10.0.0.1"}),
            Some(Skipped::ExternalName),
        ),
        ("headless", json!({}), json!({"clusterIP": "None"}), Some(Skipped::Headless)),
        (
            "headless, both fields",
            json!({}),
            json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            Some(Skipped::Headless),
        ),
        ("headless by clusterIPs", json!({}), json!({"clusterIPs": ["None"]}), Some(Skipped::Headless)),
        ("not assigned yet", json!({}), json!({"clusterIP": ""}), Some(Skipped::NoClusterIp)),
        ("absent", json!({}), json!({}), Some(Skipped::NoClusterIp)),
        ("null", json!({}), json!(null), Some(Skipped::NoClusterIp)),
        ("unreadable", json!({}), json!({"clusterIP": "ten"}), Some(Skipped::UnusableClusterIp)),
        ("this host's", json!({}), json!({"clusterIP": "127.0.0.1"}), Some(Skipped::UnusableClusterIp)),
        (
            "another proxy's",
            json!({"labels": {"service.kubernetes.io/service-proxy-name": "p"}}),
            json!({"clusterIP": "10.0.0.1"}),
            Some(Skipped::OtherProxy("p".into())),
        ),
        (
            "the label counts by being there",
            json!({"labels": {"service.kubernetes.io/service-proxy-name": ""}}),
            json!({"clusterIP": "10.0.0.1"}),
            Some(Skipped::OtherProxy("".into())),
        ),
    ] {
        let mut metadata = metadata;
        metadata["name"] = json!("s");
        let written = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        assert_eq!(convert_service(written).object.skipped, expected, "{shows}");
    }
}

#[test]
fn discard_counts_only_on_a_load_balancer_and_only_as_true() {
    for (shows, kind, value, expected) in [
        ("as OpenYurt reads it", "LoadBalancer", "true", true),
        ("another value", "LoadBalancer", "True", false),
        ("another type", "NodePort", "true", false),
        ("another type", "ClusterIP", "true", false),
    ] {
        let converted = convert_service(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "annotations": {"svc.openyurt.io/discard": value}},
            "spec": {"type": kind, "clusterIP": "10.0.0.1"},
        }));
        assert_eq!(converted.object.discarded, expected, "{shows}: {kind} {value}");
    }
}

#[test]
fn the_topology_is_kept_as_it_is_written() {
    for (metadata, expected) in [
        (json!({"name": "s"}), None),
        (json!({"name": "s", "annotations": null}), None),
        (json!({"name": "s", "annotations": {"other": "x"}}), None),
        (json!({"name": "s", "annotations": {"openyurt.io/topologyKeys": ""}}), Some("")),
        (json!({"name": "s", "annotations": {"openyurt.io/topologyKeys": " a, b "}}), Some(" a, b ")),
    ] {
        assert_eq!(with_metadata(metadata).topology.as_deref(), expected);
    }
}

#[test]
fn the_annotations_of_other_projects_are_kept_as_they_are_written() {
    use crate::model::{Dialect, Foreign};
    let object =
        |annotations: Value| json!({"metadata": {"name": "s", "uid": "u", "annotations": annotations}});
    let read = |written: &Value| {
        let written = serde_json::from_value(written.clone()).unwrap();
        super::service(&written, &mut Interner::default()).unwrap()
    };
    for (annotations, foreign) in [
        (json!({"other": "range-nodegroup"}), None),
        (json!({"apps.kubeedge.io/service-topology": " x"}), Some((Some(" x"), None))),
        (json!({"topologyKeys": "[\"a\"]"}), Some((None, Some("[\"a\"]")))),
        (json!({"topologyKeys": "", "apps.kubeedge.io/service-topology": null}), Some((Some(""), Some("")))),
    ] {
        let found = read(&object(annotations.clone()));
        let foreign = foreign.map(|(kubeedge, superedge): (Option<&str>, Option<&str>)| {
            Box::new(Foreign { kubeedge: kubeedge.map(Into::into), superedge: superedge.map(Into::into) })
        });
        assert_eq!(
            (&found.object.foreign, found.object.uid.is_some()),
            (&foreign, foreign.is_some()),
            "{annotations}"
        );
        assert_eq!(found.problems, Vec::<String>::new(), "{annotations}");
    }
    let odd =
        read(&object(json!({"topologyKeys": 5, "apps.kubeedge.io/service-topology": "range-nodegroup"})));
    assert_eq!(odd.problems, ["metadata.annotations[\"topologyKeys\"]: is not a text; it is left out"]);
    assert_eq!(odd.object.annotation(Dialect::KubeEdge).map(|text| &**text), Some("range-nodegroup"));
    assert_eq!(odd.object.annotation(Dialect::SuperEdge), None);
}

#[test]
fn names_times_and_policies_are_taken_over() {
    let metadata = json!({"name": "s", "namespace": "shop", "creationTimestamp": "1970-01-02T00:00:01Z"});
    let converted = with_metadata(metadata);
    assert_eq!((converted.name.to_string().as_str(), converted.created), ("shop/s", Some(86_401)));

    let converted = with_metadata(json!({"name": "s", "namespace": "", "creationTimestamp": null}));
    assert_eq!((converted.name.to_string().as_str(), converted.created), ("default/s", None));

    for (policy, local) in [(json!("Local"), true), (json!("Cluster"), false), (json!(null), false)] {
        let spec = json!({"clusterIP": "10.0.0.1", "internalTrafficPolicy": policy});
        assert_eq!(with_spec(spec).object.internal_local, local);
    }
}

#[test]
fn an_object_without_a_name_is_an_error() {
    let mut names = Interner::default();
    let errors = [
        service(&written::Service::default(), &mut names).unwrap_err(),
        slice(&written::EndpointSlice::default(), Version::V1, &mut names).unwrap_err(),
        node(&written::Node::default(), &mut names).unwrap_err(),
    ];
    assert_eq!(
        words(&errors),
        "metadata.name: every Service needs a name metadata.name: every EndpointSlice needs a name \
            metadata.name: every Node needs a name"
    );
}

#[test]
fn service_ports_that_cannot_be_used_are_left_out_and_named() {
    let converted = with_spec(json!({"clusterIP": "10.0.0.1", "ports": [
        {"port": 80},
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
        {"name": "sig", "port": 7, "protocol": "SCTP"},
        {"name": "odd", "port": 8, "protocol": "QUIC"},
        {"name": "zero", "port": 0},
        {"name": "big", "port": 65536},
    ]}));
    let ports = converted.object.ports.iter();
    let ports: Vec<_> =
        ports.map(|port| format!("{}/{}/{}", port.name, port.protocol.label(), port.port)).collect();
    assert_eq!(words(&ports), "/TCP/80 dns/UDP/53 dns-tcp/TCP/53 sig/SCTP/7");
    assert_eq!(
        converted.problems,
        [
            "spec.ports[4].protocol: \"QUIC\" is not TCP, UDP or SCTP; the port is left out",
            "spec.ports[5].port: 0 is not a port number; the port is left out",
            "spec.ports[6].port: 65536 is not a port number; the port is left out",
        ]
    );
    assert!(with_spec(json!({"clusterIP": "10.0.0.1", "ports": null})).object.ports.is_empty());
}

#[test]
fn affinity_has_a_timeout_of_three_hours_unless_another_is_given() {
    for (shows, affinity, config, expected) in [
        ("none", json!("None"), json!(null), None),
        ("absent", json!(null), json!(null), None),
        ("no config", json!("ClientIP"), json!(null), Some(10_800)),
        ("an empty config", json!("ClientIP"), json!({"clientIP": null}), Some(10_800)),
        ("no timeout", json!("ClientIP"), json!({"clientIP": {"timeoutSeconds": null}}), Some(10_800)),
        ("given", json!("ClientIP"), json!({"clientIP": {"timeoutSeconds": 5}}), Some(5)),
        ("a config without affinity", json!("None"), json!({"clientIP": {"timeoutSeconds": 5}}), None),
        ("not a time", json!("ClientIP"), json!({"clientIP": {"timeoutSeconds": -1}}), Some(10_800)),
        ("not a time: none", json!("ClientIP"), json!({"clientIP": {"timeoutSeconds": 0}}), Some(10_800)),
    ] {
        let spec =
            json!({"clusterIP": "10.0.0.1", "sessionAffinity": affinity, "sessionAffinityConfig": config});
        let converted = with_spec(spec);
        assert_eq!(converted.object.affinity, expected, "{shows}");
        assert_eq!(converted.problems.len(), usize::from(shows.starts_with("not a time")), "{shows}");
    }
}

/// Contract, section 3.6.
#[test]
fn external_ips_and_load_balancer_addresses_that_nodes_answer_are_further_addresses() {
    let ingress = |ingress: Value| json!({"loadBalancer": {"ingress": [ingress]}});
    for (shows, spec, status, external, balancer) in [
        ("a cluster IP alone", json!({}), json!(null), "", ""),
        (
            "external IPs",
            json!({"externalIPs": ["192.0.2.1", "192.0.2.2"]}),
            json!(null),
            "192.0.2.1 192.0.2.2",
            "",
        ),
        (
            "one twice",
            json!({"externalIPs": ["192.0.2.1", "::ffff:192.0.2.1"]}),
            json!(null),
            "192.0.2.1",
            "",
        ),
        (
            "of both families",
            json!({"externalIPs": ["192.0.2.1", "2001:db8::1"]}),
            json!(null),
            "192.0.2.1 2001:db8::1",
            "",
        ),
        ("no external IPs", json!({"externalIPs": null}), json!(null), "", ""),
        ("an empty one", json!({"externalIPs": ["", null]}), json!(null), "", ""),
        ("a node port alone", json!({"ports": [{"port": 80, "nodePort": 30080}]}), json!(null), "", ""),
        ("ingress", json!({}), ingress(json!({"ip": "192.0.2.1"})), "", "192.0.2.1"),
        ("VIP", json!({}), ingress(json!({"ip": "192.0.2.1", "ipMode": "VIP"})), "", "192.0.2.1"),
        ("Proxy", json!({}), ingress(json!({"ip": "192.0.2.1", "ipMode": "Proxy"})), "", ""),
        ("a mode of later", json!({}), ingress(json!({"ip": "192.0.2.1", "ipMode": "Other"})), "", ""),
        ("a host name", json!({}), ingress(json!({"hostname": "lb"})), "", ""),
        ("nothing yet", json!({}), json!({"loadBalancer": {}}), "", ""),
        ("headless", json!({"clusterIP": "None", "externalIPs": ["192.0.2.1"]}), json!(null), "", ""),
    ] {
        let converted = with_status(spec, status);
        let further = converted.object.further.unwrap_or_default();
        assert_eq!(
            (words(&further.external).as_str(), words(&further.balancer).as_str()),
            (external, balancer),
            "{shows}"
        );
        assert_eq!(converted.problems, [""; 0], "{shows}");
    }
}

#[test]
fn a_further_address_that_cannot_be_dialled_is_left_out_and_named() {
    // kube-proxy serves a load balancer's link-local address, and an API server takes it.
    let ingress = ["169.254.000.1", "192.0.2.2", "127.0.0.2", "fe80::1"].map(|ip| json!({"ip": ip}));
    let ingress = json!({"loadBalancer": {"ingress": ingress}});
    let external = json!({"externalIPs": ["192.0.2.1", "127.0.0.1", "lb", "169.254.0.3"]});
    let converted = with_status(external, ingress);
    let further = converted.object.further.unwrap();
    assert_eq!(
        (words(&further.external), words(&further.balancer)),
        ("192.0.2.1".to_owned(), "169.254.0.1 192.0.2.2".to_owned())
    );
    assert_eq!(
        converted.problems,
        [
            "spec.externalIPs[1]: 127.0.0.1 is a loopback address: it means this host; it is left out",
            "spec.externalIPs[2]: \"lb\" is not an IP address; it is left out",
            "spec.externalIPs[3]: 169.254.0.3 is a link-local address; it is left out",
            "status.loadBalancer.ingress[2].ip: 127.0.0.2 is a loopback address: it means this host; it is left out",
            "status.loadBalancer.ingress[3].ip: fe80::1 is a link-local address; it is left out",
        ]
    );
}

#[test]
fn source_ranges_limit_who_may_dial_load_balancer_addresses() {
    for (ranges, expected) in [
        (json!(null), Sources::Any),
        (json!([]), Sources::Any),
        (json!(["", " "]), Sources::Any),
        (json!(["192.0.2.0/24"]), Sources::Limited),
        (json!(["not a range"]), Sources::Limited),
    ] {
        let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        let converted = with_status(json!({"loadBalancerSourceRanges": ranges}), status);
        assert_eq!(converted.object.further.unwrap().sources, expected, "{ranges}");
    }
}

#[test]
fn a_node_port_is_read_with_its_port() {
    for (written, expected, problem) in [
        (json!(null), None, None),
        (json!(0), None, None),
        (json!(1), Some(1), None),
        (json!(65535), Some(65535), None),
        (json!(65536), None, Some("65536")),
        (json!(-1), None, Some("-1")),
    ] {
        let converted =
            with_spec(json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": written}]}));
        let found = converted.object.ports[0].node_port.map(std::num::NonZeroU16::get);
        let problem = problem
            .map(|number| format!("spec.ports[0].nodePort: {number} is not a port number; it is left out"));
        assert_eq!((found, converted.problems), (expected, Vec::from_iter(problem)), "{written}");
    }
}

/// A Service `default/s` with this spec and status, and a cluster IP unless there is one.
fn with_status(mut spec: Value, status: Value) -> Converted<Service> {
    spec.as_object_mut().unwrap().entry("clusterIP").or_insert(json!("10.0.0.1"));
    convert_service(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec, "status": status,
    }))
}
