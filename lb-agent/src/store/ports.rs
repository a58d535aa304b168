//! What this node does with each service port of a Service.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Family, Frontend, ObjectName, Protocol, Service, ServicePort, ServicePortKey};
use crate::select::candidate::candidates;
use crate::select::decide::{Decision, decide};
use crate::select::topology::Topology;

use super::{Known, Store};

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
    /// Its topology reads node labels, and the client node's were never known: untouched, and
    /// the agent is not ready.
    Wait,
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
        }
    }
}

impl Store {
    /// The service ports of the Service `name`: none when it does not exist or does not count.
    #[must_use]
    pub fn ports(&self, name: &ObjectName) -> Vec<Port<'_>> {
        let Some(known) = self.services.get(name) else { return Vec::new() };
        if known.service.skipped.is_some() {
            return Vec::new();
        }
        let pairs = known.service.addresses.iter().flat_map(|address| {
            known.service.ports.iter().map(move |port| (SocketAddr::new(*address, port.port), port))
        });
        pairs.map(|(address, port)| self.port(known, address, port)).collect()
    }

    fn port<'a>(&'a self, known: &'a Known, address: SocketAddr, port: &ServicePort) -> Port<'a> {
        let key = ServicePortKey {
            service: known.service.name.clone(),
            port_name: Arc::clone(&port.name),
            protocol: port.protocol,
            family: Family::of(address.ip()),
        };
        let dialled = Frontend { address, protocol: port.protocol };
        let disposition = match self.leaves(&known.service, &dialled) {
            Some(why) => Disposition::Leave(why),
            None if known.topology.reads_labels() && !self.knows_places() => Disposition::Wait,
            None => Disposition::Serve(self.decide(known, &key)),
        };
        Port { key, dialled, service: &known.service, topology: &known.topology, disposition }
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

    fn decide<'a>(&'a self, known: &'a Known, key: &ServicePortKey) -> Decision<'a> {
        let candidates = candidates(self.slices_of(&known.service.name), key);
        let local = known.service.internal_local;
        decide(&known.topology, self.rules.on_invalid, local, &self.places, candidates)
    }
}
