//! What one node does with every service port, and why, as a value that can be printed. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::self_test::is_self_test;
use crate::model::{AddressKind, ObjectName, Service, ServicePortKey, Skipped, Slice};
use crate::select::decide::Decision;
use crate::select::nodes::NodeIndex;
use crate::select::topology::Topology;
use crate::shown::{Quoted, shown};
use crate::store::{Disposition, LeaveWhy, Port, Store, Unknown};

use super::narrowed::{NarrowedBy, narrowed_by};
use super::topologies::{Origin, WrittenView};
use super::{dns, refused, topologies};

/// Everything that a node decides. Its JSON is an interface: fields may be added, none may go.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decisions {
    pub node: String,
    /// `None` without a pool label: a pool of one.
    pub pool: Option<String>,
    /// Sorted by namespace, service, port name, protocol and cluster IP, each as written here.
    pub service_ports: Vec<ServicePort>,
    /// Objects that have no say.
    pub ignored: Vec<Ignored>,
}

/// One service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    pub namespace: String,
    pub service: String,
    pub port_name: String,
    pub protocol: &'static str,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    pub port: u16,
    /// The annotation as written, as far as it is shown.
    pub topology: Option<String>,
    /// Which annotation that is, where it is not openyurt.io/topologyKeys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology_annotation: Option<String>,
    /// The topology that it has by flag instead, as far as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology_by_flag: Option<String>,
    /// The topology that its Namespace gives it instead, as far as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology_by_namespace: Option<String>,
    pub outcome: Action,
    /// How far from the node its connections go; `None` where nothing is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Why it is left alone, refused, waits, or is decided on a part of what it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the kernel holds for it stays, since something that decides is not known.
    #[serde(skip)]
    pub kept: bool,
    #[serde(skip)]
    pub narrowed_by: Option<NarrowedBy>,
    /// Sorted as strings.
    pub backends: Vec<String>,
    /// Sorted by backend, as strings.
    pub excluded: Vec<Excluded>,
    /// Where else it can be dialled; sorted as strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub further: Vec<FurtherAddress>,
    /// What of the topology is not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// Which annotations ask for something else than the one that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub two_topologies: Option<String>,
    /// How connections can get past the topology.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<&'static str>,
    /// What a topology that goes no further does to DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<&'static str>,
}

