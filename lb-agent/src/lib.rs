//! Edgeloop's agent: which backends this node uses for every Service, kept in the kernel's maps.

pub mod agent;
pub mod cli;
pub mod config;
pub mod datapath;
pub mod metrics;
pub mod model;
mod near;
pub mod plan;
pub mod reconcile;
pub mod run;
pub mod select;
pub mod source;
pub mod status;
pub mod store;
