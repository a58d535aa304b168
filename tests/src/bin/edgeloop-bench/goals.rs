//! A goal: what was measured beside what was asked for.

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The most that `value` may be.
    pub(crate) limit: f64,
    pub(crate) met: bool,
}

impl Goal {
    pub(crate) fn at_most(limit: f64, name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, limit, met: value <= limit }
    }
}

pub(crate) fn table(goals: &[Goal]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["goal", "value", "limit", ""]);
    for Goal { name, value, limit, met } in goals {
        let verdict = if *met { "met" } else { "missed" };
        table.add_row([name.clone(), format!("{value:.2}"), format!("{limit:.2}"), verdict.to_owned()]);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_limit() {
        for (value, met) in [(0.1, true), (0.2, true), (0.21, false), (f64::NAN, false)] {
            assert_eq!(Goal::at_most(0.2, "", value).met, met, "{value}");
        }
    }
}
