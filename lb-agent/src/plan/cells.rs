//! The cells of the loop: from which pool to which, numbered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::layout::{CELL_SELF_TEST, CELL_UNNUMBERED};

use crate::select::topology::{Key, Level, Topology};

use super::adopt;
use super::maps::MapOp;

/// Connections of the clients of one pool to the backends of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The pool of the node that dials; `None` for a node without one.
    pub client_pool: Option<Arc<str>>,
    /// The pool of the backend's node; `None` for a node without one, and for a backend on no known node.
    pub backend_pool: Option<Arc<str>>,
    pub within: Within,
}

/// How far a topology let connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Within {
    /// To every node.
    Any,
    /// To the client's node.
    Node,
    /// To the nodes of the client's pool.
    Pool,
    /// To the nodes that have the value of another label in common with the client's, or of one of several.
    Label,
}

impl Within {
    /// Whether a topology lets connections go so far, as far as this says: of labels it does not say which.
    fn is_asked_for(self, topology: &Topology) -> bool {
        let keys = match topology {
            Topology::None | Topology::Invalid(_) => return true,
            Topology::Hard(key) => std::slice::from_ref(key),
            Topology::Ordered(keys) | Topology::Union(keys) => keys,
        };
        keys.iter().any(|key| match key {
            Key::Any => true,
            Key::Host => self == Self::Node,
            Key::Pool => matches!(self, Self::Node | Self::Pool),
            Key::Label(_) | Key::Group => matches!(self, Self::Node | Self::Label),
        })
    }
}

impl From<&Level> for Within {
    fn from(level: &Level) -> Self {
        match level {
            Level::All | Level::None => Self::Any,
            Level::Host => Self::Node,
            Level::Pool(_) => Self::Pool,
            Level::Label { .. } | Level::AnyOf(_) | Level::Group(_) => Self::Label,
        }
    }
}

/// What connections are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// The service port's id. Zero: of service ports that are gone, and of those that found no place.
    pub service: u32,
    /// Of [`Cells`], or one of the numbers that are no cell's.
    pub cell: u16,
}

/// Which number each cell has. A number that was given out keeps its meaning for as long as the maps live.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    numbers: BTreeMap<Cell, u16>,
    /// The highest number in use.
    last: u16,
    /// What the maps do not say yet.
    unwritten: Vec<(u16, Cell)>,
}

impl Cells {
    /// What the maps say. Of a cell that is there twice the first number counts; none that has another meaning, which agents
    /// of layout 6 gave out.
    #[must_use]
    pub fn of(known: &BTreeMap<u16, Cell>) -> Self {
        let mut cells = Self::default();
        for (number, cell) in known.range(CELL_UNNUMBERED + 1..CELL_SELF_TEST) {
            cells.last = cells.last.max(*number);
            cells.numbers.entry(cell.clone()).or_insert(*number);
        }
        cells
    }

    /// Keeps clear of numbers up to `last`, under which something was counted, whatever they meant.
    pub fn keep_clear_of(&mut self, last: u16) {
        self.last = self.last.max(last);
    }

    /// The writes that make `known` say what the maps are to say.
    pub(super) fn missing(&self, known: &BTreeMap<u16, Cell>) -> impl Iterator<Item = MapOp> {
        let missing = self.numbers.iter().filter(|(cell, number)| known.get(number) != Some(&cut(cell)));
        missing.map(|(cell, number)| MapOp::Cell { number: *number, cell: cell.clone() })
    }

    /// The number of `cell`, which is a new one where it has none; [`CELL_UNNUMBERED`] where there are no more numbers.
    pub fn number(&mut self, cell: &Cell) -> u16 {
        if let Some(number) = self.numbers.get(cell) {
            return *number;
        }
        if self.last + 1 >= CELL_SELF_TEST {
            return CELL_UNNUMBERED;
        }
        self.last += 1;
        self.numbers.insert(cell.clone(), self.last);
        self.unwritten.push((self.last, cell.clone()));
        self.last
    }

