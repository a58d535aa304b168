//! A Kubernetes API server as a source: listed once, or followed live.
//!
//! The lists and watches are our own, on top of `kube`'s client: an object is in our words as
//! soon as its last byte is here, one that cannot be read hurts itself alone, and neither a list
//! nor a store of API objects is ever held.

mod backoff;
mod config;
mod desk;
mod dial;
mod event;
mod follow;
mod herald;
mod link;
mod list;
mod load;
mod outbox;
mod query;
mod report;
mod split;
#[cfg(test)]
mod tests;
mod track;
mod watch;

pub use config::{ConnectError, Credentials, KubeConfig};
pub use desk::Timing;
pub use follow::{Follower, follow};
pub use herald::Pace;
pub use link::{Link, Trouble};
pub use load::{LoadError, Loaded, load};
pub use outbox::Outbox;
pub use report::{Failure, KindState, Report, State};
