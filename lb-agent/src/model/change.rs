//! What a source sends: objects that are there, are gone, or cannot be read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Kind, Object, ObjectKey, ObjectName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The object is new or now reads so.
    Apply(Object),
    /// The object is gone.
    Delete(ObjectKey),
    /// The object exists and cannot be read. What was read of it before stays.
    Unread(Unread),
    /// All objects of this kind that exist have been sent. What the kernel holds beyond them may
    /// go, unless the source is incomplete.
    Synced(Kind),
    /// This Service has endpoints in a form that is not read: `v1` Endpoints.
    Endpoints(ObjectName),
    /// It does not any more.
    NoEndpoints(ObjectName),
    /// A part of the source was never readable since the start: it may hold any object.
    Incomplete,
    /// Objects may exist that the source never named: its lists do not surely name all of them. What it named
    /// and then deleted is gone all the same.
    Unlisted,
    /// Every part of the source was readable at least once, and names all that there is. A source begins so.
    Complete,
}

/// An object that cannot be read, as far as it is known which one it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    Service(ObjectName),
    Slice {
        name: ObjectName,
        owner: SliceOwner,
    },
    /// By its name.
    Node(Arc<str>),
    Pod(ObjectName),
    /// By its name.
    Namespace(Arc<str>),
}

/// The Service that an unread slice has endpoints of, in the slice's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SliceOwner {
    Service(Arc<str>),
    /// It counts for no Service: headless, or without the label.
    None,
    /// Its labels cannot be read.
    Unknown,
}

impl Unread {
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Service(name) => ObjectKey { kind: Kind::Service, name: name.clone() },
            Self::Slice { name, .. } => ObjectKey { kind: Kind::EndpointSlice, name: name.clone() },
            Self::Node(name) => ObjectKey::of_cluster(Kind::Node, name),
            Self::Pod(name) => ObjectKey { kind: Kind::Pod, name: name.clone() },
            Self::Namespace(name) => ObjectKey::of_cluster(Kind::Namespace, name),
        }
    }
}
