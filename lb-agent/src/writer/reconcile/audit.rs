//! The audit: whether the maps still hold what was written.

use crate::model::ObjectName;
use crate::plan::{Digest, Maps, Observed, ReadError};
use crate::store::Store;

use super::Reconciler;

/// What the last audit left.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastAudit {
    /// [`Mirror::changes`] then.
    changes: u64,
    /// Of the maps, where it found everything as it was written: as long as both numbers are the same, another one will.
    well: Option<Digest>,
}

impl<M: Maps> Reconciler<M> {
    /// Reads the maps back and marks the Services whose elements are not as they were written. Once nothing has changed
    /// between two audits and all is well, a digest of what is read is enough for those that follow.
    /// Returns how many elements and names differed.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn audit(&mut self, store: &mut Store) -> Result<usize, ReadError> {
        self.maps.distrust_hosts();
        let changes = self.mirror.changes();
        let last = self.last_audit.replace(LastAudit { changes, well: None });
        // Where changes come all the time, a digest would be one reading more and never the same.
        let last = last.filter(|last| last.changes == changes);
        let digest = last.and_then(|_| self.digest());
        if digest.is_some() && last.is_some_and(|last| last.well == digest) {
            self.last_audit = last;
            return Ok(0);
        }
        let observed = self.maps.dump()?;
        let is_repaired = self.maps.repair(&observed).unwrap_or_else(|error| {
            tracing::warn!(%error, "could not repair the Bloom filter; the next audit tries again");
            true
        });
        let found = self.compare(&observed, store);
        // The same before and after: what was compared was nothing else in between.
        if found == 0 && !is_repaired && digest.is_some() && digest == self.digest() {
            self.last_audit = Some(LastAudit { changes, well: digest });
        }
        Ok(found)
    }

    /// Without one everything is read back.
    fn digest(&mut self) -> Option<Digest> {
        let digest = self.maps.digest();
        digest.inspect_err(|error| tracing::debug!(%error, "no digest of the maps: they are compared")).ok()
    }

    fn compare(&mut self, observed: &Observed, store: &mut Store) -> usize {
        let (differ, names) = self.mirror.compare(observed);
        let orphans = self.mirror.orphans().len();
        let found = differ.len() + names.len() + orphans;
        store.mark_dirty(differ);
        let absent: Vec<ObjectName> =
            self.mirror.services().filter(|service| !store.has_service(service)).cloned().collect();
        store.mark_dirty(absent);
        for op in &names {
            if let Err(error) = self.maps.write(op) {
                tracing::warn!(%error, "could not repair a name; the next audit tries again");
            }
        }
        found
    }
}
