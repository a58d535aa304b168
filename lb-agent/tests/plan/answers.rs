//! What the plan says about each kind of Service and slice.

use serde_json::{Value, json};

use crate::folder::Folder;

const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {apps.openyurt.io/nodepool: p1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {apps.openyurt.io/nodepool: p2}}}
";

#[test]
fn service_ports_are_sorted_as_they_are_written() {
    let services = "
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: z}, spec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: a}, spec: {clusterIP: 10.96.0.8, ports: [{port: 80}]}}
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: a}
spec:
  clusterIPs: [fd00::a, 10.96.0.7]
  ports:
    - {port: 53, name: dns, protocol: UDP}
    - {port: 53, name: dns, protocol: TCP}
    - {port: 53, name: dns, protocol: SCTP}
    - {port: 9}
";
    let answer = answer(services);
    let said: Vec<String> = ports(&answer)
        .iter()
        .map(|port| {
            let text = |field: &str| port[field].as_str().unwrap().to_owned();
            [text("namespace"), text("service"), text("portName"), text("protocol"), text("clusterIP")]
                .join(" ")
        })
        .collect();
    assert_eq!(
        said,
        [
            "a a  TCP 10.96.0.7",
            "a a  TCP fd00::a",
            "a a dns SCTP 10.96.0.7",
            "a a dns SCTP fd00::a",
            "a a dns TCP 10.96.0.7",
            "a a dns TCP fd00::a",
            "a a dns UDP 10.96.0.7",
            "a a dns UDP fd00::a",
            "a b  TCP 10.96.0.8",
            "z b  TCP 10.96.0.9",
        ]
    );
}

#[test]
fn backends_are_sorted_as_strings_and_ipv6_ones_stand_in_brackets() {
    let objects = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIPs: [10.96.0.1, 'fd00:96::1'], ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
  - {addresses: [10.0.0.9]}
  - {addresses: [10.0.0.10]}
  - {addresses: [10.0.0.8], conditions: {ready: false}}
  - {addresses: [10.0.0.11], conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{port: 80}]
endpoints: [{addresses: ['fd00::1']}]
";
    let answer = answer(objects);
    assert_eq!(ports(&answer)[0]["backends"], json!(["10.0.0.10:80", "10.0.0.9:80"]));
    let not_ready = |backend: &str| json!({"backend": backend, "why": "it is not ready"});
    assert_eq!(ports(&answer)[0]["excluded"], json!([not_ready("10.0.0.11:80"), not_ready("10.0.0.8:80")]));
    assert_eq!(ports(&answer)[1]["clusterIP"], "fd00:96::1");
    assert_eq!(ports(&answer)[1]["backends"], json!(["[fd00::1]:80"]));
}

#[test]
fn a_cluster_ip_that_is_left_alone_says_why() {
    let services = "
apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: '2026-01-02T00:00:00Z'}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}, {port: 81, protocol: SCTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: older, creationTimestamp: '2026-01-01T00:00:00Z'}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, annotations: {svc.openyurt.io/discard: 'true', openyurt.io/topologyKeys: nonsense}}
spec: {type: LoadBalancer, clusterIP: 10.96.0.2, externalIPs: [192.0.2.1], ports: [{port: 80, protocol: UDP}]}
";
    let answer = answer(services);
    assert_eq!(
        ports(&answer)[0],
        json!({
            "namespace": "default", "service": "hidden", "portName": "", "protocol": "UDP",
            "clusterIP": "10.96.0.2", "port": 80, "topology": "nonsense",
            "outcome": "leave", "why": "annotated svc.openyurt.io/discard", "backends": [], "excluded": [],
            "invalid":
                "\"nonsense\" (item 1) is neither a known key nor a node label allowed by --topology-label",
            "further": [{
                "address": "192.0.2.1:80", "kind": "external IP",
                "outcome": "leave", "why": "annotated svc.openyurt.io/discard", "backends": [],
            }],
        })
    );
    let said = |port: &Value| json!([port["service"], port["outcome"], port["why"]]);
    assert_eq!(said(&ports(&answer)[1]), json!(["older", "refuse", "no EndpointSlice names it"]));
    assert_eq!(
        said(&ports(&answer)[2]),
        json!(["web", "leave", "SCTP is left to kube-proxy"]),
        "SCTP goes before TCP"
    );
    assert_eq!(
        said(&ports(&answer)[3]),
        json!(["web", "leave", "address and port belong to Service default/older"])
    );
}

