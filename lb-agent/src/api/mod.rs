//! The HTTP client that speaks to an API server. The only room that names kube.

mod access;
mod backoff;
mod client;
mod config;
mod connection;
mod credentials;
mod dial;
pub(crate) mod exec;
mod exec_stream;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod kubeconfig;
mod material;
mod plugin;
pub(crate) mod query;
mod real;
mod refusal;
mod renewal;
mod resolve;
mod secret;
mod session;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod x509;

pub(crate) use backoff::{Backoff, chance, jitter};
pub use client::ApiClient;
pub(crate) use client::Response;
pub use config::{ConnectError, Credentials, KubeConfig};
pub use dial::Claim;
pub use exec::ExecError;
pub use real::NotReal;
pub(crate) use refusal::Status;
pub use refusal::{RequestError, Says};
