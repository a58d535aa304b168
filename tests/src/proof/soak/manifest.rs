//! The file of an address: the Service that has it, and its slices. As text, since it is written a thousand times a second.

use lb_agent::model::{Family, Protocol};

use crate::proof::services::{AFFINITY, Holder, PROTOCOLS};
use crate::proof::world::{BACKENDS, backend_of, cluster, keeps_clients, node_port, over6};

/// As Kubernetes has them.
pub(super) fn manifest(address: u8, holder: Holder) -> String {
    let Holder { backends, .. } = holder;
    let name = name(address, holder);
    let at = cluster(address);
    let (v4, v6) = (at.ip(), over6(at));
    let (v6, ports) = (v6.ip(), ports(at.port(), node_port(address).map(|at| at.port())));
    let affinity = if keeps_clients(address) {
        format!(
            r#","sessionAffinity":"ClientIP","sessionAffinityConfig":{{"clientIP":{{"timeoutSeconds":{AFFINITY}}}}}"#
        )
    } else {
        String::new()
    };
    let service = format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"namespace":"soak","name":"{name}"}},"spec":{{"clusterIP":"{v4}","clusterIPs":["{v4}","{v6}"],"ports":{ports}{affinity}}}}}"#
    );
    let [v4, v6] = [Family::V4, Family::V6].map(|family| slice(address, &name, family, backends));
    format!("{service}\n---\n{v4}\n---\n{v6}\n")
}

/// Of the Service that has an address.
pub(super) fn name(address: u8, holder: Holder) -> String {
    format!("s{address}-{}", holder.service)
}

fn slice(address: u8, service: &str, family: Family, backends: u32) -> String {
    let kind = family.label();
    let numbers = (0..BACKENDS).filter(|number| backends & 1 << number != 0);
    let endpoints = numbers.map(|number| {
        let at = backend_of(address, number);
        let at = match family {
            Family::V4 => at.ip().to_string(),
            Family::V6 => over6(at).ip().to_string(),
        };
        format!(r#"{{"addresses":["{at}"],"conditions":{{"ready":true}}}}"#)
    });
    let endpoints = endpoints.collect::<Vec<String>>().join(",");
    let (name, ports) =
        (format!("{service}-{}", kind.to_lowercase()), ports(backend_of(address, 0).port(), None));
    format!(
        r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"{kind}","metadata":{{"namespace":"soak","name":"{name}","labels":{{"kubernetes.io/service-name":"{service}"}}}},"ports":{ports},"endpoints":[{endpoints}]}}"#
    )
}

/// One for each protocol.
fn ports(port: u16, node_port: Option<u16>) -> String {
    let node_port = node_port.map_or_else(String::new, |port| format!(r#","nodePort":{port}"#));
    let port = |protocol: Protocol| {
        let label = protocol.label();
        format!(r#"{{"name":"{label}","port":{port},"protocol":"{}"{node_port}}}"#, label.to_uppercase())
    };
    let [tcp, udp] = PROTOCOLS.map(port);
    format!("[{tcp},{udp}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_service_and_its_slices_as_json() {
        let file = manifest(2, Holder { service: 7, backends: 0b101 });
        let objects: Vec<serde_json::Value> =
            file.split("\n---\n").map(|object| serde_json::from_str(object).unwrap()).collect();
        let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["Service", "EndpointSlice", "EndpointSlice"]);
        assert_eq!(objects[0]["spec"]["clusterIP"], "10.96.0.12");
        assert!(objects[0]["spec"]["sessionAffinity"].is_null());
        assert_eq!(objects[1]["endpoints"].as_array().unwrap().len(), 2);
        assert_eq!(objects[1]["endpoints"][1]["addresses"][0], "10.244.10.3");
        assert_eq!(objects[2]["addressType"], "IPv6");
        assert_eq!(objects[2]["endpoints"][1]["addresses"][0], "fd00:6464::af4:a03");
        let other: serde_json::Value = serde_json::from_str(
            manifest(1, Holder { service: 7, backends: 0 }).split("\n---\n").next().unwrap_or_default(),
        )
        .unwrap();
        assert_eq!(other["spec"]["sessionAffinity"], "ClientIP");
        assert_eq!(other["spec"]["ports"][1]["nodePort"], 30_001);
    }
}
