//! The doors of a running agent: its socket, and health and metrics over HTTP.

pub mod http;
pub mod metrics;
pub mod observe;
pub mod socket;
