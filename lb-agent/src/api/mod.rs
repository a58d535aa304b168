//! The HTTP client that speaks to an API server. The only room that names kube.

mod backoff;
mod client;
mod config;
mod dial;
pub(crate) mod query;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use backoff::{Backoff, jitter};
pub use client::{ApiClient, RequestError};
pub(crate) use client::{Response, Status};
pub use config::{ConnectError, Credentials, KubeConfig};
pub use dial::Claim;
