//! Services that come, change and go.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ObjectName, Service, Slice};

use super::{Entry, Store};

impl Store {
    pub(super) fn apply_service(&mut self, service: Service) {
        if self.services.get(&service.name).is_some_and(|entry| entry.service == service) {
            return;
        }
        let name = service.name.clone();
        self.unread.remove_service(&name);
        let new = service.addresses.clone();
        let owners = self.owners(self.addresses(&name).into_iter().chain(new));
        self.forget_service(&name);
        let topology = self.topology(&service);
        let entry = Entry { service, topology };
        self.insert_reader(&entry);
        self.count_heir(&entry.service);
        self.dirty.extend(self.claims.add(&entry.service, &self.rules));
        self.services.insert(name.clone(), Arc::new(entry));
        self.dirty.insert(name);
        self.note_moved(owners);
    }

    pub(super) fn delete_service(&mut self, name: &ObjectName) {
        let was_unread = self.unread.remove_service(name);
        let owners = self.owners(self.addresses(name));
        let was_unlisted = self.unread.deleted_service(name);
        if self.forget_service(name) || was_unread || was_unlisted {
            self.dirty.insert(name.clone());
        }
        self.note_moved(owners);
    }

    /// What was read of it before stays.
    pub(super) fn unread_service(&mut self, name: ObjectName) {
        if !self.has_service(&name) {
            self.unread.insert_service(name);
        }
    }

    fn forget_service(&mut self, name: &ObjectName) -> bool {
        let Some(entry) = self.services.remove(name) else { return false };
        self.dirty.extend(self.claims.remove(&entry.service, &self.rules));
        self.remove_reader(&entry);
        self.forget_heir(&entry.service);
        true
    }

    pub(super) fn insert_reader(&mut self, entry: &Entry) {
        for key in self.label_keys(entry) {
            self.readers.entry(key).or_default().insert(entry.service.name.clone());
        }
    }

    pub(super) fn remove_reader(&mut self, entry: &Entry) {
        for key in self.label_keys(entry) {
            if let Some(readers) = self.readers.get_mut(&key) {
                readers.remove(&entry.service.name);
                if readers.is_empty() {
                    self.readers.remove(&key);
                }
            }
        }
    }

    /// The cluster IPs of a Service; none when it does not exist.
    fn addresses(&self, name: &ObjectName) -> Vec<IpAddr> {
        self.services.get(name).map(|entry| entry.service.addresses.clone()).unwrap_or_default()
    }

    fn owners(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Vec<(IpAddr, Option<ObjectName>)> {
        let owner = |address| (address, self.claims.owner_of_address(address).cloned());
        addresses.into_iter().map(owner).collect()
    }

    /// Notes the addresses that are not as they were `before`: endpoints there are to be looked at.
    fn note_moved(&mut self, before: Vec<(IpAddr, Option<ObjectName>)>) {
        for (address, owner) in before {
            if self.claims.owner_of_address(address) != owner.as_ref() {
                self.moved.insert(address);
            }
        }
    }

    /// Marks the Services that have an endpoint at a cluster IP which came, went or changed hands.
    /// One look at all endpoints, however many addresses there are.
    pub(super) fn mark_moved(&mut self) {
        let moved = std::mem::take(&mut self.moved);
        // Before that, everything is looked at anyway.
        if moved.is_empty() || !self.is_synced() {
            return;
        }
        let reaches =
            |slice: &Arc<Slice>| slice.endpoints.iter().any(|at| moved.contains(&at.address.to_canonical()));
        let touched = self.slices.iter().filter(|(_, slices)| slices.iter().any(reaches));
        let touched: Vec<ObjectName> = touched.map(|(service, _)| service.clone()).collect();
        self.dirty.extend(touched);
    }

    /// The node labels that decide about a Service: none while it is left alone.
    fn label_keys(&self, entry: &Entry) -> Vec<Arc<str>> {
        let Entry { service, topology } = entry;
        if self.is_left_alone(service) { Vec::new() } else { topology.label_keys(&self.rules.pool_keys) }
    }
}
