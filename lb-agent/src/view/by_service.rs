//! The diagnostics of every Service, of which a copy is cheap and stays as it was. Pure.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::model::ObjectName;

use super::diagnostic::{Counts, Diagnostic};

/// One change after a copy was made copies the Services of one shard.
const SHARDS: usize = 64;

type Shard = BTreeMap<ObjectName, Arc<[Diagnostic]>>;

/// Diagnostics by Service, and how many there are of each reason.
#[derive(Clone, Debug)]
pub struct ByService {
    shards: [Arc<Shard>; SHARDS],
    counts: Counts,
}

impl Default for ByService {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self { shards: std::array::from_fn(|_| Arc::clone(&empty)), counts: Counts::default() }
    }
}

impl ByService {
    #[must_use]
    pub fn of(&self, service: &ObjectName) -> &[Diagnostic] {
        self.shards[place(service)].get(service).map_or(&[], |diagnostics| diagnostics)
    }

    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.shards.iter().flat_map(|shard| shard.values()).flat_map(|diagnostics| diagnostics.iter())
    }

    /// Puts `diagnostics` in the place of those that `service` had. Copies are as they were.
    pub fn set(&mut self, service: &ObjectName, diagnostics: Vec<Diagnostic>) {
        let shard = &mut self.shards[place(service)];
        let before = shard.get(service).map_or(&[][..], |before| before);
        if *before == *diagnostics {
            return;
        }
        self.counts.subtract(before);
        self.counts.add(&diagnostics);
        let shard = Arc::make_mut(shard);
        if diagnostics.is_empty() {
            shard.remove(service);
        } else {
            shard.insert(service.clone(), diagnostics.into());
        }
    }
}

fn place(service: &ObjectName) -> usize {
    let mut hasher = DefaultHasher::new();
    service.hash(&mut hasher);
    (hasher.finish() % SHARDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Reason;
    use super::*;

    #[test]
    fn counts_follow_every_change() {
        let (web, db) = (ObjectName::new("default", "web"), ObjectName::new("default", "db"));
        let mut all = ByService::default();
        for (service, reasons, conflicts, no_room) in [
            (&web, &[Reason::Conflict, Reason::NoRoom][..], 1, 1),
            (&db, &[Reason::Conflict], 2, 1),
            (&web, &[Reason::Conflict, Reason::NoRoom], 2, 1),
            (&web, &[Reason::NoRoom], 1, 1),
            (&db, &[], 0, 1),
            (&web, &[], 0, 0),
        ] {
            all.set(service, diagnostics(service, reasons));
            let counts = all.counts();
            assert_eq!((counts.of(Reason::Conflict), counts.of(Reason::NoRoom)), (conflicts, no_room));
            assert_eq!(all.of(service), diagnostics(service, reasons));
        }
        assert_eq!(all.iter().count(), 0);
    }

    #[test]
    fn a_copy_stays_as_it_was_and_shares_what_did_not_change() {
        let mut all = ByService::default();
        for number in 0..1000 {
            let service = ObjectName::new("default", &format!("s{number}"));
            all.set(&service, diagnostics(&service, &[Reason::Conflict]));
        }
        let copy = all.clone();
        let one = ObjectName::new("default", "s7");

        all.set(&one, Vec::new());

        assert_eq!((copy.iter().count(), all.iter().count()), (1000, 999));
        assert_eq!((copy.of(&one).len(), all.of(&one).len()), (1, 0));
        let shared = all.shards.iter().zip(&copy.shards).filter(|(now, then)| Arc::ptr_eq(now, then));
        assert_eq!(shared.count(), SHARDS - 1);
    }

    fn diagnostics(service: &ObjectName, reasons: &[Reason]) -> Vec<Diagnostic> {
        reasons.iter().map(|reason| Diagnostic::new(service.to_string(), *reason, "as it is")).collect()
    }
}
