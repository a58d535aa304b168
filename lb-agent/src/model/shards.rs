//! A map of which a copy is cheap and stays as it was. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

/// One change after a copy was made copies the entries of one shard.
const SHARDS: usize = 64;

type Shard<K, V> = Arc<BTreeMap<K, V>>;

/// Entries by key. What two copies share costs nothing to compare.
#[derive(Clone)]
pub struct Shards<K, V>(Arc<[Shard<K, V>; SHARDS]>);

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self(Arc::new(std::array::from_fn(|_| Arc::clone(&empty))))
    }
}

impl<K: Hash + Ord + Clone, V: Clone + PartialEq> Shards<K, V> {
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0[place(key)].get(key)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flat_map(|shard| shard.iter())
    }

    /// Puts `value` in the place of what `key` had; `None` leaves nothing there. Copies are as they were.
    pub fn set(&mut self, key: K, value: Option<V>) {
        if self.get(&key) == value.as_ref() {
            return;
        }
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[place(&key)]);
        match value {
            Some(value) => _ = shard.insert(key, value),
            None => _ = shard.remove(&key),
        }
    }

    /// The keys whose entry is not as it was `before`, each with that and with what it is now. It costs what
    /// differs.
    pub fn news<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
        let pairs = self.0.iter().zip(&*before.0);
        pairs.filter(|(now, then)| !Arc::ptr_eq(now, then)).flat_map(|(now, then)| {
            let gone = then.iter().filter(|(key, _)| !now.contains_key(key));
            let gone = gone.map(|(key, then)| (key, Some(then), None));
            let other = now.iter().filter_map(|(key, value)| {
                let then = then.get(key);
                (then != Some(value)).then_some((key, then, Some(value)))
            });
            gone.chain(other)
        })
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Shards<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&*other.0).all(|(one, other)| Arc::ptr_eq(one, other) || one == other)
    }
}

impl<K: Eq, V: Eq> Eq for Shards<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Shards<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().flat_map(|shard| shard.iter())).finish()
    }
}

fn place(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % SHARDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Shards<u32, u32> {
        let mut all = Shards::default();
        (0..1000).for_each(|key| all.set(key, Some(key)));
        all
    }

    #[test]
    fn a_copy_stays_as_it_was_and_shares_what_did_not_change() {
        let mut all = thousand();
        let copy = all.clone();
        all.set(7, None);
        all.set(8, Some(8));
        assert_eq!((all.get(&7), copy.get(&7), all.iter().count()), (None, Some(&7), 999));
        let shared = all.0.iter().zip(&*copy.0).filter(|(now, then)| Arc::ptr_eq(now, then));
        assert_eq!(shared.count(), SHARDS - 1, "what stays as it is copies nothing");
        assert!(all != copy && copy == thousand());
    }

    #[test]
    fn news_are_what_differs() {
        let before = thousand();
        let mut now = before.clone();
        assert_eq!(now.news(&before).count(), 0);
        now.set(7, None);
        now.set(8, Some(80));
        now.set(2000, Some(1));
        let mut news: Vec<_> = now.news(&before).collect();
        news.sort_unstable();
        assert_eq!(news, [(&7, Some(&7), None), (&8, Some(&8), Some(&80)), (&2000, None, Some(&1))]);
    }
}
