//! What a client dials. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Family, Protocol};

/// What a client dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    pub address: SocketAddr,
    pub protocol: Protocol,
}

impl Frontend {
    /// No other comes before it.
    pub const LOWEST: Self =
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), protocol: Protocol::Tcp };

    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.address.ip())
    }

    /// What stands for all ports of `address` that are not served: no Service has port 0.
    #[must_use]
    pub const fn other_ports(address: IpAddr) -> Self {
        Self { address: SocketAddr::new(address, 0), protocol: Protocol::Tcp }
    }

    #[must_use]
    pub const fn is_other_ports(&self) -> bool {
        self.address.port() == 0
    }
}
