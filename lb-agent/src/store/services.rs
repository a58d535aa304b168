//! Services that come, change and go.

use std::sync::Arc;

use crate::model::{ObjectName, Service};
use crate::select::topology::Topology;

use super::{Entry, Store};

impl Store {
    pub(super) fn apply_service(&mut self, service: Service) {
        if self.services.get(&service.name).is_some_and(|entry| entry.service == service) {
            return;
        }
        let name = service.name.clone();
        self.unread.remove_service(&name);
        self.forget_service(&name);
        let topology = Topology::parse(service.topology.as_deref(), &self.rules.topology_labels);
        let entry = Entry { service, topology };
        for key in self.label_keys(&entry) {
            self.readers.entry(key).or_default().insert(name.clone());
        }
        self.dirty.extend(self.claims.add(&entry.service));
        self.services.insert(name.clone(), Box::new(entry));
        self.dirty.insert(name);
    }

    pub(super) fn delete_service(&mut self, name: &ObjectName) {
        let was_unread = self.unread.remove_service(name);
        if self.forget_service(name) || was_unread {
            self.dirty.insert(name.clone());
        }
    }

    /// What was read of it before stays.
    pub(super) fn unread_service(&mut self, name: ObjectName) {
        if !self.has_service(&name) {
            self.unread.insert_service(name);
        }
    }

    fn forget_service(&mut self, name: &ObjectName) -> bool {
        let Some(entry) = self.services.remove(name) else { return false };
        self.dirty.extend(self.claims.remove(&entry.service));
        for key in self.label_keys(&entry) {
            if let Some(readers) = self.readers.get_mut(&key) {
                readers.remove(name);
                if readers.is_empty() {
                    self.readers.remove(&key);
                }
            }
        }
        true
    }

    /// The node labels that decide about a Service: none while it is left alone.
    fn label_keys(&self, entry: &Entry) -> Vec<Arc<str>> {
        let Entry { service, topology } = entry;
        if self.is_left_alone(service) { Vec::new() } else { topology.label_keys(&self.rules.pool_keys) }
    }
}
