//! What Namespaces say of the topology of their Services.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::model::self_test::is_self_test;
use crate::model::{Kind, NamespaceTopology, ObjectName, Service};

use super::{Entry, Store};

/// What is known of Namespaces, apart from who is skipped.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespaces {
    /// Those that were read.
    known: OrdSet<Arc<str>>,
    /// What is written on those of them that have the annotation.
    topologies: OrdMap<Arc<str>, Arc<str>>,
    /// Those that exist and were never read.
    unread: OrdSet<Arc<str>>,
    /// How many Services have the topology of their Namespace, whatever that is, by Namespace.
    heirs: OrdMap<Arc<str>, usize>,
}

impl Namespaces {
    /// The annotations, by Namespace.
    pub(super) const fn topologies(&self) -> &OrdMap<Arc<str>, Arc<str>> {
        &self.topologies
    }

    pub(super) fn unread(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unread.iter()
    }

    pub(super) fn has_heirs(&self) -> bool {
        !self.heirs.is_empty()
    }

    pub(super) fn any_unread(&self) -> bool {
        self.has_heirs() && !self.unread.is_empty()
    }

    fn of(&self, name: &str) -> Option<&Arc<str>> {
        self.topologies.get(name).filter(|topology| !topology.is_empty())
    }
}

impl Store {
    pub(super) fn apply_namespace_topology(&mut self, name: &Arc<str>, topology: Option<Arc<str>>) {
        let is_known = self.namespaces.known.insert(Arc::clone(name)).is_some();
        if is_known && self.namespaces.topologies.get(name) == topology.as_ref() {
            return;
        }
        self.namespaces.unread.remove(name);
        match topology {
            Some(topology) => self.namespaces.topologies.insert(Arc::clone(name), topology),
            None => self.namespaces.topologies.remove(name),
        };
        self.namespace_changed(name);
    }

    pub(super) fn delete_namespace_topology(&mut self, name: &Arc<str>) {
        let was_known = self.namespaces.known.remove(name).is_some();
        self.namespaces.topologies.remove(name);
        if self.namespaces.unread.remove(name).is_some() || was_known {
            self.namespace_changed(name);
        }
    }

    /// What was read of it before stays.
    pub(super) fn unread_namespace_topology(&mut self, name: &Arc<str>) {
        if !self.namespaces.known.contains(name) && self.namespaces.unread.insert(Arc::clone(name)).is_none()
        {
            self.namespace_changed(name);
        }
    }

    /// What the Namespace of `service` says, if that counts for it.
    pub(super) fn inherited(&self, service: &Service) -> Option<&Arc<str>> {
        self.inherits(service).then(|| self.namespaces.of(&service.name.namespace)).flatten()
    }

    /// Whether the topology of `service` is what its Namespace says, and that was never known.
    pub(super) fn waits_for_namespace(&self, service: &Service) -> bool {
        let Self { namespaces, .. } = self;
        let name = &service.name.namespace;
        let may_exist = !self.synced.contains(&Kind::Namespace)
            || self.unread.incomplete
            || namespaces.unread.contains(name);
        may_exist && !namespaces.known.contains(name) && self.inherits(service)
    }

    /// The topologies that Namespaces give their Services, by Namespace; nothing where they do not count.
    #[must_use]
    pub fn topologies_of_namespaces(&self) -> BTreeMap<&Arc<str>, &Arc<str>> {
        let counts = self.rules.namespace_topology == NamespaceTopology::On;
        self.namespaces.topologies().iter().filter(|(_, text)| counts && !text.is_empty()).collect()
    }

    /// Whether no Service waits for what Namespaces say.
    #[must_use]
    pub fn knows_namespaces(&self) -> bool {
        let Namespaces { known, heirs, .. } = &self.namespaces;
        self.synced.contains(&Kind::Namespace) || heirs.keys().all(|name| known.contains(name))
    }

    pub(super) fn count_heir(&mut self, service: &Service) {
        if self.inherits(service) {
            *self.namespaces.heirs.entry(Arc::clone(&service.name.namespace)).or_default() += 1;
        }
    }

    pub(super) fn forget_heir(&mut self, service: &Service) {
        let inherits = self.inherits(service);
        if let Some(count) = self.namespaces.heirs.get_mut(&service.name.namespace).filter(|_| inherits) {
            *count -= 1;
            if *count == 0 {
                self.namespaces.heirs.remove(&service.name.namespace);
            }
        }
    }

    /// Not a Service that is left alone: nothing is decided about it, and it asked for nothing.
    fn inherits(&self, service: &Service) -> bool {
        self.rules.namespace_topology == NamespaceTopology::On
            && !self.has_topology_of_its_own(service)
            && !self.is_left_alone(service)
            && !is_self_test(&service.name)
    }

    /// The topologies of its Services are read anew.
    fn namespace_changed(&mut self, name: &Arc<str>) {
        if self.rules.namespace_topology == NamespaceTopology::Off {
            return;
        }
        let first = ObjectName { namespace: Arc::clone(name), name: "".into() };
        let of_namespace = self.services.range(first..).take_while(|(service, _)| service.namespace == *name);
        let heirs = of_namespace.filter(|(_, entry)| self.inherits(&entry.service));
        let heirs: Vec<(ObjectName, Arc<Entry>)> =
            heirs.map(|(service, entry)| (service.clone(), Arc::clone(entry))).collect();
        for (service, entry) in heirs {
            self.remove_reader(&entry);
            let topology = self.topology(&entry.service);
            let entry = Entry { service: entry.service.clone(), topology };
            self.insert_reader(&entry);
            self.services.insert(service.clone(), Arc::new(entry));
            self.dirty.insert(service);
        }
    }
}
