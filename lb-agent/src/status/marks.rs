//! What an operator should know about a Service that is not simply served as asked.

use serde::{Deserialize, Serialize};

use crate::model::{Dialled, ObjectName, Protocol, Service, Skipped};
use crate::plan::{Plan, not_yet};
use crate::select::topology::Topology;
use crate::store::{LeaveWhy, Port, Said, Store};

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
pub fn marks(store: &Store, plan: Option<&Plan>) -> Vec<Mark> {
    let names: Vec<ObjectName> = store.services().map(|(service, _)| service.name.clone()).collect();
    let mut marks: Vec<Mark> = names.iter().flat_map(|name| marks_of(store, plan, name)).collect();
    marks.sort();
    marks
}

/// The remarks about one Service.
#[must_use]
pub fn marks_of(store: &Store, plan: Option<&Plan>, name: &ObjectName) -> Vec<Mark> {
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
    let short = plan.and_then(|plan| plan.short().get(name));
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
    match &port.said {
        Said::Wait => mark(
            MarkKind::WaitsForNode,
            "its topology reads node labels, and this node's were never known: untouched".to_owned(),
        ),
        Said::Leave(LeaveWhy::Conflict(_)) => {
            let text = port_text(&at, &port.said);
            mark(MarkKind::Conflict, text);
        }
        Said::Leave(_) => mark(MarkKind::LeftAlone, port_text(&at, &port.said)),
        Said::Serve(_) => {
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

fn port_text(at: &str, said: &Said<'_>) -> String {
    match said {
        Said::Leave(why) => format!("{at}: {}", why.describe()),
        Said::Serve(_) | Said::Wait => at.to_owned(),
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

fn at(dialled: &Dialled) -> String {
    let protocol = match dialled.protocol {
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => dialled.protocol.label(),
    };
    format!("{}/{protocol}", dialled.address)
}
