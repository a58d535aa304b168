//! Why connections to one Service go where they go, as one value. Pure.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::self_test::is_self_test;
use crate::model::{AddressKind, ObjectName, Slice, SlicePort};
use crate::select::candidate::Candidate;
use crate::select::decide::Decision;
use crate::shown::{Quoted, Shown, line, shown};
use crate::store::{Disposition, Port, Store};

use super::asked::{Asked, find, no_service};
use super::decisions::{
    Action, FurtherAddress, ServicePort, service_ports, why_no_endpoint_counts, why_skipped,
};
use super::diagnostic::Diagnostic;
use super::held::Held;
use super::narrowed::NarrowedBy;
use super::published::Published;
use super::state::StateView;
use super::topologies::{Origin, WrittenView};

/// All that this node knows and decides of one Service. Its JSON is an interface: fields may be added, none may go.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub node: String,
    /// `null` without a pool label: a pool of one.
    pub pool: Option<String>,
    pub namespace: String,
    pub service: String,
    /// Where what decides comes from.
    pub state: StateView,
    pub topology: TopologyView,
    /// Why the whole Service is not looked at.
    pub ignored: Option<String>,
    /// In the order of the Service's own list. Those that were asked for.
    pub ports: Vec<PortView>,
    /// By name.
    pub slices: Vec<SliceView>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The topology of a Service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyView {
    /// As far as it is shown; `null` without one.
    pub written: Option<String>,
    /// Where it is written; `null` without one.
    pub origin: Option<Origin>,
    /// The annotation, where it is not openyurt.io/topologyKeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    /// What it asks for, as a sentence.
    pub means: String,
}

/// One service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    pub port_name: String,
    pub protocol: String,
    /// The cluster IP, with the port.
    pub address: String,
    pub outcome: Action,
    /// How far from the node its connections go; `null` where nothing is decided.
    pub level: Option<String>,
    /// Why it is left alone, refused, waits, or is decided on a part of what it reads.
    pub why: Option<String>,
    /// What the kernel holds for it stays, since something that decides is not known.
    pub kept: bool,
    /// What leaves out endpoints that other nodes of the same pool may use; not there where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_by: Option<NarrowedBy>,
    /// Those that are used first; else by backend.
    pub endpoints: Vec<EndpointView>,
    /// Where else it can be dialled.
    pub further: Vec<FurtherAddress>,
    /// What else there is to know, each a sentence.
    pub notes: Vec<String>,
    /// What the kernel holds for it; `null` where it was not looked at.
    #[serde(default)]
    pub kernel: Option<Held>,
}

/// One endpoint of a service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// Its address, with the port.
    pub backend: String,
    pub node: Option<String>,
    /// `null` where the node is in none, or is not known.
    pub pool: Option<String>,
    /// Whether this node's connections go there.
    pub used: bool,
    /// Why it is not used.
    pub why: Option<String>,
}

/// One EndpointSlice that names the Service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SliceView {
    pub name: String,
    /// `null` where its `addressType` is no IP family.
    pub family: Option<String>,
    /// As in `http/TCP 8080`.
    pub ports: Vec<String>,
    pub endpoints: usize,
    /// Why none of its endpoints counts.
    pub ignored: Option<String>,
}

/// Explains what `asked` names: `[NAMESPACE/]NAME[:PORT]`, or an address that clients dial, with or without its port.
///
/// # Errors
/// There is no such Service, address or port; the sentence names those that were probably meant.
pub fn explain(published: &Published, asked: &str) -> Result<Explanation, String> {
    let store = &published.store;
    let Asked { service, port } = find(store, asked)?;
    let Some((object, topology)) = store.service(&service).filter(|_| !is_self_test(&service)) else {
        return Err(no_service(store, &service));
    };
    let own = store.ports(&service).into_iter().filter(|port| port.kind == AddressKind::ClusterIp);
    let mut ports: Vec<PortView> = service_ports(store, &service)
        .into_iter()
        .zip(own)
        .map(|(decided, port)| port_view(decided, &port, store))
        .collect();
    if let Some(port) = port {
        ports = ports_of(ports, &service, &port)?;
    }
    let WrittenView { text: written, origin, annotation } = WrittenView::of(store.written(object));
    let means = line(&topology.describe(store.on_invalid()));
    let mut slices: Vec<SliceView> = store.slices_of(&service).map(slice_view).collect();
    slices.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Explanation {
        node: shown(&store.nodes().here),
        pool: store.nodes().own_pool().map(|pool| shown(pool)),
        namespace: shown(&service.namespace),
        service: shown(&service.name),
        state: StateView::of(published),
        topology: TopologyView { written, origin, annotation, means },
        ignored: object.skipped.as_ref().map(why_skipped),
        ports,
        slices,
        diagnostics: published.diagnostics.of(&service).to_vec(),
    })
}

