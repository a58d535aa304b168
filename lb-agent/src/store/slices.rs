//! Slices that come, change and go.

use std::sync::Arc;

use crate::model::{ObjectName, Slice, SliceOwner};

use super::Store;

/// Slices that name no Service are kept under a name that no Service can have.
const NO_SERVICE: &str = "";

impl Store {
    pub(super) fn apply_slice(&mut self, slice: Slice) {
        self.slice_is_read(&slice.name);
        let service = owner_of(&slice);
        if self.slice_service.get(&slice.name).is_some_and(|old| *old != service.name) {
            self.delete_slice(&slice.name);
        }
        let changed = slice.changed;
        let slices = self.slices.entry(service.clone()).or_default();
        match slices.iter_mut().find(|old| old.name == slice.name) {
            Some(old) if **old == slice => return,
            Some(old) => *old = Arc::new(slice),
            None => {
                self.slice_service.insert(slice.name.clone(), Arc::clone(&service.name));
                slices.reserve_exact(1);
                slices.push(Arc::new(slice));
            }
        }
        if *service.name != *NO_SERVICE {
            self.changes.add(&service, changed);
        }
        self.slices_changed(service);
    }

    pub(super) fn delete_slice(&mut self, name: &ObjectName) {
        self.slice_is_read(name);
        let Some(service) = self.slice_service.remove(name) else { return };
        let service = ObjectName { namespace: Arc::clone(&name.namespace), name: service };
        self.unread.deleted_slice_of(&service);
        self.changes.forget(&service);
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.retain(|slice| slice.name != *name);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
        self.slices_changed(service);
    }

    /// What was read of it before stays.
    pub(super) fn unread_slice(&mut self, name: ObjectName, owner: SliceOwner) {
        if self.slice_service.contains_key(&name) {
            return;
        }
        let before = self.unread.remove_slice(&name);
        if before.as_ref() != Some(&owner) {
            self.owner_changed(&name.namespace, &owner);
            self.slice_was_unread(&name, before);
        }
        self.unread.insert_slice(name, owner);
    }

    /// It is not unread any more, if it was.
    fn slice_is_read(&mut self, name: &ObjectName) {
        let before = self.unread.remove_slice(name);
        self.slice_was_unread(name, before);
    }

    fn slice_was_unread(&mut self, name: &ObjectName, before: Option<SliceOwner>) {
        if let Some(owner) = before {
            self.owner_changed(&name.namespace, &owner);
        }
    }

    fn owner_changed(&mut self, namespace: &Arc<str>, owner: &SliceOwner) {
        match owner {
            SliceOwner::None => {}
            SliceOwner::Service(name) => {
                self.dirty.insert(ObjectName { namespace: Arc::clone(namespace), name: Arc::clone(name) });
            }
            SliceOwner::Unknown => {
                let of_namespace = self.services.keys().filter(|service| service.namespace == *namespace);
                self.dirty.extend(of_namespace.cloned());
            }
        }
    }

    fn slices_changed(&mut self, service: ObjectName) {
        if *service.name != *NO_SERVICE {
            self.dirty.insert(service);
        }
    }
}

/// The Service that a slice names.
fn owner_of(slice: &Slice) -> ObjectName {
    let name = slice.service.clone().unwrap_or_else(|| NO_SERVICE.into());
    ObjectName { namespace: Arc::clone(&slice.name.namespace), name }
}
