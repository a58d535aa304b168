//! Step two: kube-proxy's selection, on what step one left.

use std::sync::Arc;

use crate::model::{Health, Hints};

use super::candidate::Candidate;
use super::nodes::NodeIndex;
use super::topology::ZONE_LABEL;
use super::why::Why;

/// The selection for one service port, made from all the endpoints that step one left it.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    /// `internalTrafficPolicy: Local`.
    local: bool,
    /// Some endpoint in question is ready: draining ones stay out.
    any_ready: bool,
    hints: Obeyed<'a>,
}

/// The hints that count, on ready endpoints alone.
#[derive(Debug)]
enum Obeyed<'a> {
    None,
    Nodes,
    /// This is the client node's zone.
    Zones(&'a Arc<str>),
}

impl<'a> Policy<'a> {
    /// 1. Traffic policy Local asks for the client node's endpoints, whatever their hints.
    /// 2. Ready ones are used; when there are none, the draining ones, whatever their hints.
    /// 3. Hints are obeyed when every ready endpoint has one and some hint names the client:
    ///    those for nodes first, then those for zones.
    pub(super) fn new(local: bool, nodes: &'a NodeIndex, left: &[Candidate<'_>]) -> Self {
        let is_ready = |candidate: &&Candidate<'_>| candidate.health == Health::Ready;
        let hints = if local { Obeyed::None } else { Obeyed::by(left, nodes) };
        let any_ready = left.iter().filter(is_ready).any(|candidate| !local || is_here(candidate, nodes));
        Self { local, any_ready, hints }
    }

    /// Why `candidate` is not used; `None` when it is.
    pub(super) fn excludes(&self, candidate: &Candidate<'_>, nodes: &NodeIndex) -> Option<Why> {
        if self.local && !is_here(candidate, nodes) {
            return Some(Why::NotLocal);
        }
        match candidate.health {
            Health::Ready => self.hints.excludes(candidate, nodes),
            Health::Draining => self.any_ready.then_some(Why::Draining),
            Health::Unready => Some(Why::NotReady),
        }
    }
}

