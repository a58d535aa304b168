//! The order of the writes of one element, where a bug is planted in it. Pure.

use crate::plants::{Plant, has};

use super::maps::MapOp;

/// As they are, but for a bug: then what has to come first comes last.
pub(super) fn in_order(ops: Vec<MapOp>) -> Vec<MapOp> {
    let is_late = |op: &MapOp| {
        matches!(op, MapOp::Fill { .. }) && has(Plant::PublishBeforeFill)
            || matches!(op, MapOp::Admit { .. }) && has(Plant::FilterAfterElement)
    };
    let (late, mut ops): (Vec<MapOp>, Vec<MapOp>) = ops.into_iter().partition(is_late);
    ops.extend(late);
    ops
}
