//! The loop's body: what is dirty, compared, written; and the audit.

use std::collections::{BTreeMap, BTreeSet};

use crate::datapath::{Maps, ReadError, WriteError};
use crate::model::ObjectName;
use crate::plan::{Plan, Step, Want, topology_first, wanted};
use crate::store::Store;

/// The maps, and the plan that mirrors them. The one writer.
#[derive(Debug)]
pub struct Reconciler<M> {
    pub maps: M,
    pub plan: Plan,
}

/// What one pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// Front-end elements that were written or taken back.
    pub written: usize,
    /// The Services that could not be written, and why. They are dirty again.
    pub failed: BTreeMap<ObjectName, WriteError>,
}

impl<M: Maps> Reconciler<M> {
    /// Brings the maps to what the store says of its dirty Services. Before Services and slices
    /// are in sync it does nothing: unknown is not empty.
    ///
    /// While `unknown`, a part of the source could never be read: nothing is removed for lack of
    /// having been told. It can stop after any write; the next pass needs no memory of it.
    pub fn converge(&mut self, store: &mut Store, unknown: bool) -> Pass {
        let mut pass = Pass::default();
        if !store.is_synced() {
            return pass;
        }
        let mut dirty = store.take_dirty();
        dirty.extend(self.plan.take_hopeful());
        let wants = wanted(store, &self.plan, &dirty, unknown);
        for (frontend, want) in topology_first(wants) {
            let service = want.as_ref().map_or_else(|| self.plan.owner(&frontend).cloned(), owner);
            let steps = self.plan.steps(frontend, want.as_ref());
            pass.written += steps.len();
            if let Err(error) = self.carry_out(steps) {
                let service = service.unwrap_or_else(|| ObjectName::new("", ""));
                store.mark_dirty([service.clone()]);
                pass.failed.insert(service, error);
            }
        }
        pass
    }

    /// Everything is to be looked at again: after a start, and over new maps.
    pub fn start(&self, store: &mut Store) {
        let known: BTreeSet<ObjectName> = store.services().map(|(service, _)| service.name.clone()).collect();
        store.mark_dirty(known);
        store.mark_dirty(self.plan.services().cloned().collect::<Vec<_>>());
    }

    /// Reads the maps back and marks the Services whose elements are not as they were written.
    /// Returns how many elements and names differed.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn audit(&mut self, store: &mut Store) -> Result<usize, ReadError> {
        let observed = self.maps.dump()?;
        let (differ, names) = self.plan.compare(&observed);
        let strays = self.plan.strays().len();
        let found = differ.len() + names.len() + strays;
        store.mark_dirty(differ);
        for op in &names {
            if let Err(error) = self.maps.write(op) {
                tracing::warn!(%error, "could not mend a name; the next audit tries again");
            }
        }
        Ok(found)
    }

    /// Carries out steps in order. After one that fails the rest is given up.
    fn carry_out(&mut self, steps: Vec<Step>) -> Result<(), WriteError> {
        let mut failed = None;
        for step in steps {
            if failed.is_none() {
                failed = self.write(&step).err();
            }
            if failed.is_none() {
                self.plan.commit(step);
            } else {
                self.plan.abort(&step);
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

fn owner(want: &Want) -> Option<ObjectName> {
    Some(want.key.service.clone())
}
