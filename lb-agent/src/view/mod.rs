//! What an operator is told, as values: wanted beside observed. Pure.

pub mod decisions;
pub mod diagnostics;
pub mod kernel;
pub mod status;
