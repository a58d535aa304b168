//! A real control plane as the source of the agents.

mod bench;
mod events;
mod in_pod;
mod openyurt;
mod playground;
mod pods;
