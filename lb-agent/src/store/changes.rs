//! When the changes came about that the next pass follows, as Kubernetes measures how long that takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Changed, ObjectName};

use super::Store;

/// More of one Service are not kept: a pass that does not come does not fill the memory.
const MOST: usize = 64;

/// By Service, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LastChanges(BTreeMap<ObjectName, Vec<i64>>);

impl LastChanges {
    /// Notes a slice of `service` that has come or is not as it was.
    pub(super) fn add(&mut self, service: &ObjectName, changed: Changed) {
        if let Changed(Some(at)) = changed {
            let of_service = self.0.entry(service.clone()).or_default();
            if of_service.len() < MOST {
                of_service.push(at.get());
            }
        }
    }

    /// A slice of `service` is gone: its annotation is of a change before that.
    pub(super) fn forget(&mut self, service: &ObjectName) {
        self.0.remove(service);
    }
}

impl Store {
    /// When the changes came about that a pass over these Services has followed. Handed out once.
    pub fn take_changes(&mut self, services: &BTreeSet<ObjectName>) -> Vec<i64> {
        if self.changes.0.is_empty() {
            return Vec::new();
        }
        services.iter().filter_map(|service| self.changes.0.remove(service)).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI64;

    use super::*;

    #[test]
    fn a_change_is_handed_out_once_and_none_of_a_slice_that_is_gone() {
        let (web, db) = (ObjectName::new("default", "web"), ObjectName::new("default", "db"));
        let mut store = Store::new("n1", super::super::Rules::default());
        for (service, at) in [(&web, 1), (&web, 2), (&db, 3)] {
            store.changes.add(service, Changed(NonZeroI64::new(at)));
        }
        store.changes.add(&web, Changed(None));
        assert_eq!(store.take_changes(&BTreeSet::from([web.clone()])), [1, 2]);
        assert_eq!(store.take_changes(&BTreeSet::from([web])), [0; 0]);
        store.changes.forget(&db);
        assert_eq!(store.take_changes(&BTreeSet::from([db.clone()])), [0; 0]);

        (1..1000).for_each(|at| store.changes.add(&db, Changed(NonZeroI64::new(at))));
        assert_eq!(store.take_changes(&BTreeSet::from([db])).len(), MOST);
    }
}
