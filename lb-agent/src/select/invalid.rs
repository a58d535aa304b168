//! Why a topology was not understood.

use std::fmt;

use crate::shown::Quoted;

use super::dialect::{MOST_KEYS, RANGE};

/// The item that was not understood, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub item: String,
    /// Its place in the list, counted from 1.
    pub position: usize,
    pub why: InvalidWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidWhy {
    UnknownKey,
    OnlyBlanks,
    EmptyItem,
    AnyNotLast,
    Repeated,
    /// Of KubeEdge: only one value has a meaning.
    NotTheRange,
    /// Of SuperEdge.
    NotAList,
    /// Of SuperEdge: more keys than a Service has a use for.
    TooManyKeys,
}

impl fmt::Display for Invalid {
    /// A fragment of a sentence, such as `"kubernetes.io/rack" (item 2) is not a known key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, position, why } = self;
        let item = Quoted(item);
        match why {
            InvalidWhy::UnknownKey => write!(
                f,
                "{item} (item {position}) is neither a known key nor a node label allowed by --topology-label"
            ),
            InvalidWhy::OnlyBlanks => write!(f, "the value {item} is only blanks"),
            InvalidWhy::EmptyItem => write!(f, "item {position} is empty"),
            InvalidWhy::AnyNotLast => write!(f, "{item} (item {position}) may only stand last"),
            InvalidWhy::Repeated => write!(f, "{item} (item {position}) names a key that stands before it"),
            InvalidWhy::NotTheRange => write!(f, "{item} is not {RANGE}, the only value that is known"),
            InvalidWhy::NotAList => write!(f, "{item} is not a JSON list of node label keys"),
            InvalidWhy::TooManyKeys => write!(f, "{item} has more than {MOST_KEYS} keys"),
        }
    }
}
