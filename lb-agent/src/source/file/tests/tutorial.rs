//! The tutorial is a folder like any other.

use std::path::PathBuf;

use super::super::load::load;
use crate::model::{Change, Endpoint, Object};

/// One line for each object: what of it decides.
fn line(object: &Object) -> String {
    match object {
        Object::Service(service) => {
            let ports: Vec<_> =
                service.ports.iter().map(|port| format!("{}/{}", port.protocol.label(), port.port)).collect();
            let topology = service.topology.as_deref().unwrap_or("everywhere");
            format!("{} {:?} {ports:?} {topology}", service.name, service.addresses)
        }
        Object::Slice(slice) => {
            let endpoint = |endpoint: &Endpoint| {
                let node = endpoint.node.as_deref().unwrap_or_default();
                format!("{}@{node} {:?}", endpoint.address, endpoint.conditions.health())
            };
            let endpoints: Vec<_> = slice.endpoints.iter().map(endpoint).collect();
            let ports: Vec<_> =
                slice.ports.iter().map(|port| format!("{:?}:{}", port.name, port.port)).collect();
            let service = slice.service.as_deref().unwrap_or_default();
            format!("{service}: {} port {}", endpoints.join(", "), ports.join(" "))
        }
        Object::Node(node) => {
            let pool = node.labels.get("apps.openyurt.io/desired-nodepool").map(|pool| &**pool);
            assert!(!node.labels.contains_key("apps.openyurt.io/nodepool"));
            format!("{} in {}", node.name, pool.unwrap_or("no pool"))
        }
        Object::Pod(_) | Object::Namespace(_) => panic!("{object:?}"),
    }
}

#[test]
fn the_tutorial_holds_what_its_truth_rests_on() {
    let folder = PathBuf::from("../examples/tutorial");
    let (changes, report) = load(&[folder]).unwrap();

    let objects = changes.iter().map(|change| {
        let Change::Apply(object) = change else { panic!("{change:?}") };
        object
    });
    let lines: Vec<String> = objects.map(line).collect();
    let expected = [
        "default/svc-ud1 [10.96.0.11] [\"TCP/80\"] openyurt.io/nodepool",
        "default/svc-ud1-without-topology [10.96.0.12] [\"TCP/80\"] everywhere",
        "svc-ud1: 10.244.2.2@kind-worker Ready, 10.244.2.3@kind-worker Ready port \"\":9376",
        "svc-ud1: 10.244.1.2@kind-worker2 Ready, 10.244.1.3@kind-worker2 Ready port \"\":9376",
        "svc-ud1-without-topology: 10.244.2.2@kind-worker Ready, 10.244.2.3@kind-worker Ready port \"\":9376",
        "svc-ud1-without-topology: 10.244.1.2@kind-worker2 Ready, 10.244.1.3@kind-worker2 Ready port \"\":9376",
        "edge-node2 in hangzhou",
        "kind-control-plane in beijing",
        "kind-worker in hangzhou",
        "kind-worker2 in shanghai",
        "lone-node in no pool",
    ];
    assert_eq!(lines, expected);

    assert!(report.problems().is_empty() && report.left_out().is_empty() && report.duplicates().is_empty());
    assert_eq!(report.unknown, 0);
    let notes: Vec<&str> = report.notes().iter().map(|note| note.text.as_str()).collect();
    let expected = [
        "NodePool of apps.openyurt.io/v1beta2 is not read here: 3 skipped",
        "YurtAppSet of apps.openyurt.io/v1beta1 is not read here: 2 skipped",
    ];
    assert_eq!(notes, expected);
}
