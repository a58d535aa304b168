//! The annotation `openyurt.io/topologyKeys`, read.

use std::sync::Arc;

/// Step one of a Service, as its annotation asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// No annotation, or an empty one.
    None,
    /// One of OpenYurt's three values, as a whole string: [`Key::Host`] or [`Key::Pool`].
    Hard(Key),
    /// A list, nearest first.
    Ordered(Vec<Key>),
    /// Not understood.
    Invalid(Invalid),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `kubernetes.io/hostname`: compares node names, reads no label.
    Host,
    /// `openyurt.io/nodepool` or `kubernetes.io/zone`.
    Pool,
    /// A node label whose value must equal the client node's.
    Label(Arc<str>),
    /// `*`.
    Any,
}

/// The item that was not understood, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub item: String,
    pub why: InvalidWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidWhy {
    UnknownKey,
    OnlyBlanks,
    EmptyItem,
    AnyNotLast,
    Repeated,
}