    /// Whether a topology, on a node in `own_pool`, still asks for what was chosen when it counted in cells of these `numbers`. A
    /// number that says nothing is no objection.
    pub(super) fn are_asked_for(
        &self,
        numbers: &BTreeSet<u16>,
        topology: &Topology,
        own_pool: Option<&Arc<str>>,
    ) -> bool {
        let own_pool = own_pool.map(|pool| adopt::cut(pool));
        let is_asked_for = |cell: &Cell| {
            let of_pool = cell.client_pool.as_deref().map(adopt::cut);
            cell.within.is_asked_for(topology) && (cell.within != Within::Pool || of_pool == own_pool)
        };
        self.numbers.iter().filter(|(_, number)| numbers.contains(number)).all(|(cell, _)| is_asked_for(cell))
    }

    /// What the maps are to say.
    #[must_use]
    pub fn unwritten(&self) -> &[(u16, Cell)] {
        &self.unwritten
    }

    /// The maps say all of it.
    pub fn wrote(&mut self) {
        self.unwritten.clear();
    }
}

/// `cell` as it reads back from the maps.
fn cut(cell: &Cell) -> Cell {
    let pool = |pool: &Option<Arc<str>>| pool.as_deref().map(|name| Arc::from(adopt::cut(name)));
    Cell { client_pool: pool(&cell.client_pool), backend_pool: pool(&cell.backend_pool), within: cell.within }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(client: &str, backend: &str, within: Within) -> Cell {
        let pool = |name: &str| (!name.is_empty()).then(|| name.into());
        Cell { client_pool: pool(client), backend_pool: pool(backend), within }
    }

    #[test]
    fn a_cell_keeps_its_number_and_no_other_gets_it() {
        let [own, any, none] = [
            cell("hangzhou", "hangzhou", Within::Pool),
            cell("hangzhou", "hangzhou", Within::Any),
            cell("hangzhou", "", Within::Any),
        ];
        let mut cells = Cells::default();
        assert_eq!([&own, &any, &own, &none].map(|cell| cells.number(cell)), [1, 2, 1, 3]);
        assert_eq!(cells.unwritten(), [(1, own.clone()), (2, any.clone()), (3, none.clone())]);
        cells.wrote();
        assert_eq!(cells.unwritten(), []);

        let held = [(7, own.clone()), (3, any.clone()), (9, own.clone())].into();
        let mut next = Cells::of(&held);
        assert_eq!([&own, &any, &none].map(|cell| next.number(cell)), [7, 3, 10]);
        assert_eq!(next.unwritten(), [(10, none.clone())]);
        let missing: Vec<MapOp> = next.missing(&held).collect();
        assert_eq!(missing, [MapOp::Cell { number: 10, cell: none }]);

        let older = [(CELL_SELF_TEST, own.clone()), (CELL_SELF_TEST + 1, any.clone())].into();
        assert_eq!(Cells::of(&older).number(&own), 1, "of layout 6, where these were numbers");

        next.keep_clear_of(20);
        next.keep_clear_of(3);
        assert_eq!(
            next.number(&cell("", "", Within::Any)),
            21,
            "what was counted under 20 is not this one's"
        );
    }

    #[test]
    fn past_the_last_number_a_cell_has_none() {
        let mut cells = Cells::default();
        let pools: Vec<Cell> = (0..u32::from(CELL_SELF_TEST) + 5)
            .map(|pool| cell("here", &format!("p{pool}"), Within::Any))
            .collect();
        let numbers: Vec<u16> = pools.iter().map(|cell| cells.number(cell)).collect();
        assert_eq!(numbers[4092..4095], [4093, CELL_UNNUMBERED, CELL_UNNUMBERED]);
        assert_eq!(cells.unwritten().len(), 4093);
        assert_eq!(cells.number(&pools[0]), 1);
    }
}
