//! What an operator should know about a Service that is not simply served as asked.

use serde::{Deserialize, Serialize};

use crate::model::{Frontend, ObjectName, Protocol, Service, Skipped};
use crate::plan::{Mirror, not_yet};
use crate::select::topology::Topology;
use crate::store::{Disposition, LeaveWhy, Port, Store};

/// Why a Service is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// The annotation is not understood.
    InvalidTopology,
    /// It has a topology and does not count, so that the topology has no effect.
    CannotBeFiltered,
    /// Another Service owns the address.
    Conflict,
    /// Its topology reads node labels that were never known.
    WaitsForNode,
    /// No room in a map.
    Short,
    /// It has a topology that this version's programs do not carry out.
    NotCovered,
    /// It has a topology, and addresses that lead around it.
    ReachableAround,
    /// Left alone at the operator's or the owner's wish.
    LeftAlone,
}

impl MarkKind {
    pub const ALL: [Self; 8] = [
        Self::InvalidTopology,
        Self::CannotBeFiltered,
        Self::Conflict,
        Self::WaitsForNode,
        Self::Short,
        Self::NotCovered,
        Self::ReachableAround,
        Self::LeftAlone,
    ];

    /// Its name in status output and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InvalidTopology => "invalid-topology",
            Self::CannotBeFiltered => "cannot-be-filtered",
            Self::Conflict => "conflict",
            Self::WaitsForNode => "waits-for-node",
            Self::Short => "short",
            Self::NotCovered => "not-covered",
            Self::ReachableAround => "reachable-around",
            Self::LeftAlone => "left-alone",
        }
    }

    /// Whether the operator has reason to act.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        !matches!(self, Self::LeftAlone)
    }
}

/// One remark about one Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// `namespace/name`.
    pub service: String,
    pub kind: MarkKind,
    pub text: String,
}

/// All remarks about all Services, sorted.
#[must_use]
pub fn marks(store: &Store, mirror: Option<&Mirror>) -> Vec<Mark> {
    let names: Vec<ObjectName> = store.services().map(|(service, _)| service.name.clone()).collect();
    let mut marks: Vec<Mark> = names.iter().flat_map(|name| marks_of(store, mirror, name)).collect();
    marks.sort();
    marks
}

/// The remarks about one Service.
#[must_use]
pub fn marks_of(store: &Store, mirror: Option<&Mirror>, name: &ObjectName) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut mark = |kind, text: String| {
        let mark = Mark { service: name.to_string(), kind, text };
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    };
    if let Some((service, topology)) = store.service(name) {
        of_service(service, topology, &mut mark);
    }
    for port in store.ports(name) {
        of_port(&port, &mut mark);
    }
    let short = mirror.and_then(|mirror| mirror.starved().get(name));
    for short in short.into_iter().flat_map(std::collections::BTreeMap::values) {
        mark(MarkKind::Short, short.describe().to_owned());
    }
    marks
}

fn of_service(service: &Service, topology: &Topology, mark: &mut impl FnMut(MarkKind, String)) {
    if *topology == Topology::None {
        return;
    }
    if let Topology::Invalid(invalid) = topology {
        mark(MarkKind::InvalidTopology, format!("openyurt.io/topologyKeys is not understood: {invalid}"));
    }
    if let Some(skipped) = &service.skipped {
        mark(MarkKind::CannotBeFiltered, format!("cannot be filtered: {}", why_skipped(skipped)));
    } else if service.reachable_around {
        let text = "external IPs, load balancer addresses and node ports lead around its topology".to_owned();
        mark(MarkKind::ReachableAround, text);
    }
}

fn of_port(port: &Port<'_>, mark: &mut impl FnMut(MarkKind, String)) {
    let has_topology = *port.topology != Topology::None;
    let at = at(&port.dialled);
    match &port.disposition {
        Disposition::Wait => mark(
            MarkKind::WaitsForNode,
            "its topology reads node labels, and this node's were never known: untouched".to_owned(),
        ),
        Disposition::Leave(LeaveWhy::Conflict(_)) => {
            let text = port_text(&at, &port.disposition);
            mark(MarkKind::Conflict, text);
        }
        Disposition::Leave(_) => mark(MarkKind::LeftAlone, port_text(&at, &port.disposition)),
        Disposition::Serve(_) => {
            if let Some(why) = not_yet(port).filter(|_| has_topology) {
                mark(
                    MarkKind::NotCovered,
                    format!("{at}: {}: its topology has no effect there", why.describe()),
                );
            } else if has_topology && port.service.affinity.is_some() {
                let text = "session affinity is given up for its topology by this version".to_owned();
                mark(MarkKind::NotCovered, text);
            }
        }
    }
}

