//! What tests of several rooms share: a small API server.

mod events;
pub(crate) mod server;
