//! What of the source is known. Absent and unread are two things: what was never read is kept.

use std::fmt;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::model::{self, Kind, ObjectName, SliceOwner};
use crate::shown::Shown;

use super::Store;

/// How much of a source is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Not all Services and slices have arrived: nothing can be decided yet.
    Nothing,
    /// Something was never read since the start. What hangs on it is kept as the kernel holds it.
    Part,
    /// Everything that decides. What is not in the store does not exist.
    All,
}

/// What a decision reads and was never read since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The client node's labels.
    OwnNode,
    /// The labels of a Node that an endpoint is on.
    Node(Arc<str>),
    /// What the Namespace of the Service says of topology.
    Namespace(Arc<str>),
    /// This slice of the Service.
    Slice(ObjectName),
    /// The Service has no slice among those that were read, and a part of the source was not.
    AnySlice,
}

impl fmt::Display for Unknown {
    /// A clause without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnNode => f.write_str("this node's labels were never known"),
            Self::Node(node) => write!(f, "the labels of Node {} were never read", Shown(node)),
            Self::Namespace(name) => {
                write!(f, "its Namespace {} was never read, and may give it a topology", Shown(name))
            }
            Self::Slice(slice) => write!(f, "its EndpointSlice {slice} was never read"),
            Self::AnySlice => {
                f.write_str("it has no EndpointSlice among those that were read, and others were not")
            }
        }
    }
}

impl Store {
    /// Whether no Service waits for this node's labels, or for Namespaces: what readiness waits for.
    ///
    /// An object that was never read does not make a node unready. What hangs on it is kept, or
    /// decided no wider than asked, and one object must not take every node out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_synced() && self.knows_labels() && self.knows_namespaces()
    }

    /// Whether no Service waits for this node's labels.
    #[must_use]
    pub fn knows_labels(&self) -> bool {
        self.readers.is_empty() || self.knows_nodes()
    }

    /// How much is known of all that decides.
    #[must_use]
    pub fn known(&self) -> Known {
        let node_unread = !self.readers.is_empty() && self.unread.any_node();
        let unread = !self.unread.is_empty() || node_unread || self.namespaces.any_unread();
        if !self.is_synced() {
            Known::Nothing
        } else if self.is_ready() && !unread {
            Known::All
        } else {
            Known::Part
        }
    }

    /// Node labels can be read: the client node's were known at least once, and the others are
    /// complete.
    pub(super) fn knows_nodes(&self) -> bool {
        self.synced.contains(&Kind::Node) && self.nodes.own.is_some()
    }
}

/// What exists and was never read since the start, as the source says.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    services: OrdSet<ObjectName>,
    nodes: OrdSet<Arc<str>>,
    slices: OrdMap<ObjectName, SliceOwner>,
    /// Unread slices by their Service; by the name [`UNKNOWN`] where it cannot be read.
    by_service: OrdMap<ObjectName, OrdSet<ObjectName>>,
    /// A part of the source was never readable: it may hold any object.
    pub(super) incomplete: bool,
    /// Objects may exist that the source never named, all but these.
    pub(super) unlisted: Option<Deleted>,
}

/// What the source deleted since it is known that its lists may not name everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Deleted {
    services: OrdSet<ObjectName>,
    nodes: OrdSet<Arc<str>>,
    /// The Services that slices were deleted of.
    owners: OrdSet<ObjectName>,
}

/// The place of a Service's name where that cannot be read: no Service can have it.
const UNKNOWN: &str = "";

impl Unread {
    /// Nothing is unread that could decide, but for Nodes.
    pub(super) fn is_empty(&self) -> bool {
        !self.incomplete && self.unlisted.is_none() && self.services.is_empty() && self.by_service.is_empty()
    }

    /// Whether a Service that is not in the store may exist all the same.
    pub(super) fn may_be_service(&self, name: &ObjectName) -> bool {
        let is_unlisted = |deleted: &Deleted| !deleted.services.contains(name);
        self.incomplete || self.services.contains(name) || self.unlisted.as_ref().is_some_and(is_unlisted)
    }

    /// Whether a Node that is not in the store may exist all the same.
    pub(super) fn may_be_node(&self, name: &str) -> bool {
        let is_unlisted = |deleted: &Deleted| !deleted.nodes.contains(name);
        self.incomplete || self.nodes.contains(name) || self.unlisted.as_ref().is_some_and(is_unlisted)
    }

