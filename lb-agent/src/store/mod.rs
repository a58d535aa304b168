//! Everything a source told, and which Services a change can affect. Pure.

mod claims;
mod ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Change, Kind, Labels, Node, Object, ObjectKey, ObjectName, Service, Slice};
use crate::select::nodes::{NodeIndex, PoolKeys};
use crate::select::topology::{OnInvalid, Topology, ZONE_LABEL};

use claims::Claims;
pub use ports::{Disposition, LeaveWhy, Port};

/// What the operator settled.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Services to leave alone.
    pub excluded: BTreeSet<ObjectName>,
    /// Node label keys that ordered topologies may name beside the known ones.
    pub topology_labels: Vec<Arc<str>>,
    pub on_invalid: OnInvalid,
    pub pool_keys: PoolKeys,
}

/// A Service and its topology, read once.
#[derive(Debug)]
struct Known {
    service: Service,
    topology: Topology,
}

/// The whole picture that a source gave so far. Pure: the same changes make the same store.
#[derive(Debug)]
pub struct Store {
    rules: Rules,
    /// Boxed, for a tree's nodes are half empty.
    services: BTreeMap<ObjectName, Box<Known>>,
    /// The slices of a Service: mostly one, hardly ever more than a few.
    slices: BTreeMap<ObjectName, Vec<Slice>>,
    /// Which Service a slice belongs to.
    slice_service: HashMap<ObjectName, ObjectName>,
    places: NodeIndex,
    /// The Services that are not left alone and whose topology reads a node label.
    readers: BTreeMap<Arc<str>, BTreeSet<ObjectName>>,
    claims: Claims,
    synced: BTreeSet<Kind>,
    dirty: BTreeSet<ObjectName>,
}

impl Store {
    #[must_use]
    pub fn new(here: &str, rules: Rules) -> Self {
        let places =
            NodeIndex { here: here.into(), pool_keys: rules.pool_keys.clone(), ..NodeIndex::default() };
        Self {
            rules,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            slice_service: HashMap::new(),
            places,
            readers: BTreeMap::new(),
            claims: Claims::default(),
            synced: BTreeSet::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Takes one change in and marks the Services it can affect as dirty.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Apply(Object::Service(service)) => self.service_now(service),
            Change::Apply(Object::Slice(slice)) => self.slice_now(slice),
            Change::Apply(Object::Node(node)) => self.node_now(node),
            Change::Delete(ObjectKey { kind: Kind::Service, name }) => self.service_gone(&name),
            Change::Delete(ObjectKey { kind: Kind::EndpointSlice, name }) => self.slice_gone(&name),
            Change::Delete(ObjectKey { kind: Kind::Node, name }) => self.node_gone(&name.name),
            Change::Synced(kind) => {
                if self.synced.insert(kind) {
                    self.dirty.extend(self.services.keys().cloned());
                }
            }
        }
    }

    /// The same picture as `here` sees it.
    pub fn look_from(&mut self, here: &str) {
        self.places.here = here.into();
        self.places.own = self.places.nodes.get(here).cloned();
        self.dirty.extend(self.services.keys().cloned());
    }

    /// Hands out the dirty Services and forgets them: whoever fails one marks it again.
    pub fn take_dirty(&mut self) -> BTreeSet<ObjectName> {
        std::mem::take(&mut self.dirty)
    }

    /// The Services that the next pass looks at.
    #[must_use]
    pub const fn dirty(&self) -> &BTreeSet<ObjectName> {
        &self.dirty
    }

    pub fn mark_dirty(&mut self, services: impl IntoIterator<Item = ObjectName>) {
        self.dirty.extend(services);
    }

