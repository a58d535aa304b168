//! The HTTP client that speaks to an API server. The only room that names kube.

mod backoff;
mod client;
mod config;
mod dial;
pub(crate) mod query;

pub(crate) use backoff::{Backoff, jitter};
pub(crate) use client::{Answer, Status};
pub use client::{Link, Trouble};
pub use config::{ConnectError, Credentials, KubeConfig};
