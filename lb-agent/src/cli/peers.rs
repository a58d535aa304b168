//! How UDP sockets end whose backend is gone, by flag.

use std::path::PathBuf;

use crate::config::EndUdp;
use crate::model::EndBy;

#[derive(Debug, clap::Args)]
pub(super) struct PeersArgs {
    /// How to find connected UDP sockets whose backend is gone or out of reach by its topology, to end them, so that they dial
    /// again.
    #[arg(long, env = "EDGELOOP_END_UDP_SOCKETS", value_name = "HOW", value_enum, default_value_t)]
    end_udp_sockets: How,
    /// A folder in which the container runtime keeps the network namespaces of pods: UDP sockets end there as well. Besides, those
    /// of all processes that can be seen.
    #[arg(long, env = "EDGELOOP_NETWORK_NAMESPACES", value_name = "FOLDER", default_value = "/run/netns")]
    network_namespaces: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum How {
    /// By an iterator where the kernel has one and CAP_PERFMON is held, else by sock_diag.
    #[default]
    Auto,
    /// By an iterator alone.
    Iterator,
    /// By asking for all UDP sockets of each network namespace.
    SockDiag,
    /// Leave them as they are.
    Off,
}

impl PeersArgs {
    pub(super) fn settle(self) -> EndUdp {
        let by = match self.end_udp_sockets {
            How::Auto => EndBy::Auto,
            How::Iterator => EndBy::Iterator,
            How::SockDiag => EndBy::SockDiag,
            How::Off => EndBy::Off,
        };
        EndUdp { by, namespaces: self.network_namespaces }
    }
}
