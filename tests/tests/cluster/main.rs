//! A real control plane as the source of the agents.

mod openyurt;
mod pods;
mod yurthub;
