//! Step one: the endpoints that a Service's topology lets this node reach.

use std::sync::Arc;

use crate::model::Health;

use super::candidate::Candidate;
use super::nodes::NodeIndex;
use super::topology::{Key, Level, OnInvalid, Topology};
use super::why::Why;

/// What step one lets stay of the endpoints it was made for.
#[derive(Debug)]
pub(super) enum Filter<'a> {
    Everything,
    /// The endpoints that this key reaches.
    Within(Reach<'a>),
    /// The endpoints that any of these keys reaches.
    AnyOf(Vec<Reach<'a>>),
    /// None of these keys reaches an endpoint that could be used: nothing stays.
    Nothing(Vec<Reach<'a>>),
    /// The topology was not understood: nothing stays.
    Refused,
}

impl<'a> Filter<'a> {
    /// The rule for one service port, from all its endpoints together.
    ///
    /// 1. Without a topology everything stays; with one that is not understood, everything or
    ///    nothing, as the operator wants it.
    /// 2. A hard key keeps what it reaches, ready or not, and nothing else: possibly nothing.
    /// 3. Of ordered keys, the first that reaches a ready endpoint wins; when none does, the
    ///    first that reaches a draining one; when none does, nothing stays.
    /// 4. Of a union, everything stays that any key reaches, ready or not, and nothing else: possibly nothing.
    pub(super) fn new(
        topology: &'a Topology,
        on_invalid: OnInvalid,
        nodes: &'a NodeIndex,
        candidates: &[Candidate<'_>],
    ) -> Self {
        match (topology, on_invalid) {
            (Topology::None, _) | (Topology::Invalid(_), OnInvalid::Unfiltered) => Self::Everything,
            (Topology::Invalid(_), OnInvalid::Refuse) => Self::Refused,
            (Topology::Hard(key), _) => Self::Within(Reach::new(key, nodes)),
            (Topology::Ordered(keys), _) => Self::nearest(keys, nodes, candidates),
            (Topology::Union(keys), _) => {
                Self::AnyOf(keys.iter().map(|key| Reach::new(key, nodes)).collect())
            }
        }
    }

    fn nearest(keys: &'a [Key], nodes: &'a NodeIndex, candidates: &[Candidate<'_>]) -> Self {
        let mut reaches: Vec<Reach<'a>> = keys.iter().map(|key| Reach::new(key, nodes)).collect();
        for health in [Health::Ready, Health::Draining] {
            let winner = reaches.iter().position(|reach| {
                candidates
                    .iter()
                    .any(|candidate| candidate.health == health && reach.excludes(candidate, nodes).is_none())
            });
            if let Some(winner) = winner {
                return Self::Within(reaches.swap_remove(winner));
            }
        }
        Self::Nothing(reaches)
    }

    /// How far this node's connections go.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Everything => Level::All,
            Self::Within(reach) => reach.level(),
            Self::AnyOf(reaches) => any_level(reaches),
            Self::Nothing(_) | Self::Refused => Level::None,
        }
    }

    /// Why `candidate` does not stay; `None` when it does.
    pub(super) fn excludes(&self, candidate: &Candidate<'_>, nodes: &NodeIndex) -> Option<Why> {
        match self {
            Self::Everything => None,
            Self::Within(reach) => reach.excludes(candidate, nodes),
            Self::AnyOf(reaches) => match reaches.as_slice() {
                [reach] => reach.excludes(candidate, nodes),
                reaches => {
                    let is_out = reaches.iter().all(|reach| reach.excludes(candidate, nodes).is_some());
                    is_out.then_some(Why::NoSharedLabel)
                }
            },
            Self::Nothing(reaches) => {
                // An endpoint that some key does reach is out for its health alone.
                let mut widest = Why::NotReady;
                for reach in reaches {
                    match reach.excludes(candidate, nodes) {
                        Some(why) => widest = why,
                        None => return Some(Why::NotReady),
                    }
                }
                Some(widest)
            }
            Self::Refused => Some(Why::NotUnderstood),
        }
    }
}

fn any_level(reaches: &[Reach<'_>]) -> Level {
    let mut labels = Vec::new();
    for reach in reaches {
        match reach {
            Reach::Label { key, value } => labels.push((Arc::clone(key), Arc::clone(value))),
            Reach::Lacking(_) => {}
            // Not in a union.
            Reach::Host | Reach::Pool(_) | Reach::Group(_) | Reach::Any => return reach.level(),
        }
    }
    match (labels.len(), labels.first()) {
        (_, None) => Level::None,
        (1, Some((key, value))) => Level::Label { key: Arc::clone(key), value: Arc::clone(value) },
        (_, Some(_)) => Level::AnyOf(labels),
    }
}

/// A key as the client node sees it.
#[derive(Debug)]
pub(super) enum Reach<'a> {
    Host,
    /// The client node, and the nodes of its pool if it is in one.
    Pool(Option<&'a Arc<str>>),
    Label {
        key: &'a Arc<str>,
        value: &'a Arc<str>,
    },
    /// The client node, and the known nodes of its node group: `None` is the group of those without the label.
    Group(Option<&'a Arc<str>>),
    /// The client node lacks this label: no node can be said to share it.
    Lacking(&'a Arc<str>),
    Any,
}

impl<'a> Reach<'a> {
    fn new(key: &'a Key, nodes: &'a NodeIndex) -> Self {
        match key {
            Key::Host => Self::Host,
            Key::Pool => Self::Pool(nodes.own_pool()),
            Key::Label(key) => match nodes.label_or_name(&nodes.here, key) {
                Some(value) => Self::Label { key, value },
                None => Self::Lacking(key),
            },
            // Before its labels were ever known, a node is not one without a label.
            Key::Group if nodes.own.is_none() => Self::Host,
            Key::Group => Self::Group(nodes.group(&nodes.here)),
            Key::Any => Self::Any,
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::Any => Level::All,
            // A node without a pool is a pool of one.
            Self::Host | Self::Pool(None) => Level::Host,
            Self::Pool(Some(pool)) => Level::Pool(Arc::clone(pool)),
            Self::Label { key, value } => Level::Label { key: Arc::clone(key), value: Arc::clone(value) },
            Self::Group(group) => Level::Group(group.cloned()),
            Self::Lacking(_) => Level::None,
        }
    }

    fn excludes(&self, candidate: &Candidate<'_>, nodes: &NodeIndex) -> Option<Why> {
        let node = candidate.node.map(|node| &**node);
        let is_here = node.is_some_and(|node| nodes.is_here(node));
        match self {
            Self::Any => None,
            Self::Host => (!is_here).then_some(Why::OtherHost),
            Self::Pool(own) => {
                let shares = own.is_some() && node.and_then(|node| nodes.pool(node)) == *own;
                (!is_here && !shares).then_some(Why::OtherPool)
            }
            Self::Label { key, value } => {
                let found = node.and_then(|node| nodes.label_or_name(node, key));
                (found != Some(*value)).then(|| Why::OtherLabel(Arc::clone(key)))
            }
            Self::Group(own) => {
                let known = node.filter(|node| nodes.labels(node).is_some());
                let shares = known.is_some_and(|node| nodes.group(node) == *own);
                (!is_here && !shares).then_some(Why::OtherGroup)
            }
            Self::Lacking(key) => Some(Why::NoLabelHere(Arc::clone(key))),
        }
    }
}

#[cfg(test)]
mod tests;
