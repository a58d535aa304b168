//! A folder of Kubernetes manifests as a source: read once, or followed live.

mod definitions;
mod disk;
mod folder;
mod follow;
mod known;
mod load;
mod look;
mod report;
mod scanner;
#[cfg(test)]
mod tests;
mod watch;

pub use folder::{FileId, Folder, Seen};
pub use follow::{Batch, FollowError, Follower, follow};
pub use load::{FolderError, load};
