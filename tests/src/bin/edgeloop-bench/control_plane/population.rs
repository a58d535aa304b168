//! The Services, slices and nodes of the bench.

use std::net::Ipv4Addr;
use std::ops::Range;

use lb_common::layout::Frontend4;
use serde_json::{Value, json};

/// Endpoints of each Service, all in one slice.
pub(crate) const ENDPOINTS: u32 = 10;
pub(crate) const POOLS: u32 = 5;
/// One Service in so many has a topology.
const ANNOTATED: u32 = 5;

/// The node that the agent and kube-proxy decide for, in pool 0.
pub(crate) const HERE: &str = "node-0";
/// The node whose pool changes: from 1 to 0 and back.
pub(crate) const MOVER: &str = "mover";
pub(crate) const POOL_LABEL: &str = "apps.openyurt.io/nodepool";
pub(crate) const TOPOLOGY_KEYS: &str = "openyurt.io/topologyKeys";
pub(crate) const TOPOLOGY: &str = "openyurt.io/nodepool";

/// Endpoints of a Service with a topology that are in pool 0.
pub(crate) const IN_POOL: u16 = (ENDPOINTS / POOLS) as u16;

const PORT: u16 = 80;
const TARGET: u16 = 9376;
const TCP: u8 = 6;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    pub(crate) services: u32,
    /// Beside the one whose pool changes.
    pub(crate) nodes: u32,
}

impl Population {
    /// Every node but that of the agent, which is registered as a kubelet does it.
    pub(crate) fn nodes(self) -> impl Iterator<Item = Value> + Send + 'static {
        let others = (1..self.nodes).map(|number| node(&format!("node-{number}"), number % POOLS));
        others.chain([node(MOVER, 1)])
    }

    /// These Services with their slices.
    pub(crate) fn objects(self, services: Range<u32>) -> impl Iterator<Item = Value> + Send + 'static {
        services.flat_map(move |number| [service(number), self.slice(number)])
    }

    /// The Services that have an endpoint on the node whose pool changes: every second of those with a
    /// topology.
    pub(crate) fn on_mover(self) -> impl Iterator<Item = u32> {
        (0..self.services).filter(|number| is_on_mover(*number))
    }

    /// So many Services without a topology, from all over.
    pub(crate) fn plain(self, count: u32) -> impl Iterator<Item = u32> {
        let step = (self.services / count / ANNOTATED).max(1) * ANNOTATED;
        (0..count).map(move |turn| (turn * step + 1) % self.services)
    }

    /// The Service that the change of this number is made to. A prime step walks over all of them in an
    /// order of no meaning, and comes back to one after all others.
    pub(crate) const fn changed_by(self, change: u32) -> u32 {
        (change * 7_919) % self.services
    }

    fn slice(self, number: u32) -> Value {
        let endpoints: Vec<Value> = (0..ENDPOINTS)
            .map(|index| {
                let node = match (is_on_mover(number), index) {
                    (true, 1) => MOVER.to_owned(),
                    _ => format!("node-{}", (number + index) % self.nodes),
                };
                json!({
                    "addresses": [address(12, number * ENDPOINTS + index)], "nodeName": node,
                    "conditions": {"ready": true, "serving": true, "terminating": false},
                })
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": slice_name(number), "namespace": "default", "labels": {
                "kubernetes.io/service-name": service_name(number),
                "endpointslice.kubernetes.io/managed-by": "edgeloop-bench",
            }},
            "addressType": "IPv4",
            "ports": [{"name": "", "protocol": "TCP", "port": TARGET}],
            "endpoints": endpoints,
        })
    }
}

pub(crate) const fn is_annotated(service: u32) -> bool {
    service.is_multiple_of(ANNOTATED)
}

const fn is_on_mover(service: u32) -> bool {
    service.is_multiple_of(2 * ANNOTATED)
}

pub(crate) fn service_path(number: u32) -> String {
    format!("/api/v1/namespaces/default/services/{}", service_name(number))
}

/// What the map of front ends has the Service under.
pub(crate) fn frontend(number: u32) -> Frontend4 {
    Frontend4 { address: cluster_ip(number).octets(), port: PORT.to_be_bytes(), protocol: TCP, zero: 0 }
}

/// A change of one slice: an endpoint of pool 0 gets an address that nothing had before.
pub(crate) struct SliceChange {
    pub(crate) path: String,
    pub(crate) patch: Value,
}

