//! The store for others: a copy to read, and the changes that make it again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::self_test::{is_of_self_test, is_self_test};
use crate::model::{Change, Kind, Node, Object, ObjectKey, Service};

use super::{LastChanges, Skips, Store};

impl Store {
    /// The same picture without what is to be done about it, for others to read. It stays as it is, and costs the same
    /// however much is in it.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self {
            rules: Arc::clone(&self.rules),
            services: self.services.clone(),
            slices: self.slices.clone(),
            // By this a slice that goes is found: no one reads it.
            slice_service: HashMap::new(),
            nodes: self.nodes.clone(),
            readers: self.readers.clone(),
            namespaces: self.namespaces.clone(),
            claims: self.claims.clone(),
            host: self.host.clone(),
            skips: Skips::default(),
            synced: self.synced.clone(),
            unread: self.unread.clone(),
            unread_forms: self.unread_forms.clone(),
            dirty: BTreeSet::new(),
            moved: BTreeSet::new(),
            of_another_pool: BTreeSet::new(),
            sweep: false,
            changes: LastChanges::default(),
        })
    }

    /// Changes that make an empty store know what this one knows, the same ones for the same knowledge. What a
    /// source may not have listed is not among them: of that there is nothing to save. Nor is the self-test's Service:
    /// each store has it from its rules.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut all = self.of_nodes();
        let of_source = |service: &&Service| !is_self_test(&service.name);
        let services = self.services().map(|(service, _)| service).filter(of_source);
        all.extend(services.map(|service| Change::Apply(Object::Service(service.clone()))));
        let mut slices: Vec<_> = self.slices().filter(|slice| !is_of_self_test(slice)).collect();
        slices.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all.extend(slices.into_iter().map(|slice| Change::Apply(Object::Slice(slice.clone()))));
        all.extend(self.unread.all().map(Change::Unread));
        all.extend(self.unread_forms.iter().cloned().map(Change::Endpoints));
        all.extend(self.skips.changes(&self.nodes.here, &self.namespaces));
        all.extend(self.synced.iter().copied().map(Change::Synced));
        all
    }

    fn of_nodes(&self) -> Vec<Change> {
        let node = |name: &Arc<str>, labels: &_| {
            Change::Apply(Object::Node(Node {
                name: Arc::clone(name),
                labels: Clone::clone(labels),
                odd_labels: Vec::new(),
            }))
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
