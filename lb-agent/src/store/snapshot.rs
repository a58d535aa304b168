//! The store as the changes that make it again.

use std::sync::Arc;

use crate::model::{Change, Kind, Node, Object, ObjectKey};

use super::Store;

impl Store {
    /// Changes that make an empty store know what this one knows, the same ones for the same knowledge. What a
    /// source may not have listed is not among them: of that there is nothing to save.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut all = self.of_nodes();
        let services = self.services.values().map(|entry| Object::Service(entry.service.clone()));
        all.extend(services.map(Change::Apply));
        let mut slices: Vec<_> = self.slices().collect();
        slices.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all.extend(slices.into_iter().map(|slice| Change::Apply(Object::Slice(slice.clone()))));
        all.extend(self.unread.all().map(Change::Unread));
        all.extend(self.unread_forms.iter().cloned().map(Change::Endpoints));
        all.extend(self.skips.changes(&self.nodes.here));
        all.extend(self.synced.iter().copied().map(Change::Synced));
        all
    }

    fn of_nodes(&self) -> Vec<Change> {
        let node = |name: &Arc<str>, labels: &_| {
            Change::Apply(Object::Node(Node { name: Arc::clone(name), labels: Clone::clone(labels) }))
        };
        let here = &self.nodes.here;
        let mut all = Vec::new();
        if let Some(own) = self.nodes.own.as_ref().filter(|_| !self.own_node_exists()) {
            // Its last labels hold.
            all.push(node(here, own));
            all.push(Change::Delete(ObjectKey::of_cluster(Kind::Node, here)));
        }
        all.extend(self.nodes.by_name.iter().map(|(name, labels)| node(name, labels)));
        all
    }
}
