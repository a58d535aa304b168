//! A real control plane as the source of the agents.

mod bench;
mod pods;
