//! What this node does with every service port, a line each. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shown::line;

use super::decisions::{Action, Decisions, Ignored, ServicePort, decisions};
use super::held::Held;
use super::narrowed::NarrowedBy;
use super::published::Published;
use super::state::StateView;
use super::topologies::Origin;

/// Every service port of a node. Its JSON is an interface: fields may be added, none may go.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    pub node: String,
    /// `null` without a pool label: a pool of one.
    pub pool: Option<String>,
    /// Where what decides comes from.
    pub state: StateView,
    /// By namespace, Service, port name, protocol and address.
    pub service_ports: Vec<ServiceLine>,
    /// Objects that have no say.
    pub ignored: Vec<Ignored>,
}

/// One service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceLine {
    pub namespace: String,
    pub service: String,
    pub port_name: String,
    pub protocol: String,
    /// The cluster IP, with the port.
    pub address: String,
    /// As written, as far as it is shown; `null` without one.
    pub topology: Option<String>,
    /// Where that is written; `null` without one.
    pub origin: Option<Origin>,
    /// The annotation, where it is not openyurt.io/topologyKeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    pub outcome: Action,
    /// How far from the node its connections go; `null` where nothing is decided.
    pub level: Option<String>,
    pub why: Option<String>,
    /// What the kernel holds for it stays, since something that decides is not known.
    pub kept: bool,
    /// What leaves out endpoints that other nodes of the same pool may use; not there where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_by: Option<NarrowedBy>,
    pub backends: Vec<String>,
    /// How many more endpoints it has.
    pub not_used: usize,
    /// What the kernel holds for it; `null` where it was not looked at.
    #[serde(default)]
    pub kernel: Option<Held>,
}

/// What the node does with every service port.
#[must_use]
pub fn services(published: &Published) -> Services {
    let Decisions { node, pool, service_ports, ignored } = decisions(&published.store);
    let service_ports = service_ports.into_iter().map(of_port).collect();
    Services { node, pool, state: StateView::of(published), service_ports, ignored }
}

fn of_port(port: ServicePort) -> ServiceLine {
    let address = port.address();
    let annotation = port.topology.filter(|text| !text.is_empty());
    let (topology, origin) = match (port.topology_by_flag, port.topology_by_namespace, annotation) {
        (Some(keys), _, _) => (Some(keys), Some(Origin::Flag)),
        (None, Some(keys), _) => (Some(keys), Some(Origin::Namespace)),
        (None, None, Some(text)) => (Some(text), Some(Origin::Annotation)),
        (None, None, None) => (None, None),
    };
    ServiceLine {
        namespace: port.namespace,
        service: port.service,
        port_name: port.port_name,
        protocol: port.protocol.to_owned(),
        address,
        topology,
        origin,
        annotation: port.topology_annotation,
        outcome: port.outcome,
        level: port.level,
        why: port.why.as_deref().map(line),
        kept: port.kept,
        narrowed_by: port.narrowed_by,
        backends: port.backends,
        not_used: port.excluded.len(),
        kernel: None,
    }
}
