//! The order of a Service's backends: survivors keep their slot.

use lb_common::layout::Backend4;

/// Puts the backends `new` (sorted, each once) in order: one that was in `old` keeps its slot
/// while that slot still exists, the others fill the holes. Session affinity finds its backend
/// again with one compare because of this.
pub(super) fn settle(old: &[Backend4], new: &[Backend4]) -> Vec<Backend4> {
    let mut slots: Vec<Option<Backend4>> = (0..new.len())
        .map(|slot| old.get(slot).copied().filter(|backend| new.binary_search(backend).is_ok()))
        .collect();
    let mut seated: Vec<Backend4> = slots.iter().copied().flatten().collect();
    seated.sort_unstable();
    let mut waiting = new.iter().filter(|backend| seated.binary_search(backend).is_err());
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = waiting.next().copied();
    }
    slots.into_iter().flatten().collect()
}

/// Whether `old`, in any order, is the set `new` (sorted, each once).
pub(super) fn is_same_set(old: &[Backend4], new: &[Backend4]) -> bool {
    if old.len() != new.len() {
        return false;
    }
    let mut sorted = old.to_vec();
    sorted.sort_unstable();
    sorted == new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(numbers: &[u8]) -> Vec<Backend4> {
        numbers
            .iter()
            .map(|number| Backend4 { address: [10, 0, 0, *number], ..Backend4::default() })
            .collect()
    }

    #[test]
    fn survivors_keep_their_slot_and_newcomers_fill_the_holes() {
        for (shows, old, new, settled) in [
            ("the first publication is in order", &[][..], &[1, 2, 3][..], &[1, 2, 3][..]),
            ("a newcomer goes last", &[3, 1], &[1, 2, 3], &[3, 1, 2]),
            ("a newcomer takes the place of the one that left", &[3, 1, 2], &[2, 3, 4], &[3, 4, 2]),
            ("one whose slot is gone moves up", &[1, 2, 3], &[1, 3], &[1, 3]),
            ("nobody left", &[1, 2], &[], &[]),
            ("all others", &[1, 2], &[3, 4, 5], &[3, 4, 5]),
        ] {
            assert_eq!(settle(&backends(old), &backends(new)), backends(settled), "{shows}");
        }
    }

    #[test]
    fn the_order_does_not_make_another_set() {
        assert!(is_same_set(&backends(&[3, 1, 2]), &backends(&[1, 2, 3])));
        assert!(!is_same_set(&backends(&[3, 1, 1]), &backends(&[1, 2, 3])));
        assert!(!is_same_set(&backends(&[3, 1]), &backends(&[1, 2, 3])));
    }
}