/// Those of the ports that have this name, or this number at one of their addresses.
fn ports_of(all: Vec<PortView>, service: &ObjectName, asked: &str) -> Result<Vec<PortView>, String> {
    let number: Option<u16> = asked.parse().ok();
    let has = |address: &str| number.is_some() && port_of(address) == number;
    let is_meant = |port: &PortView| {
        port.port_name == asked
            || has(&port.address)
            || port.further.iter().any(|further| has(&further.address))
    };
    let known = names_of(&all);
    let found: Vec<PortView> = all.into_iter().filter(is_meant).collect();
    if found.is_empty() {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("Service {service} has no port {}; it has {known}", Quoted(asked)));
    }
    Ok(found)
}

fn port_of(address: &str) -> Option<u16> {
    address.parse().map(|at: SocketAddr| at.port()).ok()
}

fn names_of(ports: &[PortView]) -> Vec<String> {
    let name = |port: &PortView| {
        let number = port_of(&port.address).unwrap_or_default();
        match port.port_name.as_str() {
            "" => format!("{number}/{}", port.protocol),
            name => format!("{name} ({number}/{})", port.protocol),
        }
    };
    let mut names: Vec<String> = ports.iter().map(name).collect();
    // A Service of two families has each port twice.
    names.sort_unstable();
    names.dedup();
    names
}

fn port_view(decided: ServicePort, port: &Port<'_>, store: &Store) -> PortView {
    let ServicePort { port_name, protocol, outcome, level, why, kept, further, around, dns, .. } = decided;
    let narrowed_by = decided.narrowed_by;
    PortView {
        port_name,
        protocol: protocol.to_owned(),
        address: port.dialled.address.to_string(),
        outcome,
        level,
        why,
        kept,
        narrowed_by,
        endpoints: decision(port).map(|decision| endpoints(decision, store)).unwrap_or_default(),
        further,
        notes: [around, dns].into_iter().flatten().map(str::to_owned).collect(),
        kernel: None,
    }
}

fn decision<'a>(port: &'a Port<'_>) -> Option<&'a Decision<'a>> {
    match &port.disposition {
        Disposition::Serve(decision) | Disposition::Keep { otherwise: Some(decision), .. } => Some(decision),
        Disposition::Leave(_) | Disposition::Keep { otherwise: None, .. } => None,
    }
}

fn endpoints(decision: &Decision<'_>, store: &Store) -> Vec<EndpointView> {
    let nodes = store.nodes();
    let view = |candidate: &Candidate<'_>, why: Option<String>| EndpointView {
        backend: candidate.backend.to_string(),
        node: candidate.node.map(|node| shown(node)),
        pool: candidate.node.and_then(|node| nodes.pool(node)).map(|pool| shown(pool)),
        used: why.is_none(),
        why,
    };
    let used = decision.chosen.iter().map(|candidate| view(candidate, None));
    let others = decision.excluded.iter();
    used.chain(others.map(|(candidate, why)| view(candidate, Some(why.describe(candidate, nodes))))).collect()
}

fn slice_view(slice: &Slice) -> SliceView {
    let port = |port: &SlicePort| {
        let name = if port.name.is_empty() { String::new() } else { format!("{}/", Shown(&port.name)) };
        format!("{name}{} {}", port.protocol.label(), port.port)
    };
    SliceView {
        name: shown(&slice.name.name),
        family: slice.family.map(|family| family.label().to_owned()),
        ports: slice.ports.iter().map(port).collect(),
        endpoints: slice.endpoints.len(),
        ignored: why_no_endpoint_counts(slice).map(|why| line(&why)),
    }
}

#[cfg(test)]
mod tests;
