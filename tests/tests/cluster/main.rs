//! A real control plane as the source of the agents.

mod openyurt;
mod playground;
mod pods;
