//! Everything a source sent, and which Services a change can affect. Pure: the same changes make
//! the same store.

mod admitted;
mod changes;
mod claims;
mod dials;
mod known;
mod namespaces;
mod node_ports;
mod nodes;
mod ports;
mod services;
mod skips;
mod slices;
mod snapshot;
mod topologies;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::model::{
    Change, Dialect, Family, HostAddresses, Kind, Mode, NamespaceTopology, Object, ObjectKey, ObjectName,
    SelfTestPorts, Service, Slice, Unread, self_test,
};
use crate::select::nodes::{NodeIndex, PoolKeys};
use crate::select::topology::{OnInvalid, Topology};

pub use admitted::Admitted;
use changes::LastChanges;
use claims::Claims;
pub use dials::ExternalIps;
pub use known::{Known, Unknown};
use namespaces::Namespaces;
pub use node_ports::{Localhost, NodePorts};
pub use ports::{Disposition, LeaveWhy, Port};
pub use skips::SkipLabelled;
use skips::Skips;
pub use topologies::{ByFlag, Differing, Effect, Origin, Written};

/// What the operator settled.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Services to leave alone.
    pub excluded: BTreeSet<ObjectName>,
    /// Node label keys that ordered topologies may name besides the known ones.
    pub topology_labels: Vec<Arc<str>>,
    /// Whose annotations count besides OpenYurt's.
    pub dialects: BTreeSet<Dialect>,
    /// Whether Namespaces give their Services a topology.
    pub namespace_topology: NamespaceTopology,
    pub on_invalid: OnInvalid,
    pub pool_keys: PoolKeys,
    /// Topologies that Services have without an annotation of their own, as written.
    pub topologies: BTreeMap<ObjectName, Arc<str>>,
    pub external_ips: ExternalIps,
    pub skip_labelled: SkipLabelled,
    pub node_ports: NodePorts,
    pub mode: Mode,
    /// Where the listeners of the self-test are; nowhere without one.
    pub self_test: SelfTestPorts,
}

/// A Service and its topology, parsed once.
#[derive(Debug)]
struct Entry {
    service: Service,
    topology: Topology,
}

/// The whole picture that a source gave so far. Pure: the same changes make the same store.
#[derive(Debug)]
pub struct Store {
    rules: Arc<Rules>,
    services: OrdMap<ObjectName, Arc<Entry>>,
    /// The slices of a Service: mostly one, hardly ever more than a few.
    slices: OrdMap<ObjectName, Vec<Arc<Slice>>>,
    /// Which Service of its namespace a slice belongs to.
    slice_service: HashMap<ObjectName, Arc<str>>,
    nodes: NodeIndex,
    /// The Services that are not left alone and whose topology reads a node label.
    readers: OrdMap<Arc<str>, OrdSet<ObjectName>>,
    namespaces: Namespaces,
    claims: Claims,
    host: HostAddresses,
    skips: Skips,
    synced: BTreeSet<Kind>,
    unread: known::Unread,
    /// Services that have endpoints in a form that is not read.
    unread_forms: OrdSet<ObjectName>,
    dirty: BTreeSet<ObjectName>,
    /// Cluster IPs that came, went or changed hands since dirty Services were taken last.
    moved: BTreeSet<IpAddr>,
    /// Nodes that went to another pool: those with endpoints there count in another cell of the loop.
    of_another_pool: BTreeSet<Arc<str>>,
    /// What the kernel holds for Services that are not here is to be looked at again.
    sweep: bool,
    /// When the changes of slices came about that no pass has followed yet.
    changes: LastChanges,
}

impl Store {
    #[must_use]
    pub fn new(here: &str, rules: Rules) -> Self {
        let nodes =
            NodeIndex { here: here.into(), pool_keys: rules.pool_keys.clone(), ..NodeIndex::default() };
        let ports = rules.self_test;
        let mut store = Self {
            rules: Arc::new(rules),
            services: OrdMap::new(),
            slices: OrdMap::new(),
            slice_service: HashMap::new(),
            nodes,
            readers: OrdMap::new(),
            namespaces: Namespaces::default(),
            claims: Claims::default(),
            host: HostAddresses::default(),
            skips: Skips::default(),
            synced: BTreeSet::new(),
            unread: known::Unread::default(),
            unread_forms: OrdSet::new(),
            dirty: BTreeSet::new(),
            moved: BTreeSet::new(),
            of_another_pool: BTreeSet::new(),
            sweep: false,
            changes: LastChanges::default(),
        };
        if ports != SelfTestPorts::default() {
            let (service, slices) = self_test::objects(&ports);
            store.apply_service(service);
            slices.into_iter().for_each(|slice| store.apply_slice(slice));
        }
        store
    }