impl SliceChange {
    pub(crate) fn new(number: u32, service: u32) -> Self {
        let index = (POOLS - service % POOLS) % POOLS;
        Self {
            path: format!(
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{}",
                slice_name(service)
            ),
            patch: json!([{
                "op": "replace", "path": format!("/endpoints/{index}/addresses/0"), "value": address(11, number),
            }]),
        }
    }
}

/// The number of the change that first told of an address, which stands in quotes at the begin of `text`.
pub(crate) fn change_in_json(text: &[u8]) -> Option<u32> {
    let rest = text.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let address: Ipv4Addr = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    change_of(address.octets())
}

/// The number of the change that first told of an address, which stands before its port and padding, as in
/// an element of nftables.
pub(crate) fn change_in_element(bytes: &[u8]) -> Option<u32> {
    let [first, second, third, fourth, rest @ ..] = *bytes.first_chunk::<8>()?;
    let [high, low] = TARGET.to_be_bytes();
    if rest == [high, low, 0, 0] { change_of([first, second, third, fourth]) } else { None }
}

fn change_of([first, second, third, fourth]: [u8; 4]) -> Option<u32> {
    (first == 11).then(|| u32::from_be_bytes([0, second, third, fourth]))
}

fn node(name: &str, pool: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels(name, pool)}})
}

pub(crate) fn labels(name: &str, pool: u32) -> Value {
    json!({"kubernetes.io/hostname": name, POOL_LABEL: pool_name(pool)})
}

pub(crate) fn pool_name(pool: u32) -> String {
    format!("pool-{pool}")
}

fn service(number: u32) -> Value {
    let annotations = if is_annotated(number) { json!({TOPOLOGY_KEYS: TOPOLOGY}) } else { json!({}) };
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": service_name(number), "namespace": "default", "annotations": annotations},
        "spec": {
            "clusterIP": cluster_ip(number),
            "ports": [{"protocol": "TCP", "port": PORT, "targetPort": TARGET}],
        },
    })
}

fn service_name(number: u32) -> String {
    format!("service-{number}")
}

fn slice_name(number: u32) -> String {
    format!("service-{number}-abcde")
}

/// The first 256 are the API server's own and others'.
fn cluster_ip(number: u32) -> Ipv4Addr {
    let [_, _, third, fourth] = (number + 256).to_be_bytes();
    Ipv4Addr::new(10, 96, third, fourth)
}

fn address(first: u8, number: u32) -> Ipv4Addr {
    let [_, second, third, fourth] = number.to_be_bytes();
    Ipv4Addr::new(first, second, third, fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Population = Population { services: 500, nodes: 20 };

    #[test]
    fn the_endpoint_that_changes_is_in_the_pool_of_the_agent() {
        for number in 0..20 {
            let slice = SMALL.slice(number);
            let change = SliceChange::new(7, number);
            let field = change.patch[0]["path"].as_str().unwrap().trim_end_matches("/addresses/0");
            let node = slice.pointer(field).unwrap()["nodeName"].as_str().unwrap();
            let node: u32 = node.trim_start_matches("node-").parse().unwrap();
            assert_eq!(node % POOLS, 0, "Service {number}");
        }
    }

    #[test]
    fn a_topology_leaves_two_endpoints_and_the_node_that_moves_is_not_among_them() {
        for number in (0..100).filter(|number| is_annotated(*number)) {
            let slice = SMALL.slice(number);
            let nodes: Vec<&str> = slice["endpoints"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|one| one["nodeName"].as_str())
                .collect();
            let near = |node: &&&str| {
                node.strip_prefix("node-").is_some_and(|node| node.parse::<u32>().unwrap() % POOLS == 0)
            };
            assert_eq!(nodes.iter().filter(near).count(), usize::from(IN_POOL), "Service {number}");
            assert_eq!(nodes.contains(&MOVER), is_on_mover(number), "Service {number}");
        }
        assert_eq!(SMALL.on_mover().count(), 50);
        assert!(SMALL.plain(20).all(|number| !is_annotated(number)));
    }

    #[test]
    fn an_address_tells_its_change() {
        for (text, change) in [
            (r#""11.0.1.4","#, Some(260)),
            (r#""12.0.1.4","#, None),
            (r#""11.0.1"#, None),
            ("11.0.1.4\"", None),
        ] {
            assert_eq!(change_in_json(text.as_bytes()), change, "{text}");
        }
    }
}
