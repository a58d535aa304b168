//! Why an endpoint is not used, in words an operator knows.

use std::sync::Arc;

use super::decide::Candidate;
use super::places::Places;

/// Why an endpoint is not used. Costs nothing to say at decision time; the sentence is made
/// when someone asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Step one admits the client node alone.
    OtherHost,
    /// Step one admits the client node's pool alone.
    OtherPool,
    /// Step one admits the nodes that share this label's value with the client node.
    OtherLabel(Arc<str>),
    /// Step one goes by this label and the client node lacks it.
    NoLabelHere(Arc<str>),
    /// The topology was not understood, and such Services are to be refused.
    NotUnderstood,
    NotReady,
    /// Serving and terminating, while others are ready.
    Draining,
    HintedToOtherNodes,
    HintedToOtherZones,
    /// `internalTrafficPolicy: Local`, and it is not on the client node.
    NotLocal,
}

impl Why {
    /// One sentence about `candidate`, which was excluded for this reason, without a full stop.
    #[must_use]
    pub fn describe(&self, candidate: &Candidate<'_>, places: &Places) -> String {
        match self {
            Self::OtherHost => not_this_node(candidate),
            Self::OtherPool => on_a_known_node(candidate, places, |node| match places.pool(node) {
                Some(pool) => format!("node {node} is in pool {pool}"),
                None => format!("node {node} is in no pool"),
            }),
            Self::OtherLabel(key) => {
                on_a_known_node(candidate, places, |node| match places.label(node, key) {
                    Some(value) => format!("node {node} has {key}={value}"),
                    None => format!("node {node} has no label {key}"),
                })
            }
            Self::NoLabelHere(key) => format!("this node has no label {key}"),
            Self::NotUnderstood => "the topology is not understood".to_owned(),
            Self::NotReady => "it is not ready".to_owned(),
            Self::Draining => "it is draining while others are ready".to_owned(),
            Self::HintedToOtherNodes => {
                hinted("node", candidate.hints.map_or(&[], |hints| hints.nodes.as_slice()))
            }
            Self::HintedToOtherZones => {
                hinted("zone", candidate.hints.map_or(&[], |hints| hints.zones.as_slice()))
            }
            Self::NotLocal => format!("{} and internalTrafficPolicy is Local", not_this_node(candidate)),
        }
    }
}

fn not_this_node(candidate: &Candidate<'_>) -> String {
    match candidate.node {
        Some(node) => format!("node {node} is not this node"),
        None => NO_NODE.to_owned(),
    }
}

fn on_a_known_node(
    candidate: &Candidate<'_>,
    places: &Places,
    describe: impl FnOnce(&str) -> String,
) -> String {
    match candidate.node {
        Some(node) if places.labels(node).is_some() => describe(node),
        Some(node) => format!("node {node} is not known"),
        None => NO_NODE.to_owned(),
    }
}

const NO_NODE: &str = "it names no node";

fn hinted(kind: &str, to: &[Arc<str>]) -> String {
    let plural = if to.len() == 1 { "" } else { "s" };
    format!("it is hinted to {kind}{plural} {}", to.join(", "))
}