    /// A store that knows nothing, with the same rules on the same machine.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { host: self.host.clone(), ..Self::new(&self.nodes.here, Rules::clone(&self.rules)) }
    }

    /// Takes one change in and marks the Services it can affect as dirty.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Apply(Object::Service(service)) => self.apply_service(service),
            Change::Apply(Object::Slice(slice)) => self.apply_slice(slice),
            Change::Apply(Object::Node(node)) => self.apply_node(node),
            Change::Delete(ObjectKey { kind: Kind::Service, name }) => self.delete_service(&name),
            Change::Delete(ObjectKey { kind: Kind::EndpointSlice, name }) => self.delete_slice(&name),
            Change::Delete(ObjectKey { kind: Kind::Node, name }) => self.delete_node(&name.name),
            Change::Unread(Unread::Service(name)) => self.unread_service(name),
            Change::Unread(Unread::Slice { name, owner }) => self.unread_slice(name, owner),
            Change::Unread(Unread::Node(name)) => self.unread_node(name),
            Change::Apply(Object::Pod(pod)) => self.skips.apply_pod(pod, &self.nodes.here),
            Change::Delete(ObjectKey { kind: Kind::Pod, name }) => self.skips.delete_pod(&name),
            Change::Unread(Unread::Pod(name)) => self.skips.unread_pod(name),
            Change::Apply(Object::Namespace(namespace)) => {
                self.apply_namespace_topology(&namespace.name, namespace.topology.clone());
                self.skips.apply_namespace(namespace);
            }
            Change::Delete(ObjectKey { kind: Kind::Namespace, name }) => {
                self.delete_namespace_topology(&name.name);
                self.skips.delete_namespace(&name.name);
            }
            Change::Unread(Unread::Namespace(name)) => {
                self.unread_namespace_topology(&name);
                self.skips.unread_namespace(name);
            }
            Change::Synced(kind) if !kind.is_deciding() => {
                if self.synced.insert(kind) && kind == Kind::Namespace && self.namespaces.has_heirs() {
                    self.mark_all_dirty();
                    self.sweep = true;
                }
                self.skips.look_again();
            }
            Change::Synced(kind) => {
                if self.synced.insert(kind) {
                    self.mark_all_dirty();
                }
            }
            Change::Incomplete if !self.unread.incomplete => {
                self.unread.incomplete = true;
                self.look_at_all();
            }
            Change::Unlisted if self.unread.unlisted.is_none() => {
                self.unread.unlisted = Some(known::Deleted::default());
                self.look_at_all();
            }
            Change::Complete if self.unread.incomplete || self.unread.unlisted.is_some() => {
                self.unread.incomplete = false;
                self.unread.unlisted = None;
                self.look_at_all();
            }
            Change::Incomplete | Change::Unlisted | Change::Complete => {}
            Change::Endpoints(service) => {
                self.dirty.insert(service.clone());
                self.unread_forms.insert(service);
            }
            Change::NoEndpoints(service) => {
                self.unread_forms.remove(&service);
                self.dirty.insert(service);
            }
        }
    }

    /// The addresses of this machine are these from now on.
    pub fn set_host(&mut self, host: HostAddresses) {
        for address in host.differing(&self.host) {
            self.dirty.extend(self.claims.claimants_of_address(address).cloned());
        }
        self.host = host;
    }

    /// The addresses of this machine.
    #[must_use]
    pub const fn host(&self) -> &HostAddresses {
        &self.host
    }

    fn look_at_all(&mut self) {
        self.skips.look_again();
        self.mark_all_dirty();
        self.sweep = true;
    }

    fn mark_all_dirty(&mut self) {
        self.dirty.extend(self.services.keys().cloned());
    }

    /// The same picture as `here` sees it.
    pub fn look_from(&mut self, here: &str) {
        self.nodes.here = here.into();
        self.nodes.own = self.nodes.by_name.get(here).cloned();
        self.mark_all_dirty();
    }

    /// Hands out the dirty Services and forgets them: a caller that fails one marks it again.
    pub fn take_dirty(&mut self) -> BTreeSet<ObjectName> {
        self.mark_moved();
        self.mark_of_another_pool();
        std::mem::take(&mut self.dirty)
    }

    /// The Services that changes have touched since then.
    #[must_use]
    pub const fn dirty(&self) -> &BTreeSet<ObjectName> {
        &self.dirty
    }

    pub fn mark_dirty(&mut self, services: impl IntoIterator<Item = ObjectName>) {
        self.dirty.extend(services);
    }

    /// Whether what the kernel holds for Services that are not here is to be looked at again, since
    /// it is known by now whether they exist. Asked once.
    pub fn take_sweep(&mut self) -> bool {
        std::mem::take(&mut self.sweep)
    }

    /// Whether Services and slices have arrived: before that nothing can be decided.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced.contains(&Kind::Service) && self.synced.contains(&Kind::EndpointSlice)
    }

    /// Whether all objects of this kind have arrived.
    #[must_use]
    pub fn has_synced(&self, kind: Kind) -> bool {
        self.synced.contains(&kind)
    }

    /// Whether it is known that there is no such Service, so that nothing of it is to stay.
    #[must_use]
    pub fn is_absent(&self, service: &ObjectName) -> bool {
        self.is_synced() && !self.has_service(service) && !self.unread.may_be_service(service)
    }

    /// Whether anything that the kernel holds for `service` stays because it cannot be decided.
    #[must_use]
    pub fn keeps(&self, service: &ObjectName) -> bool {
        if !self.has_service(service) {
            return !self.is_absent(service);
        }
        self.ports(service).iter().any(|port| matches!(port.disposition, Disposition::Keep { .. }))
    }

    #[must_use]
    pub fn nodes(&self) -> &NodeIndex {
        &self.nodes
    }

    /// The client node's object exists right now; its last known labels hold while it does not.
    #[must_use]
    pub fn own_node_exists(&self) -> bool {
        self.nodes.by_name.contains_key(&self.nodes.here)
    }

    /// There is no Node of the client node's name, and never was: it may be misspelt.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        let here = &self.nodes.here;
        self.synced.contains(&Kind::Node) && self.nodes.own.is_none() && !self.unread.may_be_node(here)
    }

    /// Every Service that exists, also those that do not count, and that of the self-test.
    pub fn services(&self) -> impl Iterator<Item = (&Service, &Topology)> {
        self.services.values().map(|entry| (&entry.service, &entry.topology))
    }

    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<(&Service, &Topology)> {
        self.services.get(name).map(|entry| (&entry.service, &entry.topology))
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

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.rules.mode
    }

    /// What a topology that is not understood does.
    #[must_use]
    pub fn on_invalid(&self) -> OnInvalid {
        self.rules.on_invalid
    }

    /// The slices that name `service`.
    pub fn slices_of(&self, service: &ObjectName) -> impl Iterator<Item = &Slice> {
        self.slices.get(service).into_iter().flatten().map(|slice| &**slice)
    }

    /// Why endpoints that `service` has are not read, each as a clause: those of a slice whose `addressType` is no IP
    /// family, and `v1` Endpoints where no slice of the same family has any. Those are of the Service's first family.
    #[must_use]
    pub fn not_read(&self, service: &ObjectName) -> Vec<String> {
        let why = |slice: &Slice| {
            let why = slice.not_read.as_ref()?;
            Some(format!("the endpoints of EndpointSlice {} are not read: {why}", slice.name))
        };
        let mut found: Vec<String> = self.slices_of(service).filter_map(why).collect();
        let first = || self.services.get(service)?.service.addresses.first().copied().map(Family::of);
        let is_read = || {
            let first = first();
            let counts = |slice: &Slice| first.is_none() || slice.family == first;
            self.slices_of(service).any(|slice| counts(slice) && !slice.endpoints.is_empty())
        };
        if self.unread_forms.contains(service) && !is_read() {
            found.push(
                "it has endpoints in v1 Endpoints, which are not read, and none that can be used in an EndpointSlice"
                    .to_owned(),
            );
        }
        found
    }

    /// Every slice that exists, also those that do not count, and those of the self-test.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values().flatten().map(|slice| &**slice)
    }
}

#[cfg(test)]
mod tests;
