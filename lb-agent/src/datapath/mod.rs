//! The kernel's side: maps, programs, pins. The only room that names aya and `bpf(2)`.

pub mod cgroup;
pub mod cleanup;
pub mod lock;
pub mod maps;
pub mod programs;
mod sys;
pub mod takeover;

pub use sys::{Grace, grace_period};
