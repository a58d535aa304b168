//! What this node does with each service port of a Service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Family, Frontend, ObjectName, Protocol, Service, ServicePort, ServicePortKey};
use crate::select::candidate::{Candidate, candidates};
use crate::select::decide::{Decision, Why, decide};
use crate::select::topology::{OnInvalid, Topology};
use crate::shown::Quoted;

use super::{Entry, Store, Unknown};

/// One service port, and what is to be done with connections to it.
#[derive(Debug)]
pub struct Port<'a> {
    pub key: ServicePortKey,
    pub dialled: Frontend,
    pub service: &'a Service,
    pub topology: &'a Topology,
    pub disposition: Disposition<'a>,
}

#[derive(Debug)]
pub enum Disposition<'a> {
    /// Forward to what was chosen; refuse when nothing was.
    Serve(Decision<'a>),
    /// Not ours to touch.
    Leave(LeaveWhy),
    /// It reads something that was never read since the start: what the kernel holds for it stays.
    Keep {
        unknown: Unknown,
        /// What to do where the kernel holds nothing for it; `None` leaves it to kube-proxy.
        otherwise: Option<Decision<'a>>,
    },
}

/// Why a cluster IP is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaveWhy {
    /// `--exclude-service`.
    Excluded,
    /// `svc.openyurt.io/discard`.
    Discarded,
    Sctp,
    /// Another Service owns the address.
    Conflict(ObjectName),
    /// Another port of the Service comes first in its list, and has the same number and protocol.
    Repeated {
        port: Arc<str>,
        first: Arc<str>,
    },
}

impl LeaveWhy {
    /// One sentence without a full stop.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Excluded => "excluded by --exclude-service".to_owned(),
            Self::Discarded => "annotated svc.openyurt.io/discard".to_owned(),
            Self::Sctp => "SCTP is left to kube-proxy".to_owned(),
            Self::Conflict(owner) => format!("address and port belong to Service {owner}"),
            Self::Repeated { port, first } => {
                let (port, first) = (Quoted(port), Quoted(first));
                format!("port {port} claims what port {first} has, which stands first and is used")
            }
        }
    }
}

impl Store {
    /// The service ports of the Service `name`: none when it does not exist or does not count. Where it claims an
    /// address, port and protocol twice, the first of its list has it.
    #[must_use]
    pub fn ports(&self, name: &ObjectName) -> Vec<Port<'_>> {
        let Some(entry) = self.services.get(name) else { return Vec::new() };
        if entry.service.skipped.is_some() {
            return Vec::new();
        }
        let pairs = entry.service.addresses.iter().flat_map(|address| {
            entry.service.ports.iter().map(move |port| (SocketAddr::new(*address, port.port), port))
        });
        let mut taken: BTreeMap<Frontend, Arc<str>> = BTreeMap::new();
        let ports = pairs.map(|(address, port)| {
            let dialled = Frontend { address, protocol: port.protocol };
            let first = taken.get(&dialled).cloned();
            if first.is_none() {
                taken.insert(dialled, Arc::clone(&port.name));
            }
            self.port(entry, dialled, port, first)
        });
        ports.collect()
    }

    /// `first` is the port that has the same address, number and protocol and stands before it.
    fn port<'a>(
        &'a self,
        entry: &'a Entry,
        dialled: Frontend,
        port: &ServicePort,
        first: Option<Arc<str>>,
    ) -> Port<'a> {
        let key = ServicePortKey {
            service: entry.service.name.clone(),
            port_name: Arc::clone(&port.name),
            protocol: port.protocol,
            family: Family::of(dialled.address.ip()),
        };
        let repeated = first.map(|first| LeaveWhy::Repeated { port: Arc::clone(&port.name), first });
        let disposition = match self.leaves(&entry.service, &dialled).or(repeated) {
            Some(why) => Disposition::Leave(why),
            None => self.decide(entry, &key),
        };
        Port { key, dialled, service: &entry.service, topology: &entry.topology, disposition }
    }

    fn leaves(&self, service: &Service, dialled: &Frontend) -> Option<LeaveWhy> {
        let owner = self.claims.owner(dialled).filter(|owner| **owner != service.name);
        if dialled.protocol == Protocol::Sctp {
            Some(LeaveWhy::Sctp)
        } else if self.rules.excluded.contains(&service.name) {
            Some(LeaveWhy::Excluded)
        } else if service.discarded {
            Some(LeaveWhy::Discarded)
        } else {
            owner.cloned().map(LeaveWhy::Conflict)
        }
    }

    /// 1. A topology that reads labels waits for this node's, and is left to kube-proxy until then.
    /// 2. What hangs on a slice or Node that was never read is kept. Where the kernel holds nothing
    ///    for it, what was read decides, which is never wider than asked. But a Service without a
    ///    topology is not refused for that: kube-proxy serves it, which loses no connection.
    fn decide<'a>(&'a self, entry: &'a Entry, key: &ServicePortKey) -> Disposition<'a> {
        if entry.topology.reads_labels() && !self.knows_nodes() {
            return Disposition::Keep { unknown: Unknown::OwnNode, otherwise: None };
        }
        let decision = self.decision(entry, key);
        match self.unknown(entry) {
            None => Disposition::Serve(decision),
            Some(unknown) => {
                let serves = entry.topology != Topology::None || !decision.chosen.is_empty();
                Disposition::Keep { unknown, otherwise: serves.then_some(decision) }
            }
        }
    }

    /// A cluster IP is no endpoint, whatever a slice says: a connection there would get around the
    /// topology of the Service that owns it. It is left out before anything else is decided.
    fn decision<'a>(&'a self, entry: &'a Entry, key: &ServicePortKey) -> Decision<'a> {
        let all = candidates(self.slices_of(&entry.service.name), key);
        let mut out = Vec::new();
        let owner = |candidate: &Candidate<'_>| self.claims.owner_of_address(candidate.backend.ip());
        let pods = all.into_iter().filter(|candidate| match owner(candidate) {
            Some(owner) => {
                out.push((*candidate, Why::ClusterIp(owner.clone())));
                false
            }
            None => true,
        });
        let pods = pods.collect();
        let local = entry.service.internal_local;
        let mut decision = decide(&entry.topology, self.rules.on_invalid, local, &self.nodes, pods);
        decision.exclude(out);
        decision
    }

    /// What the decision about a Service reads and was never read since the start.
    fn unknown(&self, entry: &Entry) -> Option<Unknown> {
        let Entry { service, topology } = entry;
        if matches!(topology, Topology::Invalid(_)) && self.rules.on_invalid == OnInvalid::Refuse {
            return None; // Refused whatever there is.
        }
        let any_slice = self.slices_of(&service.name).next().is_some();
        if let Some(unknown) = self.unread.slices_of(&service.name, any_slice) {
            return Some(unknown);
        }
        if !topology.reads_labels() || !self.unread.any_node() {
            return None;
        }
        let mut nodes = self.slices_of(&service.name).flat_map(|slice| &slice.endpoints);
        nodes.find_map(|endpoint| {
            let node = endpoint.node.as_ref().filter(|node| self.is_unknown_node(node))?;
            Some(Unknown::Node(Arc::clone(node)))
        })
    }
}
