//! Edgeloop's agent: which backends this node uses for every Service, kept in the kernel's maps.

pub mod model;
pub mod select;
pub mod source;