fn port_text(at: &str, said: &Disposition<'_>) -> String {
    match said {
        Disposition::Leave(why) => format!("{at}: {}", why.describe()),
        Disposition::Serve(_) | Disposition::Wait => at.to_owned(),
    }
}

/// Why a Service does not count, in words.
#[must_use]
pub fn why_skipped(skipped: &Skipped) -> String {
    match skipped {
        Skipped::ExternalName => "type ExternalName".to_owned(),
        Skipped::Headless => "headless".to_owned(),
        Skipped::NoClusterIp => "no cluster IP".to_owned(),
        Skipped::OtherProxy(proxy) => {
            format!("the label service.kubernetes.io/service-proxy-name gives it to {proxy}")
        }
    }
}

fn at(dialled: &Frontend) -> String {
    let protocol = match dialled.protocol {
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => dialled.protocol.label(),
    };
    format!("{}/{protocol}", dialled.address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::convert::{Interner, service};
    use crate::model::{Change, Kind, Object};
    use crate::store::Rules;

    const POOL: &str = "openyurt.io/nodepool";

    #[test]
    fn a_topology_that_has_no_effect_somewhere_is_marked() {
        let tcp = json!([{"port": 80, "protocol": "TCP"}]);
        let udp = json!([{"port": 53, "protocol": "UDP"}]);
        let node_port = json!([{"port": 80, "nodePort": 30080}]);
        for (shows, spec, without, with) in [
            ("ordinary", json!({"clusterIP": "10.0.0.1", "ports": tcp}), "", ""),
            ("headless", json!({"clusterIP": "None", "ports": tcp}), "", "CannotBeFiltered"),
            ("UDP", json!({"clusterIP": "10.0.0.1", "ports": udp}), "", "NotCovered"),
            ("IPv6", json!({"clusterIP": "fd00::1", "ports": tcp}), "", "NotCovered"),
            (
                "affinity, which is given up for it",
                json!({"clusterIP": "10.0.0.1", "ports": tcp, "sessionAffinity": "ClientIP"}),
                "",
                "NotCovered",
            ),
            ("a node port", json!({"clusterIP": "10.0.0.1", "ports": node_port}), "", "ReachableAround"),
        ] {
            assert_eq!(kinds(json!({}), &spec, &[Kind::Node]), without, "{shows}, without a topology");
            let topology = json!({"openyurt.io/topologyKeys": "kubernetes.io/hostname"});
            assert_eq!(kinds(topology, &spec, &[Kind::Node]), with, "{shows}, with a topology");
        }
    }

    #[test]
    fn what_is_not_served_as_asked_says_why() {
        let spec = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80}]});
        for (shows, annotations, mark) in [
            ("not understood", json!({"openyurt.io/topologyKeys": "rack"}), "InvalidTopology"),
            ("labels never known", json!({"openyurt.io/topologyKeys": POOL}), "WaitsForNode"),
            ("discarded", json!({"svc.openyurt.io/discard": "true"}), "LeftAlone"),
        ] {
            assert_eq!(kinds(annotations, &spec, &[]), mark, "{shows}");
        }
    }

    /// The kinds of marks of a Service that is written so.
    fn kinds(annotations: serde_json::Value, spec: &serde_json::Value, synced: &[Kind]) -> String {
        let metadata = json!({"name": "s", "annotations": annotations});
        let written = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        let object = serde_json::from_value(written).unwrap();
        let object = service(&object, &mut Interner::default()).unwrap().object;
        let mut store = Store::new("n1", Rules::default());
        store.apply(Change::Apply(Object::Service(object)));
        for kind in [Kind::Service, Kind::EndpointSlice].iter().chain(synced) {
            store.apply(Change::Synced(*kind));
        }
        let marks = marks(&store, None);
        marks.iter().map(|mark| format!("{:?}", mark.kind)).collect::<Vec<_>>().join(" ")
    }
}