#[test]
fn what_leads_around_a_topology_is_said() {
    let services = "
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {openyurt.io/topologyKeys: kubernetes.io/hostname}}
spec: {type: NodePort, clusterIPs: [10.96.0.1, 'fd00::a'], ports: [{port: 80, nodePort: 30080}, {port: 80, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {clusterIP: 10.96.0.2, sessionAffinity: ClientIP, externalIPs: [192.0.2.1], ports: [{port: 80}]}
";
    let answer = answer(services);
    let said: Vec<Value> =
        ports(&answer).iter().map(|port| json!([port["service"], port["around"]])).collect();
    assert_eq!(
        said,
        [
            json!(["sticky", null]),
            json!(["web", null]),
            json!(["web", null]),
            json!(["web", null]),
            json!(["web", null]),
        ]
    );
}

#[test]
fn objects_that_do_not_count_are_ignored_with_a_reason() {
    let objects = "
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: far}, spec: {type: ExternalName, externalName: example.com}}
---
{apiVersion: v1, kind: Service, metadata: {name: new}, spec: {ports: [{port: 80}]}}
---
apiVersion: v1
kind: Service
metadata:
  name: mesh
  labels: {service.kubernetes.io/service-proxy-name: cilium}
  annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db, service.kubernetes.io/headless: ''}}
addressType: IPv4
endpoints: null
ports: null
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-2, labels: {kubernetes.io/service-name: db}}, addressType: FQDN, endpoints: []}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-3, labels: {kubernetes.io/service-name: db}}, addressType: IPv4, endpoints: []}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: hand, namespace: z}, addressType: IPv4, endpoints: []}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: typo, labels: {kubernetes.io/service-name: bd}}, addressType: IPv4, endpoints: []}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}
";
    let folder = Folder::new(&[("nodes.yaml", NODES), ("objects.yaml", objects)]);
    let answer = folder.plan(&["--node", "n1", "-o", "json"]).json();
    assert_eq!(answer["servicePorts"], json!([]));
    let proxy = "left to proxy \"cilium\" by the label service.kubernetes.io/service-proxy-name";
    assert_eq!(
        answer["ignored"],
        json!([
            {"object": "EndpointSlice default/db-1", "why": "marked headless by the label service.kubernetes.io/headless"},
            {"object": "EndpointSlice default/db-2", "why": "its addressType is neither IPv4 nor IPv6"},
            {"object": "EndpointSlice default/typo", "why": "there is no Service default/bd"},
            {"object": "EndpointSlice z/hand", "why": "without the label kubernetes.io/service-name"},
            {"object": "Service default/db", "why": "headless"},
            {"object": "Service default/far", "why": "ExternalName"},
            {"object": "Service default/mesh", "why": proxy, "diagnostic": format!("cannot be filtered: {proxy}")},
            {"object": "Service default/new", "why": "no cluster IP"},
            {"object": folder.path().join("objects.yaml").display().to_string(),
             "why": "ConfigMap of v1 is not read here: 1 skipped"},
        ])
    );
}

