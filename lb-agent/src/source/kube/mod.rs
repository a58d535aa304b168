//! A Kubernetes API server as a source: listed once, or followed live.
//!
//! The lists and watches are our own, on top of `kube`'s client: an object is in our words as
//! soon as its last byte is here, one that cannot be read hurts itself alone, and neither a list
//! nor a store of API objects is ever held.

mod desk;
mod follow;
mod list;
mod load;
mod report;
mod split;
#[cfg(test)]
mod tests;
mod track;
mod watch;

pub use desk::Timing;
pub use follow::{Follower, follow};
pub use load::{LoadError, Loaded, load};
pub use report::{Failure, KindState, Report, State};
