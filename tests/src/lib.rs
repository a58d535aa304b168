//! What tests, demos and benches share.

pub mod cluster;
pub mod demo;
mod harness;
mod ours;
pub mod proof;

pub use harness::ability::{Ability, leave_off};
pub use harness::alone::{Alone, alone};
pub use harness::answer::{Answer, Tally, now, tally};
pub use harness::call::{Call, Unconnected};
pub use harness::cgroup::processes_of;
pub use harness::child::Child;
pub use harness::claim::{PREFIX, leftovers};
pub use harness::datagrams::Datagrams;
pub use harness::hammer::{Connection, Hammer, HammerReport};
pub use harness::helper::build as build_helper;
pub use harness::host_network::HostNetwork;
pub use harness::load::{Failure, Load, LoadReport};
pub use harness::memory::{Charged, MemoryGroup};
pub use harness::node::Node;
pub use harness::pod::Pod;
pub use harness::site::Site;
pub use harness::talk::Talk;
pub use harness::watch::Watch;
pub use harness::{bpf, checkout, manifests, programs};
pub use ours::pair::Pair;
pub use ours::{agent, builds, kernel, pins, simulation, strace, verifier};
