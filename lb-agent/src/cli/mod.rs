//! The command line: one command a file.

mod near;
pub mod plan;
pub mod rules;
