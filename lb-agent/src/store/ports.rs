//! What this node does with each service port of a Service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::model::{AddressKind, Family, Frontend, ObjectName, Protocol, Service, ServicePortKey};
use crate::select::candidate::{Candidate, candidates};
use crate::select::decide::{Decision, Why, decide};
use crate::select::topology::{OnInvalid, Topology};
use crate::shown::Quoted;

use super::dials::{Around, Dial, dials, other_ports};
use super::{Entry, Store, Unknown};

/// One service port at one of its addresses, and what is to be done with connections to it.
#[derive(Debug)]
pub struct Port<'a> {
    pub key: ServicePortKey,
    pub dialled: Frontend,
    /// What the dialled address is to the Service.
    pub kind: AddressKind,
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

/// Why an address of a Service is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaveWhy {
    /// `--exclude-service`.
    Excluded,
    /// `svc.openyurt.io/discard`.
    Discarded,
    Sctp,
    /// An interface of the host has the cluster IP: something on this machine listens there, such as NodeLocal DNSCache.
    /// Its name.
    OnHost(Arc<str>),
    /// `--external-ips off`.
    ExternalIpsOff,
    /// `loadBalancerSourceRanges`: only some clients may dial the address.
    SourceRanges,
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
            Self::OnHost(interface) => {
                format!(
                    "interface {} of this node has this cluster IP: left to what listens there",
                    Quoted(interface)
                )
            }
            Self::ExternalIpsOff => "external IPs are off (--external-ips): any user who may write a Service can claim any address so (CVE-2020-8554)".to_owned(),
            Self::SourceRanges => {
                "loadBalancerSourceRanges says who may dial it: left to kube-proxy, where one runs".to_owned()
            }
            Self::Conflict(owner) => format!("address and port belong to Service {owner}"),
            Self::Repeated { port, first } => {
                let (port, first) = (Quoted(port), Quoted(first));
                format!("port {port} claims what port {first} has, which stands first and is used")
            }
        }
    }
}

impl Store {
    /// The Service that clients reach at this address, at this port if one is given. A node port is found at each address of
    /// the host at which node ports are served, and at the unspecified one.
    #[must_use]
    pub fn owner_of(&self, address: IpAddr, port: Option<u16>) -> Option<&ObjectName> {
        let Some(port) = port else { return self.claims.claimants_of_address(address).next() };
        // The kernel knows all of 127.0.0.0/8 by one address.
        let of_host = match address {
            IpAddr::V4(v4) if v4.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V4(_) | IpAddr::V6(_) => address,
        };
        let has_node_ports = self.node_port_addresses().contains(&of_host);
        let unspecified = has_node_ports.then(|| Family::of(address).unspecified());
        std::iter::once(address).chain(unspecified).find_map(|address| {
            Protocol::ALL.into_iter().find_map(|protocol| {
                let address = SocketAddr::new(address, port);
                self.claims.owner(&Frontend { address, protocol })
            })
        })
    }

