//! The loop's body: what is dirty, compared, written.

mod audit;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Frontend, ObjectName};
use crate::plan::{Desired, Mirror, Step, topology_first, wanted};
use crate::plan::{MapOp, Maps, RepairError, WriteError};
use crate::store::Store;

use audit::LastAudit;

/// The maps, and the plan that mirrors them. The one writer.
#[derive(Debug)]
pub struct Reconciler<M> {
    pub maps: M,
    pub mirror: Mirror,
    last_audit: Option<LastAudit>,
}

/// What one pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// The Services that were looked at.
    pub touched: BTreeSet<ObjectName>,
    /// Front-end elements that were written or taken back.
    pub written: usize,
    /// The Services that could not be written, and why. They are dirty again.
    pub failed: BTreeMap<ObjectName, WriteError>,
    /// Why node ports are not served at the right addresses of the host, if so.
    pub hosts: Option<RepairError>,
}

impl Pass {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.failed.is_empty() && self.hosts.is_none()
    }
}

impl<M: Maps> Reconciler<M> {
    pub const fn new(maps: M, mirror: Mirror) -> Self {
        Self { maps, mirror, last_audit: None }
    }

    /// Brings the maps to what the store says of its dirty Services. Before Services and slices
    /// are in sync it does nothing: unknown is not empty.
    ///
    /// It can stop after any write; the next pass needs no memory of it.
    pub fn converge(&mut self, store: &mut Store) -> Pass {
        let mut pass = Pass::default();
        if !store.is_synced() {
            return pass;
        }
        pass.hosts = self.maps.serve_node_ports_at(&store.node_port_addresses()).err();
        let mut dirty = store.take_dirty();
        if store.take_sweep() {
            dirty.extend(self.mirror.services().cloned());
        }
        self.bring(store, dirty, &mut pass);
        if !pass.failed.is_empty() {
            // The room is for what failed: it comes first in the next pass.
            return pass;
        }
        // What gave room in this pass is used in this pass.
        let retryable: BTreeSet<ObjectName> = self.mirror.take_retryable().into_iter().collect();
        if !retryable.is_empty() {
            self.bring(store, retryable, &mut pass);
        }
        pass
    }

    fn bring(&mut self, store: &mut Store, dirty: BTreeSet<ObjectName>, pass: &mut Pass) {
        let mut cells = std::mem::take(&mut self.mirror.cells);
        let desired = wanted(store, &self.mirror, &mut cells, &dirty);
        self.mirror.cells = cells;
        self.name_cells();
        for (frontend, desired) in topology_first(desired) {
            let holder = self.mirror.owner(&frontend).cloned();
            let done = self.bring_one(frontend, desired.as_ref(), pass);
            if let Err(error) = done {
                // The holder as well: what is desired may be gone before the next try.
                let wants = desired.map(|desired| desired.key.service);
                let concerned: Vec<ObjectName> = wants.into_iter().chain(holder).collect();
                let service = concerned.first().cloned().unwrap_or_else(|| ObjectName::new("", ""));
                store.mark_dirty(concerned);
                pass.failed.insert(service, error);
            }
        }
        pass.touched.extend(dirty);
    }

    /// Before an element has their numbers. Without a name a cell counts all the same; the next pass tries again.
    fn name_cells(&mut self) {
        for (number, cell) in self.mirror.cells.unwritten() {
            if let Err(error) = self.maps.write(&MapOp::Cell { number: *number, cell: cell.clone() }) {
                tracing::debug!(%error, "a cell of the loop was not named; the next pass tries again");
                return;
            }
        }
        self.mirror.cells.wrote();
    }

    /// Where there is no memory for another element, the front end counts as full: a Service with a topology takes the
    /// place of one without, which gives memory back. Is that of no use at once, it waits like all others.
    fn bring_one(
        &mut self,
        frontend: Frontend,
        desired: Option<&Desired>,
        pass: &mut Pass,
    ) -> Result<(), WriteError> {
        let mut done = Ok(());
        for _ in 0..2 {
            let steps = self.mirror.steps(frontend, desired);
            pass.written += steps.len();
            done = self.carry_out(steps);
            match (&done, desired) {
                (Err(WriteError::NoMemory { .. }), Some(_)) if !self.mirror.holds_any_at(&frontend) => {
                    self.mirror.ran_out_of_memory();
                }
                _ => return done,
            }
        }
        if let Some(desired) = desired {
            self.mirror.lacks_memory(&desired.key.service, frontend);
            done = Ok(());
        }
        done
    }

