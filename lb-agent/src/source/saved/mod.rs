//! The state of an API server as it was last saved on this machine: what a node that boots without one starts from.

pub mod disk;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod pace;
mod saver;

use std::path::PathBuf;

use crate::model::{Change, Kind, Object, ObjectKey, ObjectName, Unread};

pub use format::{FORMAT, Header, Unusable, pack, read};
pub use pace::Pace;
pub use saver::{Job, Outcome, Saver};

/// Whose state a file holds: another's is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Node that the agent decides for.
    pub node: String,
    /// The API server that the state came from.
    pub server: String,
}

/// Where the state is saved, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub owner: Owner,
}

/// A state that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub header: Header,
    /// Makes the store that was saved, in a store that is empty.
    pub changes: Vec<Change>,
}

impl Saved {
    /// All but the Service of the API server itself. It is the way to newer state, so that nothing old may stand in
    /// this way: it is served from a live source alone. Nor that all of Namespaces is known, where what they say of
    /// topology was not saved.
    pub fn into_decisive(self) -> impl Iterator<Item = Change> {
        let server = ObjectName::new("default", "kubernetes");
        let namespaces = self.header.namespaces;
        self.changes.into_iter().filter(move |change| {
            let name = match change {
                Change::Apply(Object::Service(service)) => &service.name,
                Change::Delete(ObjectKey { kind: Kind::Service, name })
                | Change::Unread(Unread::Service(name)) => name,
                Change::Synced(Kind::Namespace) => return namespaces,
                Change::Apply(_)
                | Change::Delete(_)
                | Change::Unread(_)
                | Change::Synced(_)
                | Change::Endpoints(_)
                | Change::NoEndpoints(_)
                | Change::Incomplete
                | Change::Unlisted
                | Change::Complete => return true,
            };
            *name != server
        })
    }
}

#[cfg(test)]
mod tests;
