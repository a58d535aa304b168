//! Harness for tests on a real kernel: simulated nodes and pods that are gone when dropped.

pub mod agent;
mod answer;
pub mod bpf;
mod call;
mod cgroup;
mod child;
mod claim;
pub mod demo;
mod hammer;
mod helper;
pub mod kernel;
mod load;
pub mod manifests;
mod netns;
mod node;
mod pair;
mod pod;
mod signals;
mod site;
mod talk;
mod watch;

pub use answer::{Answer, Tally, now, tally};
pub use call::Call;
pub use child::Child;
pub use claim::{PREFIX, leftovers};
pub use hammer::{Connection, Hammer, HammerReport};
pub use helper::build as build_helper;
pub use load::{Failure, Load, LoadReport};
pub use node::Node;
pub use pair::Pair;
pub use pod::Pod;
pub use site::Site;
pub use talk::Talk;
pub use watch::Watch;
