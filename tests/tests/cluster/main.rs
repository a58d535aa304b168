//! A real control plane as the source of the agents.

mod faults;
mod plan;
mod pods;
mod rights;
mod stage;
mod watches;
