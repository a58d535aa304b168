//! The kernel's side: maps, programs, pins. The only room that names aya and `bpf(2)`.

mod btf;
pub mod cgroup;
pub mod cgroup_index;
pub mod cleanup;
mod codec;
pub mod generation;
mod grace;
mod instructions;
pub mod lock;
pub mod maps;
pub mod memory;
pub mod mount;
mod pins;
pub mod pod_cgroups;
pub mod probe;
pub mod programs;
pub mod rights;
pub mod sockets;
mod sys;
pub mod takeover;

pub use grace::{Grace, grace_period};
pub use sys::since_boot;