impl ServicePort {
    /// What clients dial, with the port.
    #[must_use]
    pub fn address(&self) -> String {
        let Self { cluster_ip, port, .. } = self;
        if cluster_ip.contains(':') {
            format!("[{cluster_ip}]:{port}")
        } else {
            format!("{cluster_ip}:{port}")
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Forward,
    /// The set is empty.
    Refuse,
    /// Not ours to touch.
    Leave,
    /// Something that it reads is not known yet.
    Wait,
}

/// An address of a service port besides its cluster IP. Traffic policies do not matter there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct FurtherAddress {
    /// With the port.
    pub address: String,
    pub kind: Cow<'static, str>,
    pub outcome: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Sorted as strings.
    pub backends: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Excluded {
    pub backend: String,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Ignored {
    pub object: String,
    pub why: String,
    /// Set where its topology has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
}

/// What the node of `store` does with every service port, and which objects have no say.
#[must_use]
pub fn decisions(store: &Store) -> Decisions {
    let nodes = store.nodes();
    let services = store.services().map(|(service, _)| &service.name).filter(|name| !is_self_test(name));
    let mut ports: Vec<ServicePort> = services.flat_map(|name| service_ports(store, name)).collect();
    ports.sort_by(|one, other| place(one).cmp(&place(other)));
    Decisions {
        node: shown(&nodes.here),
        pool: nodes.own_pool().map(|pool| shown(pool)),
        service_ports: ports,
        ignored: ignored(store),
    }
}

/// The service ports of one Service, in the order of its object.
#[must_use]
pub fn service_ports(store: &Store, service: &ObjectName) -> Vec<ServicePort> {
    let (own, further): (Vec<_>, Vec<_>) =
        store.ports(service).into_iter().partition(|port| port.kind == AddressKind::ClusterIp);
    let mut also: BTreeMap<&ServicePortKey, Vec<&Port<'_>>> = BTreeMap::new();
    for port in &further {
        also.entry(&port.key).or_default().push(port);
    }
    let ports = own.iter().map(|port| {
        // Where two ports have one name, the first has them.
        let also = also.remove(&port.key).unwrap_or_default();
        let leads_around = also.iter().any(|other| leads_around(other));
        let left_alone = matches!(port.disposition, Disposition::Leave(_));
        let mut further: Vec<FurtherAddress> =
            also.into_iter().map(|other| further_address(other, store)).collect();
        further.sort_unstable();
        let around = (leads_around && !left_alone).then_some(AROUND);
        ServicePort { further, around, ..service_port(port, store) }
    });
    ports.collect()
}

/// Whether connections get past the topology at this address.
fn leads_around(port: &Port<'_>) -> bool {
    let is_left = match &port.disposition {
        Disposition::Leave(LeaveWhy::ExternalIpsOff | LeaveWhy::SourceRanges) => true,
        Disposition::Leave(_) | Disposition::Serve(_) | Disposition::Keep { .. } => false,
    };
    is_left && *port.topology != Topology::None
}

fn place(port: &ServicePort) -> impl Ord + use<'_> {
    let ServicePort { namespace, service, port_name, protocol, cluster_ip, port, .. } = port;
    (namespace, service, port_name, *protocol, cluster_ip, *port)
}

fn service_port(port: &Port<'_>, store: &Store) -> ServicePort {
    let Port { key, dialled, kind: _, service, topology, disposition } = port;
    let Said { outcome, why, decision } = said(port, store);
    let (backends, excluded) = decision.map(|decision| sets(decision, store.nodes())).unwrap_or_default();
    let written = WrittenView::of(store.written(service));
    // An empty annotation is shown, and says nothing.
    let empty = service.topology.as_deref().map(shown);
    let (annotation, by_flag, by_namespace) = match written.origin {
        Some(Origin::Annotation) => (written.text, None, None),
        Some(Origin::Flag) => (empty, written.text, None),
        Some(Origin::Namespace) => (empty, None, written.text),
        None => (empty, None, None),
    };
    let differing: Vec<String> = store.differing(service).iter().map(topologies::two).collect();
    let dns = match disposition {
        Disposition::Serve(decision) => dns::is_out_of_reach(port, decision),
        Disposition::Leave(_) | Disposition::Keep { .. } => false,
    };
    ServicePort {
        namespace: shown(&key.service.namespace),
        service: shown(&key.service.name),
        port_name: shown(&key.port_name),
        protocol: key.protocol.label(),
        cluster_ip: dialled.address.ip().to_string(),
        port: dialled.address.port(),
        topology: annotation,
        topology_annotation: written.annotation,
        topology_by_flag: by_flag,
        topology_by_namespace: by_namespace,
        outcome,
        level: decision.map(|decision| decision.level.to_string()),
        why,
        kept: matches!(disposition, Disposition::Keep { .. }),
        narrowed_by: decision.and_then(narrowed_by),
        backends,
        excluded,
        further: Vec::new(),
        invalid: match topology {
            Topology::Invalid(invalid) => Some(invalid.to_string()),
            Topology::None | Topology::Hard(_) | Topology::Ordered(_) | Topology::Union(_) => None,
        },
        two_topologies: (!differing.is_empty()).then(|| differing.join("; ")),
        around: None,
        dns: dns.then_some(dns::OUT_OF_REACH),
    }
}

fn further_address(port: &Port<'_>, store: &Store) -> FurtherAddress {
    let Said { outcome, why, decision } = said(port, store);
    FurtherAddress {
        address: port.dialled.address.to_string(),
        kind: port.kind.label().into(),
        outcome,
        why,
        backends: decision.map(|decision| sets(decision, store.nodes()).0).unwrap_or_default(),
    }
}

/// What becomes of a connection, why if that needs a reason, and what was decided if anything was.
struct Said<'a> {
    outcome: Action,
    why: Option<String>,
    decision: Option<&'a Decision<'a>>,
}

fn said<'a>(port: &'a Port<'_>, store: &Store) -> Said<'a> {
    let (decision, why) = match &port.disposition {
        Disposition::Serve(decision) => (Ok(decision), None),
        Disposition::Leave(why) => (Err(Action::Leave), Some(why.describe())),
        Disposition::Keep { unknown: Unknown::OwnNode, .. } => {
            (Err(Action::Wait), Some(NODE_UNKNOWN.to_owned()))
        }
        Disposition::Keep { unknown, otherwise } => {
            (otherwise.as_ref().ok_or(Action::Wait), Some(unknown.to_string()))
        }
    };
    match decision {
        Ok(decision) if decision.chosen.is_empty() => {
            let why = why.or_else(|| refused::why(store, port, decision));
            Said { outcome: Action::Refuse, why, decision: Some(decision) }
        }
        Ok(decision) => Said { outcome: Action::Forward, why, decision: Some(decision) },
        Err(outcome) => Said { outcome, why, decision: None },
    }
}

const NODE_UNKNOWN: &str = "the topology reads node labels, and this node's are not known yet";
const AROUND: &str = "a further address that is left alone is not filtered";

fn sets(decision: &Decision<'_>, nodes: &NodeIndex) -> (Vec<String>, Vec<Excluded>) {
    let mut backends: Vec<String> =
        decision.chosen.iter().map(|candidate| candidate.backend.to_string()).collect();
    backends.sort_unstable();
    let excluded = decision.excluded.iter().map(|(candidate, why)| Excluded {
        backend: candidate.backend.to_string(),
        why: why.describe(candidate, nodes),
    });
    let mut excluded: Vec<Excluded> = excluded.collect();
    excluded.sort_by(|one, other| one.backend.cmp(&other.backend));
    (backends, excluded)
}

fn ignored(store: &Store) -> Vec<Ignored> {
    let services = store.services().filter_map(|(service, topology)| ignored_service(service, topology));
    let slices = store.slices().filter_map(|slice| ignored_slice(slice, store));
    let by_flag = topologies::by_flag(store).into_iter().filter_map(ignored_topology);
    let mut ignored: Vec<Ignored> = services.chain(slices).chain(by_flag).collect();
    ignored.sort_unstable();
    ignored
}

fn ignored_topology(topology: topologies::Topology) -> Option<Ignored> {
    let topologies::Topology { service, keys, effect } = topology;
    let why = effect.why_not()?;
    let object = format!("--topology {service}={keys}");
    Some(Ignored { object, why: why.to_owned(), diagnostic: None })
}

fn ignored_service(service: &Service, topology: &Topology) -> Option<Ignored> {
    let why = why_skipped(service.skipped.as_ref()?);
    let diagnostic = (*topology != Topology::None).then(|| format!("cannot be filtered: {why}"));
    Some(Ignored { object: format!("Service {}", service.name), why, diagnostic })
}

/// Why a Service does not count, as part of a sentence.
#[must_use]
pub fn why_skipped(skipped: &Skipped) -> String {
    match skipped {
        Skipped::ExternalName => "ExternalName".to_owned(),
        Skipped::Headless => "headless".to_owned(),
        Skipped::NoClusterIp => "no cluster IP".to_owned(),
        Skipped::UnusableClusterIp => "no cluster IP that can be used".to_owned(),
        Skipped::OtherProxy(proxy) => {
            format!("left to proxy {} by the label service.kubernetes.io/service-proxy-name", Quoted(proxy))
        }
    }
}

/// Why none of the endpoints of a slice counts, whichever Service it names.
pub(super) fn why_no_endpoint_counts(slice: &Slice) -> Option<String> {
    if slice.headless {
        return Some("marked headless by the label service.kubernetes.io/headless".to_owned());
    }
    let is_read = slice.family.is_some();
    let why = || slice.not_read.as_deref().unwrap_or("its addressType is neither IPv4 nor IPv6").to_owned();
    (!is_read).then(why)
}

/// A slice is listed where it never counts, whatever its Service does.
fn ignored_slice(slice: &Slice, store: &Store) -> Option<Ignored> {
    let why = match (why_no_endpoint_counts(slice), &slice.service) {
        (Some(why), _) => why,
        (None, None) => "without the label kubernetes.io/service-name".to_owned(),
        (None, Some(service)) => {
            let service = ObjectName { name: Arc::clone(service), ..slice.name.clone() };
            if store.has_service(&service) {
                return None;
            }
            format!("there is no Service {service}")
        }
    };
    Some(Ignored { object: format!("EndpointSlice {}", slice.name), why, diagnostic: None })
}

#[cfg(test)]
mod tests {
    use crate::convert::Interner;
    use crate::manifest::read;
    use crate::model::{Change, Kind, Node, Object};
    use crate::store::Rules;

    use super::*;

    #[test]
    fn a_service_port_that_waits_for_its_node_says_so() {
        let mut store = Store::new("n1", Rules::default());
        let text = r#"{"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "annotations": {"openyurt.io/topologyKeys": "openyurt.io/nodepool"}},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}"#;
        for defined in read(text, &mut Interner::default()).objects {
            store.apply(Change::Apply(defined.object));
        }
        let port = &decisions(&store).service_ports[0];
        assert_eq!((port.outcome, port.why.as_deref()), (Action::Wait, Some(NODE_UNKNOWN)));

        store.apply(Change::Apply(Object::Node(Node {
            name: "n1".into(),
            labels: [].into(),
            odd_labels: Vec::new(),
        })));
        store.apply(Change::Synced(Kind::Node));
        assert_eq!(decisions(&store).service_ports[0].outcome, Action::Refuse);
    }

    #[test]
    fn an_empty_decision_has_all_its_fields() {
        let empty = serde_json::to_value(decisions(&Store::new("n1", Rules::default()))).unwrap();
        let fields = serde_json::json!({"node": "n1", "pool": null, "servicePorts": [], "ignored": []});
        assert_eq!(empty, fields);
    }
}
