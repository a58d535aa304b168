//! Memory that is left for maps.

use crate::datapath::memory::{Demand, Left, Limits, megabytes};
use crate::plan::Capacity;

use super::finding::Finding;

const WHAT: &str = "memory for maps";

pub(super) fn findings(room: Capacity) -> Vec<Finding> {
    // Two sets are there while one takes the other's place.
    vec![of(Limits::own().left(), 2 * Demand::of(room).full)]
}

fn of(left: Option<Left>, need: u64) -> Finding {
    let Some(left) = left else { return Finding::ok(WHAT, "no limit") };
    let found = format!("{left}, {} for two sets of full maps", megabytes(need));
    if left.left >= need {
        return Finding::ok(WHAT, found);
    }
    Finding::degraded(
        WHAT,
        found,
        "a Service that finds no memory is not written, as if the map were full, and maps do not grow",
        "raise the memory limit, or lower --max-services and --max-backends",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn less_than_full_maps_need_is_said() {
        let left = |left: u64| Some(Left { limit: 9, left });
        assert_eq!(of(None, 5).state, State::Ok);
        assert_eq!(of(left(5), 5).state, State::Ok);
        assert_eq!(of(left(4), 5).state, State::Degraded);
    }
}
