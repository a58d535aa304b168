//! Edgeloop's agent: which backends this node uses for every Service, kept in the kernel's maps.

pub mod announce;
pub mod api;
pub mod check;
pub mod cli;
pub mod config;
pub mod convert;
pub mod datapath;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod host;
pub mod manifest;
pub mod model;
pub mod peers;
pub mod plan;
pub mod plants;
pub mod remote;
pub mod run;
pub mod select;
pub mod self_test;
pub mod serve;
mod shown;
pub mod source;
pub mod store;
mod suggest;
pub mod telemetry;
pub mod uninstall;
pub mod view;
pub mod writer;
pub mod yaml;