    pub(super) fn any_node(&self) -> bool {
        self.incomplete || self.unlisted.is_some() || !self.nodes.is_empty()
    }

    /// Each object that is known to exist and was never read.
    pub(super) fn all(&self) -> impl Iterator<Item = model::Unread> {
        let services = self.services.iter().cloned().map(model::Unread::Service);
        let nodes = self.nodes.iter().cloned().map(model::Unread::Node);
        let slice = |(name, owner): (&ObjectName, &SliceOwner)| model::Unread::Slice {
            name: name.clone(),
            owner: owner.clone(),
        };
        let slices = self.slices.iter().map(slice);
        services.chain(nodes).chain(slices)
    }

    /// What is unknown of the slices of a Service, of which `any_read` says whether one was read.
    ///
    /// A slice whose Service cannot be read may be of any Service of its namespace, and so may
    /// one in an unread part of the source. Such a slice keeps only the Services that have no
    /// other: the rest are decided by what was read, or one slice would stop a whole namespace.
    pub(super) fn slices_of(&self, service: &ObjectName, any_read: bool) -> Option<Unknown> {
        if let Some(slice) = self.by_service.get(service).and_then(OrdSet::get_min) {
            return Some(Unknown::Slice(slice.clone()));
        }
        let of_namespace = self.by_service.contains_key(&unknown_in(&service.namespace));
        let is_unlisted = |deleted: &Deleted| !deleted.owners.contains(service);
        let may_be_more = self.incomplete || of_namespace || self.unlisted.as_ref().is_some_and(is_unlisted);
        (!any_read && may_be_more).then_some(Unknown::AnySlice)
    }

    /// The source deleted the object, so it does not exist although not everything was listed. Returns whether
    /// that was open.
    pub(super) fn deleted_service(&mut self, name: &ObjectName) -> bool {
        self.unlisted.as_mut().is_some_and(|deleted| deleted.services.insert(name.clone()).is_none())
    }

    pub(super) fn deleted_node(&mut self, name: &str) {
        if let Some(deleted) = &mut self.unlisted {
            deleted.nodes.insert(name.into());
        }
    }

    /// The source deleted a slice of this Service.
    pub(super) fn deleted_slice_of(&mut self, service: &ObjectName) {
        if let Some(deleted) = &mut self.unlisted {
            deleted.owners.insert(service.clone());
        }
    }

    pub(super) fn insert_service(&mut self, name: ObjectName) {
        self.services.insert(name);
    }

    pub(super) fn insert_node(&mut self, name: Arc<str>) {
        self.nodes.insert(name);
    }

    /// Notes a slice that was not noted.
    pub(super) fn insert_slice(&mut self, name: ObjectName, owner: SliceOwner) {
        if let Some(service) = service_of(&name, &owner) {
            self.by_service.entry(service).or_default().insert(name.clone());
        }
        self.slices.insert(name, owner);
    }

    /// The object can be read now, or is gone. Returns whether it was unread.
    pub(super) fn remove_service(&mut self, name: &ObjectName) -> bool {
        if let Some(deleted) = &mut self.unlisted {
            deleted.services.remove(name);
        }
        self.services.remove(name).is_some()
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        if let Some(deleted) = &mut self.unlisted {
            deleted.nodes.remove(name);
        }
        self.nodes.remove(name);
    }

    pub(super) fn remove_slice(&mut self, name: &ObjectName) -> Option<SliceOwner> {
        let owner = self.slices.remove(name)?;
        if let Some(service) = service_of(name, &owner)
            && let Some(slices) = self.by_service.get_mut(&service)
        {
            slices.remove(name);
            if slices.is_empty() {
                self.by_service.remove(&service);
            }
        }
        Some(owner)
    }
}

fn service_of(slice: &ObjectName, owner: &SliceOwner) -> Option<ObjectName> {
    match owner {
        SliceOwner::Service(name) => {
            Some(ObjectName { namespace: Arc::clone(&slice.namespace), name: Arc::clone(name) })
        }
        SliceOwner::Unknown => Some(unknown_in(&slice.namespace)),
        SliceOwner::None => None,
    }
}

fn unknown_in(namespace: &Arc<str>) -> ObjectName {
    ObjectName { namespace: Arc::clone(namespace), name: UNKNOWN.into() }
}
