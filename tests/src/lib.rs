//! Harness for tests on a real kernel: simulated nodes and pods that are gone when dropped.

mod answer;
mod cgroup;
mod child;
mod claim;
mod hammer;
mod helper;
mod load;
mod netns;
mod node;
mod pod;
mod signals;
mod site;
mod watch;

pub use answer::{Answer, Tally, now, tally};
pub use child::Child;
pub use claim::{PREFIX, leftovers};
pub use hammer::{Connection, Hammer, HammerReport};
pub use helper::build as build_helper;
pub use load::{Failure, Load, LoadReport};
pub use node::Node;
pub use pod::Pod;
pub use site::Site;
pub use watch::Watch;
