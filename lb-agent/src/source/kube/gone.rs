//! Objects that are gone, and since when. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::model::ObjectName;

/// The objects that went last: an older list may still have them. When there are too many the oldest go, and
/// an object that no one remembers counts as gone at the version of the newest that was forgotten.
#[derive(Debug, Default)]
pub(super) struct Gone {
    by_name: HashMap<ObjectName, u64>,
    by_version: BTreeSet<(u64, ObjectName)>,
    forgotten: Option<u64>,
}

/// More than go in the minutes that a list from memory or disk may be old.
const MOST: usize = 4096;

impl Gone {
    /// The object is gone, at this version.
    pub(super) fn insert(&mut self, name: ObjectName, version: u64) {
        self.remove(&name);
        self.by_version.insert((version, name.clone()));
        self.by_name.insert(name, version);
        if self.by_name.len() > MOST
            && let Some((version, name)) = self.by_version.pop_first()
        {
            self.by_name.remove(&name);
            self.forgotten = self.forgotten.max(Some(version));
        }
    }

    /// The object is there again.
    pub(super) fn remove(&mut self, name: &ObjectName) {
        if let Some(version) = self.by_name.remove(name) {
            self.by_version.remove(&(version, name.clone()));
        }
    }

    /// At which version it is known to be gone; `None` if it did not go.
    pub(super) fn version(&self, name: &ObjectName) -> Option<u64> {
        self.by_name.get(name).copied().max(self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_remembered_and_a_bound_holds() {
        let name = |number: u64| ObjectName::new("default", &format!("s{number}"));
        let mut gone = Gone::default();
        assert_eq!(gone.version(&name(0)), None);
        let count = MOST as u64;
        for number in 0..count {
            gone.insert(name(number), 100 + number);
        }
        assert_eq!((gone.version(&name(0)), gone.version(&name(count))), (Some(100), None));
        gone.insert(name(count), 100 + count);
        gone.insert(name(count + 1), 101 + count);
        assert_eq!(gone.by_name.len(), MOST);
        for (number, version) in [(0, 101), (1, 101), (2, 102), (count + 1, 101 + count), (count + 2, 101)] {
            assert_eq!(gone.version(&name(number)), Some(version), "{number}");
        }
        gone.remove(&name(2));
        assert_eq!((gone.version(&name(2)), gone.by_version.len()), (Some(101), MOST - 1));
    }
}
