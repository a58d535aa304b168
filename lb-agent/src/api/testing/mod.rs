//! What tests of several rooms share: a small API server, and plugins.

mod events;
pub(crate) mod exec;
pub(crate) mod scripts;
pub(crate) mod server;
