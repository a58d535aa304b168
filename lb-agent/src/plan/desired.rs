//! What the kernel should hold for the service ports at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::layout::{Backend4, FLAG_AFFINITY, FLAG_TOPOLOGY, Frontend4, INLINE_BACKENDS};

use crate::model::{ObjectName, Protocol, ServicePortKey};
use crate::select::decide::Decision;
use crate::select::topology::Topology;
use crate::store::{Disposition, Known, Port, Store};

use super::capacity::Capacity;
use super::mirror::Mirror;

/// The most backends a service port can have: the count in the layout is 16 bits wide.
const MOST_BACKENDS: usize = u16::MAX as usize;
const IPPROTO_TCP: u8 = 6;

/// One element of the front end, wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub key: ServicePortKey,
    /// As in [`lb_common::layout::Service4::flags`].
    pub flags: u16,
    /// Seconds; zero without session affinity.
    pub affinity: u32,
    /// Sorted, each once. None refuses.
    pub backends: Vec<Backend4>,
}

impl Desired {
    #[must_use]
    pub const fn has_topology(&self) -> bool {
        self.flags & FLAG_TOPOLOGY != 0
    }
}

/// Why the kernel leaves a service port to kube-proxy although it could be decided: the programs
/// for it are not part of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    Udp,
    Ipv6,
    Affinity,
}

impl NotYet {
    /// One sentence without a full stop.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Udp => "UDP is left to kube-proxy by this version",
            Self::Ipv6 => "IPv6 is left to kube-proxy by this version",
            Self::Affinity => "session affinity is left to kube-proxy by this version",
        }
    }
}

/// Why `port` is decided but not written, if so.
///
/// Session affinity without a topology is better off with kube-proxy, which keeps it. With a
/// topology the loop comes first, and affinity is given up: never wider than the operator asked.
#[must_use]
pub fn not_yet(port: &Port<'_>) -> Option<NotYet> {
    let has_topology = *port.topology != Topology::None;
    if port.dialled.protocol != Protocol::Tcp {
        Some(NotYet::Udp)
    } else if port.dialled.address.is_ipv6() {
        Some(NotYet::Ipv6)
    } else if port.service.affinity.is_some() && !has_topology {
        Some(NotYet::Affinity)
    } else {
        None
    }
}

/// What every front-end element that the `dirty` Services concern should be; `None` where there
/// should be none. What is not named stays as it is.
///
/// All of them together, so that an address which one Service gives up and another takes is one
/// write. What a Service holds at an address stays while the store cannot decide there, or does
/// not know whether the Service exists.
#[must_use]
pub fn wanted(
    store: &Store,
    mirror: &Mirror,
    dirty: &BTreeSet<ObjectName>,
) -> BTreeMap<Frontend4, Option<Desired>> {
    let mut wants: BTreeMap<Frontend4, Option<Desired>> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for service in dirty {
        let held = mirror.frontends_of(service);
        if !store.has_service(service) && !store.is_absent(service) {
            kept.extend(held);
            continue;
        }
        for frontend in held {
            wants.entry(frontend).or_insert(None);
        }
        for port in store.ports(service) {
            let Some(frontend) = frontend(&port) else { continue };
            let decision = match &port.disposition {
                Disposition::Serve(decision) => Some(decision),
                Disposition::Keep { otherwise, .. }
                    if stays(mirror, &frontend, &port, otherwise.is_some()) =>
                {
                    kept.insert(frontend);
                    None
                }
                Disposition::Keep { otherwise, .. } => otherwise.as_ref(),
                Disposition::Leave(_) => None,
            };
            if let Some(decision) = decision.filter(|_| not_yet(&port).is_none()) {
                wants.insert(frontend, Some(want(&port, decision)));
            }
        }
    }
    for frontend in kept {
        if wants.get(&frontend).is_some_and(Option::is_none) {
            wants.remove(&frontend);
        }
    }
    if store.known() == Known::All {
        for frontend in mirror.orphans() {
            wants.entry(*frontend).or_insert(None);
        }
    }
    wants
}

/// Whether what is held for `port` stays as it is. Not where it was written without the topology
/// that the Service has by now, while something narrower can be written.
fn stays(mirror: &Mirror, frontend: &Frontend4, port: &Port<'_>, has_other: bool) -> bool {
    let Some(entry) = mirror.entries.get(frontend) else { return false };
    let is_its_own = entry.key.as_ref().is_some_and(|key| key.service == port.key.service);
    is_its_own && (!has_other || entry.has_topology() || *port.topology == Topology::None)
}

/// The order of a pass: what is taken back makes room, what has a topology gets it first.
#[must_use]
pub fn topology_first(wants: BTreeMap<Frontend4, Option<Desired>>) -> Vec<(Frontend4, Option<Desired>)> {
    let mut ordered: Vec<_> = wants.into_iter().collect();
    ordered.sort_by_key(|(_, want)| want.as_ref().map(|want| !want.has_topology()));
    ordered
}

/// The key of `port` in the front end; `None` for what the front end has no key for.
fn frontend(port: &Port<'_>) -> Option<Frontend4> {
    match (port.dialled.address.ip(), port.dialled.protocol) {
        (IpAddr::V4(address), Protocol::Tcp) => Some(Frontend4 {
            address: address.octets(),
            port: port.dialled.address.port().to_be_bytes(),
            protocol: IPPROTO_TCP,
            zero: 0,
        }),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
    }
}

fn want(port: &Port<'_>, decision: &Decision<'_>) -> Desired {
    let backends = decision.chosen.iter().filter_map(|candidate| match candidate.backend.ip() {
        IpAddr::V4(address) => Some(Backend4 {
            address: address.octets(),
            port: candidate.backend.port().to_be_bytes(),
            pool: 0,
        }),
        IpAddr::V6(_) => None,
    });
    let mut backends: Vec<Backend4> = backends.take(MOST_BACKENDS).collect();
    backends.sort_unstable();
    let topology = if *port.topology == Topology::None { 0 } else { FLAG_TOPOLOGY };
    let affinity = if port.service.affinity.is_some() { FLAG_AFFINITY } else { 0 };
    Desired {
        key: port.key.clone(),
        flags: topology | affinity,
        affinity: port.service.affinity.unwrap_or(0),
        backends,
    }
}

/// The room that all of `wants` together take.
#[must_use]
pub fn need(wants: &BTreeMap<Frontend4, Option<Desired>>) -> Capacity {
    let mut need = Capacity { frontends: 0, backends: 0 };
    for want in wants.values().flatten() {
        need.frontends += 1;
        let tail = want.backends.len().saturating_sub(INLINE_BACKENDS);
        if tail > 0 {
            need.backends += tail.next_power_of_two() as u32;
        }
    }
    need
}