#[test]
fn the_table_has_all_that_there_is_to_say() {
    let endpoints: String =
        (1..=9).map(|last| format!("  - {{addresses: [10.0.0.{last}], nodeName: n1}}\n")).collect();
    let objects = format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web, annotations: {{openyurt.io/topologyKeys: \"\\e[31m\\n\"}}}}
spec: {{clusterIP: 10.96.0.1, externalIPs: [192.0.2.1], ports: [{{port: 80, name: http}}, {{port: 81, protocol: SCTP}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: api, annotations: {{openyurt.io/topologyKeys: kubernetes.io/hostname}}}}
spec: {{clusterIP: 'fd00::a', ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: db, annotations: {{openyurt.io/topologyKeys: kubernetes.io/hostname}}}}
spec: {{clusterIP: None}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 80, name: http}}]
endpoints:
{endpoints}  - {{addresses: [10.0.1.1], conditions: {{ready: false}}}}
  - {{addresses: [10.0.1.2], conditions: {{ready: false, terminating: true}}}}
"
    );
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
    let answer = Folder::new(&[("node.yaml", node), ("objects.yaml", &objects)]).plan(&["--node", "n1"]);
    assert_eq!(
        answer.stdout,
        r#"node n1, in no pool

 SERVICE           PROTOCOL  CLUSTER IP    TOPOLOGY                OUTCOME  BACKENDS
 default/api:80    TCP       [fd00::a]:80  kubernetes.io/hostname  refuse   none
 default/web:81    SCTP      10.96.0.1:81  \u{1b}[31m\n            leave    -
 default/web:http  TCP       10.96.0.1:80  \u{1b}[31m\n            forward  9: 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80, 10.0.0.5:80, 10.0.0.6:80 and 3 more

Also dialled at:
  default/web:81 SCTP 10.96.0.1:81
    192.0.2.1:81 (external IP): leave: SCTP is left to kube-proxy
  default/web:http TCP 10.96.0.1:80
    192.0.2.1:80 (external IP): forward to 9: 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80, 10.0.0.5:80, 10.0.0.6:80 and 3 more

Not used:
  default/web:http TCP 10.96.0.1:80
    10.0.1.2:80: it is draining while others are ready
    10.0.1.1:80: it is not ready

Note:
  default/api:80 TCP [fd00::a]:80: no EndpointSlice names it
  default/web:81 SCTP 10.96.0.1:81: SCTP is left to kube-proxy
  default/web:81 SCTP 10.96.0.1:81: the topology is not understood: "\u{1b}[31m" (item 1) is neither a known key nor a node label allowed by --topology-label
  default/web:http TCP 10.96.0.1:80: the topology is not understood: "\u{1b}[31m" (item 1) is neither a known key nor a node label allowed by --topology-label

Ignored:
  Service default/db: cannot be filtered: headless
"#
    );
}

#[test]
fn a_topology_of_another_project_is_shown_with_its_annotation() {
    let services = "
apiVersion: v1
kind: Service
metadata: {name: group, annotations: {apps.kubeedge.io/service-topology: range-nodegroup, topologyKeys: '[\"site\"]'}}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: odd, annotations: {topologyKeys: site}}
spec: {clusterIP: 10.96.0.2, ports: [{port: 80}]}
";
    let folder = Folder::new(&[("nodes.yaml", NODES), ("objects.yaml", services)]);
    let flags = ["--node", "n1", "--dialect", "kubeedge", "--dialect", "superedge"];
    let json = folder.plan(&[&flags[..], &["-o", "json"]].concat()).json();
    let two = "apps.kubeedge.io/service-topology \"range-nodegroup\" counts, and topologyKeys \"[\\\"site\\\"]\" asks for something else: leave one of them";
    assert_eq!(
        ports(&json)[0],
        json!({
            "namespace": "default", "service": "group", "portName": "", "protocol": "TCP",
            "clusterIP": "10.96.0.1", "port": 80, "topology": "range-nodegroup",
            "topologyAnnotation": "apps.kubeedge.io/service-topology", "twoTopologies": two,
            "outcome": "refuse", "level": "nodes in no node group", "why": "no EndpointSlice names it",
            "backends": [], "excluded": [],
        })
    );
    let text = folder.plan(&flags).stdout;
    for line in [
        "range-nodegroup (by apps.kubeedge.io/service-topology)",
        "site (by topologyKeys)",
        two,
        "default/odd:80 TCP 10.96.0.2:80: the topology is not understood: \"site\" is not a JSON list of node label keys",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let without = folder.plan(&["--node", "n1", "-o", "json"]).json();
    assert_eq!(ports(&without)[0]["topology"], Value::Null, "not asked for");
}

#[test]
fn a_topology_of_a_namespace_is_shown_as_one() {
    let objects = "
apiVersion: v1
kind: Namespace
metadata: {name: default, annotations: {edgeloop.io/topology: openyurt.io/nodepool}}
---
apiVersion: v1
kind: Service
metadata: {name: heir}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: own, annotations: {openyurt.io/topologyKeys: kubernetes.io/hostname}}
spec: {clusterIP: 10.96.0.2, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: heir, namespace: other}
spec: {clusterIP: 10.96.0.3, ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, annotations: {edgeloop.io/topology: rack}}
";
    let folder = Folder::new(&[("nodes.yaml", NODES), ("objects.yaml", objects)]);
    let flags = ["--node", "n1", "--namespace-topology"];
    let json = folder.plan(&[&flags[..], &["-o", "json"]].concat()).json();
    let said =
        |port: &Value| json!([port["topology"], port["topologyByNamespace"], port["level"], port["invalid"]]);
    let pool = json!([null, "openyurt.io/nodepool", "pool p1", null]);
    let own = json!(["kubernetes.io/hostname", null, "this node", null]);
    let odd = "\"rack\" (item 1) is neither a known key nor a node label allowed by --topology-label";
    assert_eq!(
        ports(&json).iter().map(said).collect::<Vec<_>>(),
        [pool, own, json!([null, "rack", "all nodes", odd])]
    );
    let text = folder.plan(&flags).stdout;
    assert!(text.contains("openyurt.io/nodepool (by namespace)"), "{text}");
    let without = folder.plan(&["--node", "n1", "-o", "json"]).json();
    let levels = ports(&without).iter().map(|port| &port["level"]).collect::<Vec<_>>();
    assert_eq!(levels, ["all nodes", "this node", "all nodes"], "not asked for");
}

fn answer(objects: &str) -> Value {
    let answer = Folder::new(&[("nodes.yaml", NODES), ("objects.yaml", objects)])
        .plan(&["--node", "n1", "-o", "json"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    answer.json()
}

fn ports(answer: &Value) -> &Vec<Value> {
    answer["servicePorts"].as_array().unwrap()
}
