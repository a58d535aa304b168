//! Step two: kube-proxy's selection, on what step one left.

use std::sync::Arc;

use crate::model::{Health, Hints};

use super::decide::Candidate;
use super::places::Places;
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
    pub(super) fn new(local: bool, places: &'a Places, left: &[Candidate<'_>]) -> Self {
        let is_ready = |candidate: &&Candidate<'_>| candidate.health == Health::Ready;
        let hints = if local { Obeyed::None } else { Obeyed::by(left, places) };
        let any_ready = left.iter().filter(is_ready).any(|candidate| !local || is_here(candidate, places));
        Self { local, any_ready, hints }
    }

    /// Why `candidate` is not used; `None` when it is.
    pub(super) fn excludes(&self, candidate: &Candidate<'_>, places: &Places) -> Option<Why> {
        if self.local && !is_here(candidate, places) {
            return Some(Why::NotLocal);
        }
        match candidate.health {
            Health::Ready => self.hints.excludes(candidate, places),
            Health::Draining => self.any_ready.then_some(Why::Draining),
            Health::Unready => Some(Why::NotReady),
        }
    }
}

impl<'a> Obeyed<'a> {
    fn by(left: &[Candidate<'_>], places: &'a Places) -> Self {
        if all_or_nothing(left, |hints| &hints.nodes, &places.here) {
            return Self::Nodes;
        }
        match places.label(&places.here, ZONE_LABEL) {
            Some(zone) if all_or_nothing(left, |hints| &hints.zones, zone) => Self::Zones(zone),
            _ => Self::None,
        }
    }

    fn excludes(&self, candidate: &Candidate<'_>, places: &Places) -> Option<Why> {
        match self {
            Self::None => None,
            Self::Nodes => {
                (!names(candidate, |hints| &hints.nodes, &places.here)).then_some(Why::HintedToOtherNodes)
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

fn is_here(candidate: &Candidate<'_>, places: &Places) -> bool {
    candidate.node.is_some_and(|node| places.is_here(node))
}
