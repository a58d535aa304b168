//! A real control plane as the source of the agents.

mod bench;
mod chart;
mod events;
mod faults;
mod image;
mod in_pod;
mod install;
mod kube_proxy;
mod node_signs;
mod old_servers;
mod openyurt;
mod plan;
mod playground;
mod pods;
mod remote;
mod rights;
mod saved;
mod skip;
mod stage;
mod tour;
mod uninstall;
mod watches;
mod yurthub;
