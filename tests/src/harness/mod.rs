//! Simulated nodes and pods on a real kernel, gone when dropped: namespaces, cgroups, processes, clients.

pub(crate) mod ability;
pub(crate) mod alone;
pub(crate) mod answer;
pub mod bpf;
pub(crate) mod call;
pub(crate) mod cgroup;
pub mod checkout;
pub(crate) mod child;
pub(crate) mod claim;
pub(crate) mod datagrams;
pub(crate) mod hammer;
pub(crate) mod helper;
pub(crate) mod host_network;
pub(crate) mod load;
pub mod manifests;
pub(crate) mod memory;
pub(crate) mod netns;
pub(crate) mod node;
pub(crate) mod pod;
pub mod programs;
pub(crate) mod signals;
pub(crate) mod site;
pub(crate) mod talk;
pub(crate) mod watch;
