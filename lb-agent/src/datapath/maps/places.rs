//! Which place counts what: given out when an element is written, and taken back when its Service is gone.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::layout::{CELL_SELF_TEST, MOST_CELLS, MOST_PLACES, Place};

use crate::plan::cells::Counted;
use crate::plan::{ReadError, RepairError};

use super::loops::{self, Given};
use super::pinned::PinnedMaps;

/// The places that are in use, and those that are free.
#[derive(Debug)]
pub(super) struct Places {
    used: BTreeMap<Counted, u16>,
    /// With what their counters show.
    free: Vec<(u16, u64)>,
    /// From this one on none was ever used.
    unused: u16,
    /// Their Services were gone when counts were last summed up.
    leaving: BTreeSet<Counted>,
}

impl Places {
    /// As the maps say.
    pub(super) fn of(maps: &PinnedMaps) -> Result<Self, ReadError> {
        Ok(Self::known(&maps.places()?, &maps.counters_of_places()?))
    }

    /// Pure.
    fn known(places: &Given, counters: &[u64]) -> Self {
        let own = MOST_CELLS as usize..;
        let has_counted = counters.iter().rposition(|counter| *counter > 0);
        let last = places.last().map(usize::from).max(has_counted);
        let unused = last.map_or(own.start, |last| (last + 1).max(own.start)) as u16;
        let is_own = |number: &u16| own.contains(&usize::from(*number));
        let used = places.iter().filter(|(number, _)| is_own(number));
        Self {
            used: used.map(|(number, place)| (of(&place), number)).collect(),
            free: (own.start as u16..unused)
                .rev()
                .filter(|number| places.get(*number).is_none())
                .map(|number| (number, counters.get(usize::from(number)).copied().unwrap_or_default()))
                .collect(),
            unused,
            leaving: BTreeSet::new(),
        }
    }

    /// At which place connections to `cell` are counted for the service port with this id: one of its own, or where there is
    /// none left that of the whole cell.
    pub(super) fn place(&mut self, maps: &PinnedMaps, service: u32, cell: u16) -> u16 {
        let counted = Counted { service, cell };
        if let Some(number) = self.used.get(&counted) {
            return *number;
        }
        if cell == CELL_SELF_TEST {
            return cell;
        }
        while let Some((number, base)) = self.next() {
            // Maps that were to take the place of these may have given it out before that failed.
            match maps.places.get(&number.into()) {
                Ok(Some(given)) => {
                    self.used.insert(of(&given), number);
                    if of(&given) == counted {
                        return number;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, number, "a place of the loop could not be read");
                    self.free.push((number, base));
                    break;
                }
            }
            let place = Place { service, cell, zero: 0, base };
            if let Err(error) = maps.places.put(&number.into(), &place) {
                tracing::debug!(%error, number, "a place of the loop could not be given out");
                self.free.push((number, base));
                break;
            }
            self.used.insert(counted, number);
            return number;
        }
        cell
    }

    fn next(&mut self) -> Option<(u16, u64)> {
        self.free.pop().or_else(|| {
            let number = self.unused;
            (u32::from(number) < MOST_PLACES).then(|| {
                self.unused += 1;
                (number, 0)
            })
        })
    }

    /// As [`Bpf::sum_up_all_but`](super::bpf::Bpf::sum_up_all_but). A place is taken back at the second time that its Service
    /// is gone: by then every program has ended that read the place in its element.
    pub(super) fn sum_up_all_but(
        &mut self,
        maps: &PinnedMaps,
        in_use: &BTreeSet<u32>,
    ) -> Result<(), RepairError> {
        let gone = self.used.keys().filter(|counted| !in_use.contains(&counted.service)).copied();
        let (over, leaving) = gone.partition(|counted| self.leaving.contains(counted));
        self.leaving = leaving;
        let over: BTreeSet<Counted> = over;
        if over.is_empty() {
            return Ok(());
        }
        let counters = maps.counters_of_places()?;
        for counted in over {
            let Some(number) = self.used.get(&counted).copied() else { continue };
            let counter = counters.get(usize::from(number)).copied().unwrap_or_default();
            if let Err(error) = take_back(maps, number, counter) {
                self.leaving.insert(counted);
                return Err(error);
            }
            self.used.remove(&counted);
            self.free.push((number, counter));
        }
        Ok(())
    }
}

/// What it has counted goes to the sum of its cell: first, for that is the write that can fail.
fn take_back(maps: &PinnedMaps, number: u16, counter: u64) -> Result<(), RepairError> {
    let unread = |source| ReadError { map: lb_common::layout::PLACES.pin, source };
    let Some(place) = maps.places.get(&number.into()).map_err(unread)? else { return Ok(()) };
    let connections = counter.wrapping_sub(place.base);
    if connections > 0
        && let Some(whole) = loops::sum_of(place.cell)
    {
        let at = place.cell.into();
        let sum = maps.places.get(&at).map_err(unread)?.unwrap_or(whole);
        maps.places.put(&at, &Place { base: sum.base.wrapping_sub(connections), ..sum })?;
    }
    Ok(maps.places.remove(&number.into())?)
}

const fn of(place: &Place) -> Counted {
    Counted { service: place.service, cell: place.cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_free_again_are_found_with_what_their_counters_show() {
        let place = |service, cell| Place { service, cell, zero: 0, base: 0 };
        let mut counters = vec![0; MOST_PLACES as usize];
        for (number, shown) in [(5, 2), (4097, 3), (4099, 4)] {
            counters[number] = shown;
        }
        let known = [(5, place(0, 5)), (4096, place(7, 5)), (4098, place(7, 6))];
        let mut places = Places::known(&known.into_iter().collect(), &counters);
        let expected = [(4097, 3), (4099, 4), (4100, 0), (4101, 0)];
        assert_eq!([(); 4].map(|()| places.next().unwrap()), expected);
        assert_eq!(places.used.len(), 2);

        let mut fresh = Places::known(&Given::default(), &vec![0; MOST_PLACES as usize]);
        assert_eq!(fresh.next(), Some((4096, 0)));
        assert_eq!(std::iter::from_fn(|| fresh.next()).count(), 16_384 - 4097);
    }
}
