//! What an operator is shown.

pub mod decisions;
pub mod table;
