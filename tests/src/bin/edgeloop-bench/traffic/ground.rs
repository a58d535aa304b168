//! The control plane, and the Services on it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::Site;
use edgeloop_tests::cluster::Cluster;
use serde_json::{Value, json};

use super::ports::Asked;

/// The node that everything runs on, by its name at the API server.
pub(super) const NODE: &str = "node-0";
/// How many Services are dialled in turn: rules that are gone through one after the other have them in any order.
const DIALLED: u32 = 16;
/// What the two backends of each of them are known by.
pub(super) const BACKENDS: [u8; 2] = [1, 2];

/// Objects that are created at a time.
const AT_ONCE: usize = 32;
/// Many times what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) struct Ground {
    pub(super) cluster: Cluster,
    /// Services that no client dials.
    pub(super) others: u32,
}

impl Ground {
    pub(super) fn new(site: &Site, others: u32) -> Result<Self> {
        let cluster = Cluster::up(site)?;
        cluster.register(NODE, &json!({}))?;
        let dialled = (0..DIALLED).flat_map(|number| {
            let ports = Asked::ALL.map(Asked::in_service).to_vec();
            let backends = BACKENDS.map(|id| backend(id, number));
            let slice = slice(&name("dialled", number), &Asked::ALL.map(Asked::in_slice), &backends);
            [service(&name("dialled", number), dialled(number), &ports), slice]
        });
        let other = (0..others).flat_map(|number| {
            let name = name("other", number);
            let port = Asked::Connection;
            let backends = [0, 1].map(|slot| Ipv4Addr::from(0x0af4_8000 + 2 * number + slot));
            [service(&name, other(number), &[port.in_service()]), slice(&name, &[port.in_slice()], &backends)]
        });
        let created = cluster.api().create_all(dialled.chain(other), AT_ONCE, PATIENCE);
        created.context("could not create the Services")?;
        Ok(Self { cluster, others })
    }

    /// Service ports with backends.
    pub(super) fn service_ports(&self) -> usize {
        DIALLED as usize * Asked::ALL.len() + self.others as usize
    }
}

/// The addresses of one backend: each Service has one of its own. With the same for all, connections to different
/// Services from one port of a client would be the same to conntrack once they are translated.
pub(super) fn backend_addresses(id: u8) -> Vec<Ipv4Addr> {
    (0..DIALLED).map(|number| backend(id, number)).collect()
}

/// The cluster IPs that are dialled.
pub(super) fn cluster_ips() -> Vec<Ipv4Addr> {
    (0..DIALLED).map(dialled).collect()
}

fn dialled(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a60_0100 + number)
}

fn backend(id: u8, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0af4_0001 + (u32::from(id) << 8) + number)
}

fn other(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a60_1000 + number)
}

fn name(kind: &str, number: u32) -> String {
    format!("{kind}-{number}")
}

fn service(name: &str, address: Ipv4Addr, ports: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": address, "ports": ports},
    })
}

fn slice(service: &str, ports: &[Value], backends: &[Ipv4Addr]) -> Value {
    let endpoints = backends.iter().map(|address| {
        json!({"addresses": [address], "nodeName": NODE, "conditions": {"ready": true, "serving": true, "terminating": false}})
    });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{service}-abcde"), "namespace": "default", "labels": {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "edgeloop-bench",
        }},
        "addressType": "IPv4", "ports": ports, "endpoints": endpoints.collect::<Vec<_>>(),
    })
}
