//! The programs in the kernel: loaded over the maps, attached at their hooks.

pub mod attach;
mod constants;
pub mod links;
pub mod load;
mod log;
pub mod trace;