    /// What leads to the Service `name`, each service port once for each of its addresses: nothing when the Service does not
    /// exist or does not count. Where it claims an address, port and protocol twice, the first of its list has it.
    #[must_use]
    pub fn ports(&self, name: &ObjectName) -> Vec<Port<'_>> {
        let Some(entry) = self.services.get(name) else { return Vec::new() };
        dials(&entry.service, &self.rules).into_iter().map(|dial| self.port(entry, dial)).collect()
    }

    /// What stands for the ports that are refused at the cluster IPs of the Service `name`, since no Service has them: at each
    /// address of which at least one port is not left alone. Nothing beside kube-proxy.
    #[must_use]
    pub fn refused_ports(&self, name: &ObjectName) -> Vec<(ServicePortKey, Frontend)> {
        let Some(entry) = self.services.get(name) else { return Vec::new() };
        let service = &entry.service;
        let dials = dials(service, &self.rules);
        let is_served = |frontend: &Frontend| {
            let mut there = dials.iter().filter(|dial| dial.dialled.address.ip() == frontend.address.ip());
            there.any(|dial| self.leaves(service, dial).is_none())
        };
        let owned = other_ports(service, &self.rules).filter(|at| self.claims.owner(at) == Some(name));
        let key = |frontend: &Frontend| ServicePortKey {
            service: name.clone(),
            port_name: "".into(),
            protocol: frontend.protocol,
            family: frontend.family(),
        };
        owned.filter(is_served).map(|frontend| (key(&frontend), frontend)).collect()
    }

    fn port<'a>(&'a self, entry: &'a Entry, dial: Dial<'a>) -> Port<'a> {
        let Dial { dialled, kind, port, .. } = dial;
        let key = ServicePortKey {
            service: entry.service.name.clone(),
            port_name: Arc::clone(&port.name),
            protocol: port.protocol,
            family: Family::of(dialled.address.ip()),
        };
        let disposition = match self.leaves(&entry.service, &dial) {
            Some(why) => Disposition::Leave(why),
            None => self.decide(entry, &key, kind),
        };
        Port { key, dialled, kind, service: &entry.service, topology: &entry.topology, disposition }
    }

    pub(super) fn leaves(&self, service: &Service, dial: &Dial<'_>) -> Option<LeaveWhy> {
        let Dial { dialled, kind, port, first, around } = dial;
        if dialled.protocol == Protocol::Sctp {
            return Some(LeaveWhy::Sctp);
        } else if self.rules.excluded.contains(&service.name) {
            return Some(LeaveWhy::Excluded);
        } else if service.discarded {
            return Some(LeaveWhy::Discarded);
        }
        if let Some(interface) = self.host.interface(dialled.address.ip())
            && *kind == AddressKind::ClusterIp
        {
            return Some(LeaveWhy::OnHost(interface.into()));
        }
        match around {
            Some(Around::ExternalIp) => return Some(LeaveWhy::ExternalIpsOff),
            Some(Around::SourceRanges) => return Some(LeaveWhy::SourceRanges),
            None => {}
        }
        let owner = self.claims.owner(dialled).filter(|owner| **owner != service.name);
        let repeated = first
            .as_ref()
            .map(|first| LeaveWhy::Repeated { port: Arc::clone(&port.name), first: Arc::clone(first) });
        owner.cloned().map(LeaveWhy::Conflict).or(repeated)
    }

    /// 1. What may have a topology by its Namespace waits until that is known, and is left to kube-proxy until then.
    /// 2. A topology that reads labels waits for this node's, and is left to kube-proxy until then.
    /// 3. What hangs on a slice or Node that was never read is kept. Where the kernel holds nothing
    ///    for it, what was read decides, which is never wider than asked. But a Service without a
    ///    topology is not refused for that: kube-proxy serves it, which loses no connection.
    fn decide<'a>(&'a self, entry: &'a Entry, key: &ServicePortKey, kind: AddressKind) -> Disposition<'a> {
        if self.waits_for_namespace(&entry.service) {
            let unknown = Unknown::Namespace(Arc::clone(&entry.service.name.namespace));
            return Disposition::Keep { unknown, otherwise: None };
        }
        if entry.topology.reads_labels() && !self.knows_nodes() {
            return Disposition::Keep { unknown: Unknown::OwnNode, otherwise: None };
        }
        let decision = self.decision(entry, key, kind);
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
    ///
    /// `internalTrafficPolicy` is about the cluster IP alone, and `externalTrafficPolicy` about clients elsewhere: at any other
    /// address a client of this node gets the cluster set.
    fn decision<'a>(&'a self, entry: &'a Entry, key: &ServicePortKey, kind: AddressKind) -> Decision<'a> {
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
        let local = entry.service.internal_local && kind == AddressKind::ClusterIp;
        let mut decision = decide(&entry.topology, self.rules.on_invalid, local, &self.nodes, pods);
        decision.exclude(out);
        decision
    }

    /// What the decision about a Service reads and was never read since the start.
    pub(super) fn unknown(&self, entry: &Entry) -> Option<Unknown> {
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
