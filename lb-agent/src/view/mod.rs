//! What an operator sees, as values: what is wanted, what is held, and what needs attention. Pure.

pub mod asked;
pub mod by_service;
pub mod decisions;
pub mod diagnostic;
mod dns;
pub mod explain;
pub mod held;
pub mod histogram;
pub mod json;
pub mod kernel;
pub mod loop_page;
pub mod loops;
mod of_agent;
pub mod of_service;
pub mod of_source;
pub mod published;
mod refused;
pub mod reported;
pub mod services;
pub mod skips;
pub mod sockets;
pub mod state;
pub mod status;
pub mod topologies;
pub mod trace;
