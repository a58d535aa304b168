//! The order of a Service's backends: survivors keep their slot.

use super::element::Backend;

/// Puts the backends `new` (sorted, each once) in order: one that was in `old` keeps its slot
/// while that slot still exists, the others fill the holes. Session affinity finds its backend
/// again with one compare because of this.
pub(super) fn settle(old: &[Backend], new: &[Backend]) -> Vec<Backend> {
    let mut slots: Vec<Option<Backend>> =
        (0..new.len()).map(|slot| old.get(slot).and_then(|backend| at(new, backend)).copied()).collect();
    let mut seated: Vec<Backend> = slots.iter().copied().flatten().collect();
    seated.sort_unstable();
    let mut waiting = new.iter().filter(|backend| seated.binary_search(backend).is_err());
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = waiting.next().copied();
    }
    slots.into_iter().flatten().collect()
}

/// The backend of `set` (sorted, each once) that has the address of `backend`, in whichever cell it counts.
pub(super) fn at<'s>(set: &'s [Backend], backend: &Backend) -> Option<&'s Backend> {
    let place = set.binary_search_by_key(&backend.address(), Backend::address).ok()?;
    set.get(place)
}

/// Whether `old`, in any order, is the set `new` (sorted, each once).
pub(super) fn is_same_set(old: impl Iterator<Item = Backend>, new: &[Backend]) -> bool {
    let mut sorted: Vec<Backend> = old.collect();
    sorted.sort_unstable();
    sorted == new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(numbers: &[u8]) -> Vec<Backend> {
        numbers.iter().map(|number| Backend { ip: [10, 0, 0, *number].into(), port: 80, cell: 0 }).collect()
    }

    #[test]
    fn survivors_keep_their_slot_and_newcomers_fill_the_holes() {
        for (shows, old, new, settled) in [
            ("the first publication is in order", &[][..], &[1, 2, 3][..], &[1, 2, 3][..]),
            ("a newcomer goes last", &[3, 1], &[1, 2, 3], &[3, 1, 2]),
            ("a newcomer takes the place of the one that left", &[3, 1, 2], &[2, 3, 4], &[3, 4, 2]),
            ("one whose slot is gone moves up", &[1, 2, 3], &[1, 3], &[1, 3]),
            ("all left", &[1, 2], &[], &[]),
            ("all others", &[1, 2], &[3, 4, 5], &[3, 4, 5]),
        ] {
            assert_eq!(settle(&backends(old), &backends(new)), backends(settled), "{shows}");
        }
    }

    #[test]
    fn a_survivor_that_counts_in_another_cell_keeps_its_slot() {
        let counted = |numbers: &[u8], cell| {
            backends(numbers).into_iter().map(|backend| Backend { cell, ..backend }).collect::<Vec<_>>()
        };
        assert_eq!(settle(&counted(&[3, 1, 2], 1), &counted(&[1, 2, 3], 2)), counted(&[3, 1, 2], 2));
        assert!(!is_same_set(counted(&[1], 1).into_iter(), &counted(&[1], 2)), "it is to be written");
    }

    #[test]
    fn the_order_does_not_make_another_set() {
        let same = |old: &[u8], new: &[u8]| is_same_set(backends(old).into_iter(), &backends(new));
        assert!(same(&[3, 1, 2], &[1, 2, 3]));
        assert!(!same(&[3, 1, 1], &[1, 2, 3]));
        assert!(!same(&[3, 1], &[1, 2, 3]));
    }
}
