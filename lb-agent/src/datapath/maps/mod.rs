//! The maps in the kernel: opened by their pins, checked against the catalogue, read and written.

mod bloom;
pub mod bpf;
mod map;
pub mod pinned;
