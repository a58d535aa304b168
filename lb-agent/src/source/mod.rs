//! Where objects come from: each source tells what it sees as [`Change`](crate::model::Change)s.

pub mod convert;
pub mod file;
pub mod manifest;
