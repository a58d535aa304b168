//! Answers as people read them.

pub mod plan;
pub mod status;
