//! A cluster as `kubectl get services,endpointslices,nodes -A -o yaml` prints it, and as its API server sends it:
//! one decides as the other does.
//!
//! `dump.json` is the cluster, `dump.yaml` what kubectl 1.32 made of it: labels that look like numbers, booleans and
//! dates stand there as it writes them.

use serde_json::Value;

use crate::model::{Change, Kind};
use crate::source::file::{FileId, Folder, Seen};
use crate::source::kube::head::Naming;
use crate::source::kube::tracker::Tracker;
use crate::store::{Rules, Store};
use crate::view::decisions::{Decisions, decisions};

const YAML: &str = include_str!("dump/dump.yaml");
const JSON: &str = include_str!("dump/dump.json");

fn planned(changes: &[Change], node: &str) -> Decisions {
    let mut store = Store::new(node, Rules::default());
    for change in changes.iter().cloned().chain(Kind::ALL.map(Change::Synced)) {
        store.apply(change);
    }
    decisions(&store)
}

fn from_file(name: &str, text: &str) -> Vec<Change> {
    let mut folder = Folder::new(vec!["conf".into()]);
    let file = FileId { folder: 0, name: name.into() };
    let changes = folder.take(vec![(file, Seen::Text(text.to_owned()))]);
    assert_eq!(folder.report(), crate::model::FileReport::default(), "{name}");
    changes
}

/// What is asked for there: every slice but those of headless Services.
fn from_api() -> Vec<Change> {
    let cluster: Value = serde_json::from_str(JSON).unwrap();
    let items = cluster["items"].as_array().unwrap();
    let mut changes = Vec::new();
    for kind in Kind::ALL {
        let mut tracker = Tracker::new(kind);
        let is_asked = |item: &&Value| {
            let is_headless = item["metadata"]["labels"].get("service.kubernetes.io/headless").is_some();
            item["kind"] == kind.label() && !(kind == Kind::EndpointSlice && is_headless)
        };
        for item in items.iter().filter(is_asked) {
            tracker.item(item.to_string().as_bytes(), Naming::ByItem).unwrap();
        }
        assert_eq!(tracker.take_problems().unwrap_or_default(), []);
        changes.extend(tracker.take_changes());
    }
    changes
}

#[test]
fn a_dump_of_a_cluster_decides_as_its_api_server_does() {
    let (yaml, json, api) = (from_file("dump.yaml", YAML), from_file("dump.json", JSON), from_api());
    for (node, expected) in [
        (
            "n-a1",
            "default/kubernetes https/TCP: 192.0.2.1:6443\n\
             default/tide http/TCP: 10.1.0.1:8080\n\
             shop/dns dns/UDP: 10.1.0.3:53\n\
             shop/dns dns/UDP: [fd00:1::3]:53\n\
             shop/dns dns-tcp/TCP: 10.1.0.3:53\n\
             shop/dns dns-tcp/TCP: [fd00:1::3]:53\n\
             shop/front http/TCP: 10.1.1.4:8080",
        ),
        (
            "n-b1",
            "default/kubernetes https/TCP: 192.0.2.1:6443\n\
             default/tide http/TCP: 10.1.1.1:8080\n\
             shop/dns dns/UDP: 10.1.1.3:53\n\
             shop/dns dns/UDP: \n\
             shop/dns dns-tcp/TCP: 10.1.1.3:53\n\
             shop/dns dns-tcp/TCP: \n\
             shop/front http/TCP: 10.1.1.4:8080",
        ),
        (
            "n-c1",
            "default/kubernetes https/TCP: 192.0.2.1:6443\n\
             default/tide http/TCP: \n\
             shop/dns dns/UDP: \n\
             shop/dns dns/UDP: \n\
             shop/dns dns-tcp/TCP: \n\
             shop/dns dns-tcp/TCP: \n\
             shop/front http/TCP: 10.1.1.4:8080",
        ),
    ] {
        let of_api = planned(&api, node);
        let said = of_api.service_ports.iter().map(|port| {
            let (service, name, backends) = (&port.service, &port.port_name, port.backends.join(" "));
            format!("{}/{service} {name}/{}: {backends}", port.namespace, port.protocol)
        });
        assert_eq!(said.collect::<Vec<_>>().join("\n"), expected, "{node}");
        for (shows, of_file) in [("YAML", planned(&yaml, node)), ("JSON", planned(&json, node))] {
            assert_eq!(of_file.service_ports, of_api.service_ports, "{node}, {shows}");
            assert_eq!(of_file.pool, of_api.pool, "{node}, {shows}");
        }
    }
}
