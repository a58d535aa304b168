//! Which parts of the backends map are free: regions by power of two.

use std::collections::BTreeSet;

/// Sizes are powers of two up to 2^(`ORDERS` - 1): more than a Service can have backends.
const ORDERS: usize = 17;

/// A part of the backends map: `1 << order` entries from `at`, which is a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Region {
    pub(super) at: u32,
    pub(super) order: u8,
}

impl Region {
    /// The region of `entries` entries at `at`.
    pub(super) fn of(at: u32, entries: usize) -> Self {
        Self { at, order: order(entries) }
    }

    pub(super) const fn size(self) -> u32 {
        1 << self.order
    }
}

/// A buddy allocator. It hands out the lowest place that fits, so that the map stays dense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Regions {
    /// NodeIndex by order.
    free: [BTreeSet<u32>; ORDERS],
}

impl Regions {
    /// All of a map of `entries` entries is free.
    pub(super) fn new(entries: u32) -> Self {
        let mut regions = Self::default();
        let mut at = 0;
        while at < entries {
            let fits = (0..ORDERS as u8).rev().map(|order| Region { at, order });
            let region = fits
                .into_iter()
                .find(|region| at.is_multiple_of(region.size()) && region.size() <= entries - at)
                .unwrap_or(Region { at, order: 0 });
            regions.free[usize::from(region.order)].insert(at);
            at += region.size();
        }
        regions
    }

    /// A region with room for `entries` entries; `None` when no free part is that large.
    pub(super) fn allocate(&mut self, entries: usize) -> Option<Region> {
        let wanted = order(entries);
        let from = (wanted..ORDERS as u8).find(|order| !self.free[usize::from(*order)].is_empty())?;
        let at = self.free[usize::from(from)].pop_first()?;
        Some(self.cut(Region { at, order: from }, Region { at, order: wanted }))
    }

    /// Takes exactly `region`; false when a part of it is taken, or it is not well placed.
    pub(super) fn reserve(&mut self, region: Region) -> bool {
        if usize::from(region.order) >= ORDERS || !region.at.is_multiple_of(region.size()) {
            return false;
        }
        for order in region.order..ORDERS as u8 {
            let at = region.at & !((1 << order) - 1);
            if self.free[usize::from(order)].remove(&at) {
                self.cut(Region { at, order }, region);
                return true;
            }
        }
        false
    }

    /// Gives `region` back and joins it with its free neighbours.
    pub(super) fn release(&mut self, region: Region) {
        let Region { mut at, mut order } = region;
        while usize::from(order) + 1 < ORDERS {
            let buddy = at ^ (1 << order);
            if !self.free[usize::from(order)].remove(&buddy) {
                break;
            }
            at = at.min(buddy);
            order += 1;
        }
        self.free[usize::from(order)].insert(at);
    }

    /// How many regions with room for `entries` entries could be allocated, one after the other.
    pub(super) fn count(&self, entries: usize) -> u32 {
        let wanted = usize::from(order(entries));
        let larger = self.free.iter().enumerate().skip(wanted);
        larger.map(|(order, places)| (places.len() as u32) << (order - wanted)).sum()
    }

    /// The entries of the largest region that could be allocated; 0 when all is taken.
    pub(super) fn largest(&self) -> usize {
        self.free.iter().rposition(|places| !places.is_empty()).map_or(0, |order| 1 << order)
    }

    /// How many entries are free.
    pub(super) fn free(&self) -> u32 {
        self.free.iter().enumerate().map(|(order, places)| (places.len() as u32) << order).sum()
    }

    /// Halves `from`, which is no longer free, until `region` is left; the other halves are free.
    fn cut(&mut self, from: Region, region: Region) -> Region {
        let Region { mut at, mut order } = from;
        while order > region.order {
            order -= 1;
            let upper = at + (1 << order);
            if region.at >= upper {
                self.free[usize::from(order)].insert(at);
                at = upper;
            } else {
                self.free[usize::from(order)].insert(upper);
            }
        }
        region
    }
}

/// The order of the smallest region with room for `entries` entries.
fn order(entries: usize) -> u8 {
    entries.next_power_of_two().trailing_zeros() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_map_is_used_up_to_its_last_entry() {
        for entries in [1, 2, 3, 7, 64, 1000, 65_536, 200_000] {
            let mut regions = Regions::new(entries);
            assert_eq!(regions.free(), entries);
            let taken: Vec<Region> = std::iter::from_fn(|| regions.allocate(1)).collect();
            assert_eq!(taken.len() as u32, entries);
            for region in taken {
                regions.release(region);
            }
            assert_eq!(regions, Regions::new(entries), "given back, it is whole again");
        }
    }

    #[test]
    fn a_taken_place_is_not_reserved_again() {
        let mut regions = Regions::new(16);
        assert!(regions.reserve(Region { at: 4, order: 2 }));
        for (at, order) in [(4, 2), (5, 0), (0, 3), (0, 4), (6, 1), (1, 1), (16, 0)] {
            assert!(!regions.reserve(Region { at, order }), "{at} of order {order}");
        }
        assert_eq!(regions.free(), 12);
        assert_eq!(regions.allocate(5), Some(Region { at: 8, order: 3 }));
        assert_eq!(regions.allocate(5), None, "four free entries are too few");
        assert_eq!(regions.allocate(3), Some(Region { at: 0, order: 2 }));
    }

    proptest! {
        #[test]
        fn regions_never_overlap_and_all_come_back(sizes in prop::collection::vec(1_usize..40, 1..60), keep in any::<u64>()) {
            let mut regions = Regions::new(512);
            let mut taken: Vec<Region> = Vec::new();
            for (turn, size) in sizes.into_iter().enumerate() {
                if let Some(region) = regions.allocate(size) {
                    prop_assert!(region.size() as usize >= size);
                    prop_assert!(region.at + region.size() <= 512);
                    for other in &taken {
                        prop_assert!(region.at + region.size() <= other.at || other.at + other.size() <= region.at);
                    }
                    taken.push(region);
                }
                if keep >> (turn % 64) & 1 == 0 && !taken.is_empty() {
                    regions.release(taken.swap_remove(turn % taken.len()));
                }
            }
            for region in taken {
                regions.release(region);
            }
            prop_assert_eq!(regions, Regions::new(512));
        }
    }
}
