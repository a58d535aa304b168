//! What the numbers of cells mean, as bytes.

use std::sync::Arc;

use lb_common::layout::{self, WITHIN_ANY, WITHIN_LABEL, WITHIN_NODE, WITHIN_POOL};

use crate::plan::cells::{Cell, Within};

use super::{bytes, text};

/// What the number of `cell` means. A pool's name that is too long is cut.
pub(crate) fn cell(cell: &Cell) -> layout::Cell {
    let pool = |pool: &Option<Arc<str>>| bytes(pool.as_deref().unwrap_or_default());
    layout::Cell {
        client_pool: pool(&cell.client_pool),
        backend_pool: pool(&cell.backend_pool),
        within: match cell.within {
            Within::Any => WITHIN_ANY,
            Within::Node => WITHIN_NODE,
            Within::Pool => WITHIN_POOL,
            Within::Label => WITHIN_LABEL,
        },
        zero: [0; 3],
    }
}

/// The cell that a number of the maps stands for; `None` where no agent writes such a one.
pub(crate) fn known_cell(value: &layout::Cell) -> Option<Cell> {
    let pool = |name| text(name).map(|name| (!name.is_empty()).then(|| Arc::from(name)));
    Some(Cell {
        client_pool: pool(&value.client_pool)?,
        backend_pool: pool(&value.backend_pool)?,
        within: match value.within {
            WITHIN_ANY => Within::Any,
            WITHIN_NODE => Within::Node,
            WITHIN_POOL => Within::Pool,
            WITHIN_LABEL => Within::Label,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    #[test]
    fn a_cell_reads_back_as_it_was_and_what_no_agent_writes_does_not() {
        for within in [Within::Any, Within::Node, Within::Pool, Within::Label] {
            let own = Cell { client_pool: Some("hangzhou".into()), backend_pool: None, within };
            assert_eq!(known_cell(&cell(&own)), Some(own));
        }
        let long = "p".repeat(70);
        let cut = Cell { client_pool: None, backend_pool: Some(long.into()), within: Within::Any };
        let read = known_cell(&cell(&cut)).unwrap();
        assert_eq!(read.backend_pool.map(|pool| pool.len()), Some(63));
        assert_eq!(known_cell(&layout::Cell { within: 9, ..layout::Cell::zeroed() }), None);
    }
}
