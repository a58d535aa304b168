//! What the kernel holds right now, as a value. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Serialize;

use crate::plan::Observed;
use lb_common::element::check;
use lb_common::family::V4;
use lb_common::layout::{Backend4, FLAG_TOPOLOGY, Frontend4, INLINE_BACKENDS, Service4};

/// The kernel's side of `lb-agent status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelView {
    pub pin_root: String,
    pub layout: u32,
    /// The process that holds the pin root; `None` when no agent runs.
    pub held_by: Option<String>,
    pub hooks: Vec<HookView>,
    pub services: Vec<ServiceView>,
    /// How often each outcome was reached, over all hooks.
    pub outcomes: Vec<OutcomeView>,
    /// Lookups that met a write in progress and were repeated.
    pub lookup_retries: u64,
    /// Regions that were used again under their reader.
    pub stale_region_reads: u64,
    pub maps: Vec<FillView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    pub hook: String,
    pub program_id: u32,
    /// Zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// Ids of programs that run before ours and may rewrite first; `null` where it cannot be told.
    pub before: Option<Vec<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    pub namespace: String,
    pub service: String,
    pub port_name: String,
    pub protocol: String,
    /// Cluster IP and port.
    pub address: String,
    pub id: u32,
    pub revision: u32,
    pub topology: bool,
    /// `forward`, `refuse`, or `unproven` for an element that does not prove itself.
    pub outcome: String,
    pub backends: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeView {
    pub outcome: String,
    pub times: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FillView {
    pub map: String,
    pub used: u64,
    pub max_entries: u64,
}

/// The service ports in `observed`, by name.
#[must_use]
pub fn services(observed: &Observed) -> Vec<ServiceView> {
    let mut services: Vec<ServiceView> =
        observed.services.iter().map(|(frontend, value)| service(observed, frontend, value)).collect();
    services.sort();
    services
}

fn service(observed: &Observed, frontend: &Frontend4, value: &Service4) -> ServiceView {
    let key = observed.key(value.id);
    let inline = usize::from(value.count).min(INLINE_BACKENDS);
    let proven = check::<V4>(frontend, value) == value.check;
    let tail = observed.tail(value).filter(|_| proven);
    let outcome = match (&tail, value.count) {
        (None, _) => "unproven",
        (Some(_), 0) => "refuse",
        (Some(_), _) => "forward",
    };
    let tail = tail.unwrap_or_default();
    let mut backends: Vec<String> = value.inline[..inline].iter().chain(&tail).map(backend).collect();
    backends.sort();
    ServiceView {
        namespace: key.as_ref().map(|key| key.service.namespace.to_string()).unwrap_or_default(),
        service: key.as_ref().map(|key| key.service.name.to_string()).unwrap_or_default(),
        port_name: key.as_ref().map(|key| key.port_name.to_string()).unwrap_or_default(),
        protocol: if frontend.protocol == 17 { "UDP" } else { "TCP" }.to_owned(),
        address: socket(frontend.address, frontend.port).to_string(),
        id: value.id,
        revision: value.revision,
        topology: value.flags & FLAG_TOPOLOGY != 0,
        outcome: outcome.to_owned(),
        backends,
    }
}

fn backend(backend: &Backend4) -> String {
    socket(backend.address, backend.port).to_string()
}

fn socket(address: [u8; 4], port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), u16::from_be_bytes(port))
}

/// Entries of the region behind `service`, as it is allocated.
#[must_use]
pub fn in_region(service: &Service4) -> u64 {
    match usize::from(service.count).saturating_sub(INLINE_BACKENDS) {
        0 => 0,
        length => length.next_power_of_two() as u64,
    }
}
