//! Where the programs count the loop, read.

use std::collections::BTreeMap;

use lb_common::layout::{
    self, CELL_SELF_TEST, CELL_UNNUMBERED, Connections, LOOP, MOST_CELLS, MOST_PLACES, PLACES_A_PAGE, Place,
};

use crate::datapath::codec;
use crate::plan::ReadError;
use crate::plan::cells::{Cell, Counted};

use super::map::Map;

/// The cells that have a number.
pub(super) fn cells(map: &Map<u32, layout::Cell>) -> Result<BTreeMap<u16, Cell>, ReadError> {
    let known =
        |(number, cell): &(u32, layout::Cell)| Some((u16::try_from(*number).ok()?, codec::known_cell(cell)?));
    Ok(map.all()?.iter().filter_map(known).collect())
}

/// What each place counts, by its number. An audit asks for the place of every backend.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<Option<Place>>);

impl Given {
    pub(super) fn get(&self, number: u16) -> Option<Place> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    /// In the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Place)> {
        self.0.iter().zip(0_u16..).filter_map(|(place, number)| Some((number, (*place)?)))
    }

    /// The highest number of all.
    pub(super) fn last(&self) -> Option<u16> {
        self.0.len().checked_sub(1).and_then(|last| u16::try_from(last).ok())
    }
}

/// A number that there is no place for is left out.
impl FromIterator<(u32, Place)> for Given {
    fn from_iter<I: IntoIterator<Item = (u32, Place)>>(all: I) -> Self {
        let mut places = Vec::new();
        for (number, place) in all.into_iter().filter(|(number, _)| *number < MOST_PLACES) {
            let number = number as usize;
            if places.len() <= number {
                places.resize(number + 1, None);
            }
            places[number] = Some(place);
        }
        Self(places)
    }
}

/// What each place counts.
pub(super) fn places(map: &Map<u32, Place>) -> Result<Given, ReadError> {
    Ok(map.all()?.into_iter().collect())
}

/// What the counters show, on all CPUs together, by the number of the place.
pub(super) fn counters(map: &Map<u32, Connections>) -> Result<Vec<u64>, ReadError> {
    let mut counters = Vec::with_capacity(MOST_PLACES as usize);
    for page in 0..MOST_PLACES / PLACES_A_PAGE {
        let mut sums = [0_u64; PLACES_A_PAGE as usize];
        for copy in map.per_cpu(&page)? {
            for (sum, connections) in sums.iter_mut().zip(copy.connections) {
                *sum = sum.wrapping_add(connections);
            }
        }
        counters.extend(sums);
    }
    Ok(counters)
}

/// How many connections were counted since the places were given out, without those that counted none.
pub(super) fn counted(
    places: &Map<u32, Place>,
    counters: &Map<u32, Connections>,
) -> Result<Vec<(Counted, u64)>, ReadError> {
    Ok(since(&self::places(places)?, &self::counters(counters)?))
}

/// The counters of places that are in use, since these were given out. Pure.
fn since(places: &Given, counters: &[u64]) -> Vec<(Counted, u64)> {
    let counted = counters.iter().zip(0_u16..).filter_map(|(counter, number)| {
        let place = places.get(number).or_else(|| sum_of(number))?;
        let counted = Counted { service: place.service, cell: place.cell };
        Some((counted, counter.wrapping_sub(place.base))).filter(|(_, connections)| *connections > 0)
    });
    counted.collect()
}

/// What the place of this number counts, if it is one of a whole cell.
pub(super) fn sum_of(number: u16) -> Option<Place> {
    (u32::from(number) < MOST_CELLS).then_some(Place { service: 0, cell: number, zero: 0, base: 0 })
}

/// The highest number of a cell that something was counted under; 0 without any.
pub(super) fn highest(counted: &[(Counted, u64)]) -> u16 {
    let cells = counted.iter().map(|(counted, _)| counted.cell);
    cells.filter(|cell| *cell < CELL_SELF_TEST).max().unwrap_or_default()
}

/// The cell of what `id` counts at the place of this number, as far as `places` know it.
pub(super) fn cell(places: &Given, id: u32, number: u16) -> u16 {
    if u32::from(number) < MOST_CELLS {
        return number;
    }
    places.get(number).filter(|place| place.service == id).map_or(CELL_UNNUMBERED, |place| place.cell)
}

/// As [`places`], where none can be read, as in maps of other versions.
pub(super) fn places_or_none(map: Option<&Map<u32, Place>>) -> Given {
    map.and_then(|map| places(map).ok()).unwrap_or_default()
}

const _: () = assert!(LOOP.value_size as usize == PLACES_A_PAGE as usize * size_of::<u64>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_since_it_was_given_out_and_a_sum_also_what_others_counted() {
        let place = |service, cell, base| Place { service, cell, zero: 0, base };
        let places =
            [(3, place(0, 3, 5_u64.wrapping_sub(100))), (4097, place(7, 3, 40)), (4098, place(8, 3, 9))];
        let mut counters = vec![0; MOST_PLACES as usize];
        for (number, shown) in [(2, 6), (3, 5), (4097, 42), (4098, 9), (4099, 1)] {
            counters[number] = shown;
        }
        let counted = |service, cell| Counted { service, cell };
        assert_eq!(
            since(&places.into_iter().collect(), &counters),
            [(counted(0, 2), 6), (counted(0, 3), 100), (counted(7, 3), 2)],
            "nothing new at 4098, and 4099 is not in use"
        );
    }

    #[test]
    fn a_place_is_of_the_service_that_it_was_given_to() {
        let places = [(4097, Place { service: 7, cell: 3, zero: 0, base: 0 })].into_iter().collect();
        for (shows, id, number, expected) in [
            ("its own", 7, 4097, 3),
            ("of another", 8, 4097, CELL_UNNUMBERED),
            ("of no one", 7, 4098, CELL_UNNUMBERED),
            ("of a whole cell", 7, 9, 9),
        ] {
            assert_eq!(cell(&places, id, number), expected, "{shows}");
        }
    }
}