    /// Whether Services and slices are complete: before that nothing is known to be absent.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced.contains(&Kind::Service) && self.synced.contains(&Kind::EndpointSlice)
    }

    /// Whether everything is known that a decision can read: what readiness waits for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_synced() && (self.readers.is_empty() || self.knows_places())
    }

    #[must_use]
    pub fn places(&self) -> &NodeIndex {
        &self.places
    }

    /// The client node's object exists right now; its last known labels hold while it does not.
    #[must_use]
    pub fn own_node_exists(&self) -> bool {
        self.places.nodes.contains_key(&self.places.here)
    }

    /// The client node's object was never seen, though every Node was told: its name may be
    /// misspelt.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.synced.contains(&Kind::Node) && self.places.own.is_none()
    }

    /// Every Service that exists, also those that do not count.
    pub fn services(&self) -> impl Iterator<Item = (&Service, &Topology)> {
        self.services.values().map(|known| (&known.service, &known.topology))
    }

    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<(&Service, &Topology)> {
        self.services.get(name).map(|known| (&known.service, &known.topology))
    }

    #[must_use]
    pub fn has_service(&self, name: &ObjectName) -> bool {
        self.services.contains_key(name)
    }

    /// Whether nothing is decided about this Service, whatever its topology says.
    #[must_use]
    pub fn is_left_alone(&self, service: &Service) -> bool {
        service.skipped.is_some() || service.discarded || self.rules.excluded.contains(&service.name)
    }

    /// What a topology that is not understood does.
    #[must_use]
    pub const fn on_invalid(&self) -> OnInvalid {
        self.rules.on_invalid
    }

    /// The slices that name `service`.
    pub fn slices_of(&self, service: &ObjectName) -> impl Iterator<Item = &Slice> {
        self.slices.get(service).into_iter().flatten()
    }

    /// Every slice that exists, also those that do not count.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values().flatten()
    }

    /// Node labels can be read: the client node's were known at least once, and the others are
    /// complete.
    fn knows_places(&self) -> bool {
        self.synced.contains(&Kind::Node) && self.places.own.is_some()
    }

    fn service_now(&mut self, service: Service) {
        if self.services.get(&service.name).is_some_and(|known| known.service == service) {
            return;
        }
        let name = service.name.clone();
        self.forget_service(&name);
        let topology = Topology::parse(service.topology.as_deref(), &self.rules.topology_labels);
        let known = Known { service, topology };
        for key in self.label_keys(&known) {
            self.readers.entry(key).or_default().insert(name.clone());
        }
        self.dirty.extend(self.claims.add(&known.service));
        self.services.insert(name.clone(), Box::new(known));
        self.dirty.insert(name);
    }

    fn service_gone(&mut self, name: &ObjectName) {
        if self.forget_service(name) {
            self.dirty.insert(name.clone());
        }
    }

    fn forget_service(&mut self, name: &ObjectName) -> bool {
        let Some(known) = self.services.remove(name) else { return false };
        self.dirty.extend(self.claims.remove(&known.service));
        for key in self.label_keys(&known) {
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
    fn label_keys(&self, known: &Known) -> Vec<Arc<str>> {
        let Known { service, topology } = known;
        if self.is_left_alone(service) { Vec::new() } else { topology.label_keys(&self.rules.pool_keys) }
    }

    fn slice_now(&mut self, slice: Slice) {
        let service = owner_of(&slice);
        if self.slice_service.get(&slice.name).is_some_and(|old| *old != service) {
            self.slice_gone(&slice.name);
        }
        let slices = self.slices.entry(service.clone()).or_default();
        match slices.iter_mut().find(|old| old.name == slice.name) {
            Some(old) if *old == slice => return,
            Some(old) => *old = slice,
            None => {
                self.slice_service.insert(slice.name.clone(), service.clone());
                slices.reserve_exact(1);
                slices.push(slice);
            }
        }
        self.slices_changed(service);
    }

    fn slice_gone(&mut self, name: &ObjectName) {
        let Some(service) = self.slice_service.remove(name) else { return };
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.retain(|slice| slice.name != *name);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
        self.slices_changed(service);
    }

    fn slices_changed(&mut self, service: ObjectName) {
        if *service.name != *NO_SERVICE {
            self.dirty.insert(service);
        }
    }

    fn node_now(&mut self, node: Node) {
        let before = self.places.labels(&node.name).cloned();
        if *node.name == *self.places.here {
            self.places.own = Some(node.labels.clone());
        }
        self.places.nodes.insert(Arc::clone(&node.name), node.labels);
        self.relabelled(&node.name, before.as_ref());
    }

    /// The client node's last known labels hold: unknown is not the same as unlabelled.
    fn node_gone(&mut self, name: &str) {
        let before = self.places.labels(name).cloned();
        if self.places.nodes.remove(name).is_some() {
            self.relabelled(name, before.as_ref());
        }
    }

    /// Marks the Services that read a label of `node` which is not as it was `before`.
    fn relabelled(&mut self, node: &str, before: Option<&Labels>) {
        let now = self.places.labels(node);
        let is_here = *node == *self.places.here;
        if is_here && before.is_none() {
            self.dirty.extend(self.services.keys().cloned());
            return;
        }
        let differs =
            |key: &str| before.and_then(|labels| labels.get(key)) != now.and_then(|labels| labels.get(key));
        let changed: Vec<&BTreeSet<ObjectName>> =
            self.readers.iter().filter(|(key, _)| differs(key)).map(|(_, readers)| readers).collect();
        let touched = changed.into_iter().flatten().filter(|name| is_here || self.reaches(name, node));
        let mut touched: BTreeSet<ObjectName> = touched.cloned().collect();
        if is_here && differs(ZONE_LABEL) {
            touched.extend(self.services.keys().cloned());
        }
        self.dirty.append(&mut touched);
    }

    /// Whether `service` has an endpoint on `node`.
    fn reaches(&self, service: &ObjectName, node: &str) -> bool {
        self.slices_of(service)
            .flat_map(|slice| &slice.endpoints)
            .any(|endpoint| endpoint.node.as_deref() == Some(node))
    }
}

/// Slices that name no Service are kept under a name that none can have.
const NO_SERVICE: &str = "";

/// The Service that a slice names.
fn owner_of(slice: &Slice) -> ObjectName {
    let name = slice.service.clone().unwrap_or_else(|| NO_SERVICE.into());
    ObjectName { namespace: Arc::clone(&slice.name.namespace), name }
}

#[cfg(test)]
mod tests;