    /// Everything is to be looked at again: after a start, and over new maps.
    pub fn start(&self, store: &mut Store) {
        let known: BTreeSet<ObjectName> = store.services().map(|(service, _)| service.name.clone()).collect();
        store.mark_dirty(known);
        store.mark_dirty(self.mirror.services().cloned().collect::<Vec<_>>());
    }

    /// Carries out steps in order. After one that fails the rest is given up.
    ///
    /// # Errors
    /// When a write failed; what was written before it is known to the plan.
    pub fn carry_out(&mut self, steps: Vec<Step>) -> Result<(), WriteError> {
        let mut failed = None;
        for step in steps {
            if failed.is_none() {
                failed = self.write(&step).err();
            }
            if failed.is_none() {
                self.mirror.commit(step);
            } else {
                self.mirror.abort(&step);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn write(&mut self, step: &Step) -> Result<(), WriteError> {
        for op in &step.ops {
            match self.maps.write(op) {
                Err(error) if op.is_only_a_name() => {
                    tracing::debug!(%error, "a name was not written; the next audit tries again");
                }
                done => done?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::{Change, Kind, Object, Protocol, Service, ServicePort};
    use crate::plan::fake::{Fake, Memory};
    use crate::plan::{Capacity, Starved};
    use crate::store::Rules;

    #[test]
    fn nothing_is_written_and_nothing_forgotten_before_services_and_slices_are_in_sync() {
        let mut served = converged();
        assert_eq!(served.maps.held().services.len(), 1);

        for synced in [&[][..], &[Kind::Service], &[Kind::EndpointSlice]] {
            let mut empty = store(synced);
            served.start(&mut empty);
            let dirty = empty.dirty().clone();
            let pass = served.converge(&mut empty);

            assert_eq!((pass.written, served.maps.held().services.len()), (0, 1), "{synced:?}");
            assert_eq!(*empty.dirty(), dirty, "{synced:?}");
            assert!(!dirty.is_empty(), "{synced:?}");
        }
        let mut empty = store(&[Kind::Service, Kind::EndpointSlice]);
        served.start(&mut empty);
        served.converge(&mut empty);
        assert_eq!(served.maps.held().services.len(), 0, "then it is known to be gone");
    }

    #[test]
    fn a_service_that_could_not_be_written_is_named_and_stays_dirty() {
        let mut store = served_store();
        let mut failing = over(Fake::new(CAPACITY).with_faults(1, 1));

        let pass = failing.converge(&mut store);

        assert_eq!(pass.failed.into_keys().collect::<Vec<_>>(), [web().name]);
        assert_eq!(store.dirty().iter().collect::<Vec<_>>(), [&web().name]);
        let mut healthy = over(Fake::new(CAPACITY));
        assert!(healthy.converge(&mut store).failed.is_empty() && store.dirty().is_empty());
        assert_eq!(healthy.maps.held().services.len(), 1);
    }

    #[test]
    fn an_audit_repairs_what_another_process_changed() {
        type Spoil = fn(&mut Memory);
        let cases: [(&str, Spoil); 3] = [
            ("an element gone", |held| held.services.clear()),
            ("an element changed", |held| held.services.values_mut().for_each(|stored| stored.count = 9)),
            ("a name gone", |held| held.names.clear()),
        ];
        for (shows, spoil) in cases {
            let (mut served, mut store) = (converged(), served_store());
            store.take_dirty();
            spoil(served.maps.memory_mut());

            assert!(served.audit(&mut store).unwrap() > 0, "{shows}");
            served.converge(&mut store);

            let held = served.maps.held();
            assert_eq!((held.services.len(), held.names.len()), (1, 1), "{shows}");
            assert_eq!(
                held.services.values().map(|held| held.element.backends.len()).max(),
                Some(0),
                "{shows}"
            );
            assert_eq!(served.audit(&mut store).unwrap(), 0, "{shows}");
        }
    }

    /// Everything is read back twice after each change, also after one of another process.
    #[test]
    fn an_audit_after_which_nothing_changed_is_not_repeated() {
        let (mut served, mut store) = (converged(), served_store());
        store.take_dirty();
        let mut audit = |served: &mut Reconciler<Fake>, shows: &str| {
            let (before, found) = (served.maps.dumps(), served.audit(&mut store).unwrap());
            served.converge(&mut store);
            println!("{shows}: {found} found");
            (served.maps.dumps() - before, found > 0)
        };
        assert_eq!(audit(&mut served, "the first"), (1, false));
        assert_eq!(audit(&mut served, "nothing changed since the first"), (1, false));
        assert_eq!(audit(&mut served, "nor since"), (0, false));
        served.maps.memory_mut().services.clear();
        assert_eq!(audit(&mut served, "another process took an element"), (1, true));
        assert_eq!(audit(&mut served, "it was written again"), (1, false));
        assert_eq!(audit(&mut served, "nothing changed after it"), (1, false));
        assert_eq!(audit(&mut served, "nor after that"), (0, false));
        served.maps.memory_mut().admitted.clear();
        assert_eq!(audit(&mut served, "the filter lost its keys"), (1, false));
        assert!(!served.maps.memory().admitted.is_empty(), "and has them again");
        assert_eq!(audit(&mut served, "what was brought back is looked at once more"), (1, false));
        assert_eq!(audit(&mut served, "nothing changed in the end"), (0, false));
        served.mirror = Mirror::new(CAPACITY, 1);
        assert_eq!(audit(&mut served, "what is known changed, if not the maps"), (1, true));
    }

    /// As when the map is full: those with a topology get what there is, the others are left to kube-proxy, nothing
    /// fails, and all are served once there is memory.
    #[test]
    fn without_memory_for_another_element_those_with_a_topology_come_first() {
        let mut store = store(&[Kind::Service, Kind::EndpointSlice]);
        let served = |kernel: &Reconciler<Fake>| {
            let held = kernel.maps.held().services.into_keys();
            held.map(|frontend| frontend.address.ip().to_string()).collect::<Vec<_>>().join(" ")
        };
        let mut kernel = over(Fake::new(CAPACITY));
        kernel.maps.set_memory(2);
        for number in 1..=3 {
            store.apply(Change::Apply(Object::Service(at(number, None))));
        }
        let pass = kernel.converge(&mut store);
        assert!(pass.failed.is_empty() && store.dirty().is_empty(), "{pass:?}");
        assert_eq!(served(&kernel), "10.96.0.1 10.96.0.2");
        assert_eq!(lacking(&kernel), [(3, Starved::Memory)]);

        store.apply(Change::Apply(Object::Service(at(4, Some("*")))));
        assert!(kernel.converge(&mut store).failed.is_empty());
        assert_eq!(served(&kernel), "10.96.0.2 10.96.0.4");
        assert_eq!(lacking(&kernel), [(1, Starved::Memory), (3, Starved::Memory)]);

        store.apply(Change::Apply(Object::Service(Service { internal_local: true, ..at(2, None) })));
        assert!(kernel.converge(&mut store).failed.is_empty(), "what is held can change");
        assert!(!kernel.mirror.is_retryable(), "nothing is tried in vain");

        kernel.mirror.try_memory_again();
        kernel.converge(&mut store);
        assert_eq!(lacking(&kernel).len(), 2, "still none");
        kernel.maps.set_memory(usize::MAX);
        assert!(kernel.mirror.is_short_of_memory());
        kernel.mirror.try_memory_again();
        kernel.converge(&mut store);
        assert_eq!((served(&kernel).split(' ').count(), lacking(&kernel)), (4, vec![]));
        assert!(!kernel.mirror.is_short_of_memory());
    }

    /// Which Services lack room, by the last number of their address.
    fn lacking(kernel: &Reconciler<Fake>) -> Vec<(u8, Starved)> {
        let shortages = kernel.mirror.shortages();
        let number = |frontend: Frontend| match frontend.address.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        };
        let all = shortages.services().flat_map(|service| shortages.of(service));
        all.map(|(frontend, why)| (number(frontend), why)).collect()
    }

    fn at(number: u8, topology: Option<&str>) -> Service {
        Service {
            name: ObjectName::new("default", &format!("s{number}")),
            addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 96, 0, number))],
            topology: topology.map(Into::into),
            ..web()
        }
    }

    const CAPACITY: Capacity = Capacity::of(4, 8);

    fn over(maps: Fake) -> Reconciler<Fake> {
        Reconciler::new(maps, Mirror::new(CAPACITY, 1))
    }

    /// Maps that hold one Service.
    fn converged() -> Reconciler<Fake> {
        let mut kernel = over(Fake::new(CAPACITY));
        kernel.converge(&mut served_store());
        kernel
    }

    fn served_store() -> Store {
        let mut store = store(&[Kind::Service, Kind::EndpointSlice]);
        store.apply(Change::Apply(Object::Service(web())));
        store
    }

    fn store(synced: &[Kind]) -> Store {
        let mut store = Store::new("n1", Rules::default());
        for kind in synced {
            store.apply(Change::Synced(*kind));
        }
        store
    }

    fn web() -> Service {
        Service {
            name: ObjectName::new("default", "web"),
            created: None,
            skipped: None,
            discarded: false,
            addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 96, 0, 11))],
            ports: vec![ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, node_port: None }],
            topology: None,
            uid: None,
            internal_local: false,
            affinity: None,
            foreign: None,
            further: None,
        }
    }
}
