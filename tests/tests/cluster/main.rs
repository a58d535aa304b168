//! A real control plane as the source of the agents.

mod faults;
mod pods;
mod stage;
