//! Step one: the endpoints that a Service's topology lets this node reach.

use std::sync::Arc;

use crate::model::Health;

use super::decide::Candidate;
use super::places::Places;
use super::topology::{Key, OnInvalid, Topology};
use super::why::Why;

/// What step one lets stay of the endpoints it was made for.
#[derive(Debug)]
pub(super) enum Filter<'a> {
    Everything,
    /// The endpoints that this key reaches.
    Within(Reach<'a>),
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
    pub(super) fn new(
        topology: &'a Topology,
        on_invalid: OnInvalid,
        places: &'a Places,
        candidates: &[Candidate<'_>],
    ) -> Self {
        match (topology, on_invalid) {
            (Topology::None, _) | (Topology::Invalid(_), OnInvalid::Unfiltered) => Self::Everything,
            (Topology::Invalid(_), OnInvalid::Refuse) => Self::Refused,
            (Topology::Hard(key), _) => Self::Within(Reach::new(key, places)),
            (Topology::Ordered(keys), _) => Self::nearest(keys, places, candidates),
        }
    }

    fn nearest(keys: &'a [Key], places: &'a Places, candidates: &[Candidate<'_>]) -> Self {
        let mut reaches: Vec<Reach<'a>> = keys.iter().map(|key| Reach::new(key, places)).collect();
        for health in [Health::Ready, Health::Draining] {
            let winner = reaches.iter().position(|reach| {
                candidates.iter().any(|candidate| {
                    candidate.health == health && reach.excludes(candidate, places).is_none()
                })
            });
            if let Some(winner) = winner {
                return Self::Within(reaches.swap_remove(winner));
            }
        }
        Self::Nothing(reaches)
    }

    /// Why `candidate` does not stay; `None` when it does.
    pub(super) fn excludes(&self, candidate: &Candidate<'_>, places: &Places) -> Option<Why> {
        match self {
            Self::Everything => None,
            Self::Within(reach) => reach.excludes(candidate, places),
            Self::Nothing(reaches) => {
                // An endpoint that some key does reach is out for its health alone.
                let mut widest = Why::NotReady;
                for reach in reaches {
                    match reach.excludes(candidate, places) {
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
    /// The client node lacks this label: no node can be said to share it.
    Lacking(&'a Arc<str>),
    Any,
}

impl<'a> Reach<'a> {
    fn new(key: &'a Key, places: &'a Places) -> Self {
        match key {
            Key::Host => Self::Host,
            Key::Pool => Self::Pool(places.own_pool()),
            Key::Label(key) => match places.label(&places.here, key) {
                Some(value) => Self::Label { key, value },
                None => Self::Lacking(key),
            },
            Key::Any => Self::Any,
        }
    }

    fn excludes(&self, candidate: &Candidate<'_>, places: &Places) -> Option<Why> {
        let node = candidate.node.map(|node| &**node);
        let is_here = node.is_some_and(|node| places.is_here(node));
        match self {
            Self::Any => None,
            Self::Host => (!is_here).then_some(Why::OtherHost),
            Self::Pool(own) => {
                let shares = own.is_some() && node.and_then(|node| places.pool(node)) == *own;
                (!is_here && !shares).then_some(Why::OtherPool)
            }
            Self::Label { key, value } => {
                let found = node.and_then(|node| places.label(node, key));
                (found != Some(*value)).then(|| Why::OtherLabel(Arc::clone(key)))
            }
            Self::Lacking(key) => Some(Why::NoLabelHere(Arc::clone(key))),
        }
    }
}