impl<'a> Obeyed<'a> {
    fn by(left: &[Candidate<'_>], nodes: &'a NodeIndex) -> Self {
        if all_or_nothing(left, |hints| &hints.nodes, &nodes.here) {
            return Self::Nodes;
        }
        match nodes.label(&nodes.here, ZONE_LABEL) {
            Some(zone) if all_or_nothing(left, |hints| &hints.zones, zone) => Self::Zones(zone),
            _ => Self::None,
        }
    }

    fn excludes(&self, candidate: &Candidate<'_>, nodes: &NodeIndex) -> Option<Why> {
        match self {
            Self::None => None,
            Self::Nodes => {
                (!names(candidate, |hints| &hints.nodes, &nodes.here)).then_some(Why::HintedToOtherNodes)
            }
            Self::Zones(zone) => {
                (!names(candidate, |hints| &hints.zones, zone)).then_some(Why::HintedToOtherZones)
            }
        }
    }
}

/// One of the two kinds of hints.
type Kind = fn(&Hints) -> &Vec<Arc<str>>;

/// Every ready endpoint has a hint of this kind, and some hint names `own`.
fn all_or_nothing(left: &[Candidate<'_>], kind: Kind, own: &str) -> bool {
    let mut ready = left.iter().filter(|candidate| candidate.health == Health::Ready);
    let have = ready.clone().all(|candidate| candidate.hints.is_some_and(|hints| !kind(hints).is_empty()));
    have && ready.any(|candidate| names(candidate, kind, own))
}

fn names(candidate: &Candidate<'_>, kind: Kind, own: &str) -> bool {
    candidate.hints.is_some_and(|hints| kind(hints).iter().any(|hint| **hint == *own))
}

fn is_here(candidate: &Candidate<'_>, nodes: &NodeIndex) -> bool {
    candidate.node.is_some_and(|node| nodes.is_here(node))
}

#[cfg(test)]
mod tests {
    use crate::model::Family;

    use super::super::notation::{all, cast, cast_with, names, slice};
    use super::*;

    #[test]
    fn ready_ones_are_used_and_draining_ones_when_there_are_none() {
        for (shows, endpoints, used) in [
            ("every ready one, wherever it is", "a@here b@near c@far d@loose e@ghost f", "a b c d e f"),
            ("not the unready and draining ones next to them", "a@here b@near! c@far~", "a"),
            ("ready and terminating counts as ready", "a@here b@near^ c@far~", "a b"),
            ("ready and terminating keeps draining ones out", "b@near^ c@far~", "b"),
            ("all draining ones when none is ready", "a@here! b@near~ c@far~", "b c"),
            ("never an unready one", "a@here! b@near!", ""),
            ("no endpoint at all", "", ""),
        ] {
            assert_eq!(uses(false, &cast(), endpoints), used, "{shows}");
        }
    }

    /// The client is on node `here`, in zone `z1`.
    #[test]
    fn hints_are_obeyed_when_every_ready_endpoint_has_one_and_one_names_the_client() {
        for (shows, endpoints, used) in [
            ("those hinted to this node", "a@here>here b@near>near", "a"),
            ("a hint counts, not where it runs", "a@here>near b@near>here", "b"),
            ("several hints on one", "a@here>near+here b@near>here c@far>far", "a b"),
            ("one without a node hint: all of them", "a@here>here b@near", "a b"),
            ("no node hint names this node: all of them", "a@near>near b@far>far", "a b"),
            ("those hinted to this zone", "a@far>z1 b@near>z2", "a"),
            ("several zones on one", "a@near>z2+z1 b@far>z1 c@here>z2", "a b"),
            ("one without a zone hint: all of them", "a@here>z1 b@near", "a b"),
            ("no zone hint names this zone: all of them", "a@here>z2 b@near>z3", "a b"),
            ("node hints before zone hints", "a@here>z2+here b@near>z1+near", "a"),
            ("zone hints when no node hint names this node", "a@here>z2+near b@near>z1+near", "b"),
            ("zone hints when one lacks a node hint", "a@here>z2+here b@near>z1", "b"),
            ("node hints when one lacks a zone hint", "a@here>z2+here b@near>near", "a"),
            ("half of them for nodes, half for zones: all of them", "a@here>here b@near>z1", "a b"),
            ("an unready one without a hint does not count", "a@here>z1 b@near>z2 c@far!", "a"),
            ("an unready one's hint does not count", "a@far>z2 b@near>z2 c@here!>z1", "a b"),
            ("nor a draining one's", "a@far>near b@near>near c@here~>here", "a b"),
            ("ready and terminating does count", "a@here>z1 b@near>z2 c@far^", "a b c"),
            ("draining ones are used whatever their hints", "a@here~>z2 b@near~>z1 c@far~>far", "a b c"),
        ] {
            assert_eq!(uses(false, &cast(), endpoints), used, "{shows}");
        }
    }

    #[test]
    fn zone_hints_need_a_zone_of_the_client_node() {
        for (shows, own, endpoints, used) in [
            ("no zone label", "pool=hangzhou", "a@here>z1 b@near>z2", "a b"),
            ("an empty zone label", "zone=", "a@here>z1 b@near>z2", "a b"),
            ("the pool is not the zone", "pool=z1", "a@here>z1 b@near>z2", "a b"),
            ("OpenYurt's zone is not the zone", "kubernetes.io/zone=z1", "a@here>z1 b@near>z2", "a b"),
            ("node hints need none", "", "a@here>here b@near>near", "a"),
            ("the client's zone, not that of the endpoint's node", "zone=z2", "a@here>z1 b@far>z2", "b"),
        ] {
            assert_eq!(uses(false, &cast_with(own), endpoints), used, "{shows}");
        }
    }

    #[test]
    fn traffic_policy_local_uses_this_node_alone() {
        for (shows, endpoints, used) in [
            ("ready ones on this node", "a@here b@near c@far d", "a"),
            ("all of them", "a@here b@here c@far", "a b"),
            ("none here: nothing", "b@near c@far d@ghost e", ""),
            ("draining ones here when none here is ready", "a@here~ b@here! c@far", "a"),
            ("not next to a ready one here", "a@here~ b@here", "b"),
            ("never draining ones elsewhere", "a@here! b@near~", ""),
            ("hints are ignored", "a@here>z2+near b@near>z1+here", "a"),
            ("hints of others are ignored", "a@here>near b@here>here c@near>near", "a b"),
            ("ready and terminating counts as ready", "a@here^ b@here~", "a"),
        ] {
            assert_eq!(uses(true, &cast(), endpoints), used, "{shows}");
        }
    }

    fn uses(local: bool, nodes: &NodeIndex, endpoints: &str) -> String {
        let slice = slice(Family::V4, endpoints);
        let left = all(&slice);
        let policy = Policy::new(local, nodes, &left);
        names(left.iter().filter(|candidate| policy.excludes(candidate, nodes).is_none()))
    }
}
