//! Both steps for one service port.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Endpoint, Family, Health, Hints, ServicePortKey, Slice};

use super::places::Places;
use super::policy::Policy;
use super::pool::Filter;
use super::topology::{OnInvalid, Topology};

pub use super::why::Why;

/// One endpoint of a service port, as all its slices together show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub backend: SocketAddr,
    pub health: Health,
    pub node: Option<&'a Arc<str>>,
    pub hints: Option<&'a Hints>,
}

/// What this node uses for one service port. Every candidate is in one of the two, sorted by
/// backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    pub chosen: Vec<Candidate<'a>>,
    pub excluded: Vec<(Candidate<'a>, Why)>,
}

/// The endpoints of the service port `key`, each backend once, sorted by backend.
///
/// 1. Slices count that name the Service, are of the family and are not marked headless.
/// 2. The port number is the slice port's, matched by name and protocol. Several ports of
///    that name are all taken; a port 0 is none.
/// 3. Endpoints of another family than their slice says are not used.
/// 4. Of several copies of a backend, one that is not terminating wins over one that is.
#[must_use]
pub fn candidates<'a>(
    slices: impl IntoIterator<Item = &'a Slice>,
    key: &ServicePortKey,
) -> Vec<Candidate<'a>> {
    let mut copies = Vec::new();
    for slice in slices.into_iter().filter(|slice| counts(slice, key)) {
        let ports = slice
            .ports
            .iter()
            .filter(|port| port.port != 0 && port.name == key.port_name && port.protocol == key.protocol);
        for port in ports {
            copies.extend(slice.endpoints.iter().filter_map(|endpoint| at(endpoint, port.port, key.family)));
        }
    }
    copies.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
    copies.dedup_by_key(|copy| copy.candidate.backend);
    copies.into_iter().map(|copy| copy.candidate).collect()
}

/// Both steps: what the topology admits, and of that what kube-proxy would use.
#[must_use]
pub fn decide<'a>(
    topology: &Topology,
    on_invalid: OnInvalid,
    internal_local: bool,
    places: &Places,
    candidates: Vec<Candidate<'a>>,
) -> Decision<'a> {
    let filter = Filter::new(topology, on_invalid, places, &candidates);
    let mut excluded = Vec::new();
    let left = keep(candidates, &mut excluded, |candidate| filter.excludes(candidate, places));
    let policy = Policy::new(internal_local, places, &left);
    let mut chosen = keep(left, &mut excluded, |candidate| policy.excludes(candidate, places));

    chosen.sort_unstable_by_key(|candidate| candidate.backend);
    excluded.sort_unstable_by_key(|(candidate, _)| candidate.backend);
    Decision { chosen, excluded }
}

fn counts(slice: &Slice, key: &ServicePortKey) -> bool {
    !slice.headless
        && slice.family == Some(key.family)
        && slice.name.namespace == key.service.namespace
        && slice.service.as_ref() == Some(&key.service.name)
}

/// An endpoint as one slice port shows it.
struct Copy<'a> {
    candidate: Candidate<'a>,
    terminating: bool,
}

fn at(endpoint: &Endpoint, port: u16, family: Family) -> Option<Copy<'_>> {
    // kube-proxy takes an IPv4 address in IPv6 dress for IPv4, and so does the kernel.
    let address = endpoint.address.to_canonical();
    (Family::of(address) == family).then(|| Copy {
        candidate: Candidate {
            backend: SocketAddr::new(address, port),
            health: endpoint.conditions.health(),
            node: endpoint.node.as_ref(),
            hints: endpoint.hints.as_deref(),
        },
        terminating: endpoint.conditions.terminating,
    })
}

/// Orders by backend, and the copies of one backend best first. It goes on to the last field,
/// so that the order in which slices arrive never decides.
fn rank<'c>(copy: &'c Copy<'_>) -> impl Ord + use<'c> {
    let Copy { candidate: Candidate { backend, health, node, hints }, terminating } = copy;
    let hints = hints.map(|hints| (&hints.nodes, &hints.zones));
    (*backend, *terminating, *health, node.is_none(), *node, hints.is_none(), hints)
}

fn keep<'a>(
    candidates: Vec<Candidate<'a>>,
    excluded: &mut Vec<(Candidate<'a>, Why)>,
    why_out: impl Fn(&Candidate<'a>) -> Option<Why>,
) -> Vec<Candidate<'a>> {
    let mut kept = candidates;
    kept.retain(|candidate| match why_out(candidate) {
        Some(why) => {
            excluded.push((*candidate, why));
            false
        }
        None => true,
    });
    kept
}
