//! At which addresses of this machine node ports are served.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Network;

use super::Store;

/// What the operator settled about node ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePorts {
    /// Only addresses in one of these; all where it is empty.
    pub networks: Vec<Network>,
    pub localhost: Localhost,
}

/// Whether node ports are served on loopback addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Localhost {
    Served,
    #[default]
    LeftAlone,
}

impl Store {
    /// The addresses at which a client of this node reaches node ports.
    ///
    /// 1. Those of the host's interfaces, but link-local ones.
    /// 2. Where networks are named, those in one of them.
    /// 3. Loopback by a switch of its own: 127.0.0.1 stands for all of 127.0.0.0/8, as the kernel has it.
    #[must_use]
    pub fn node_port_addresses(&self) -> BTreeSet<IpAddr> {
        let NodePorts { networks, localhost } = &self.rules.node_ports;
        let is_in = |address: &IpAddr| {
            networks.is_empty() || networks.iter().any(|network| network.contains(*address))
        };
        let others = self.host.iter().filter(|address| !is_local(*address));
        let mut all: BTreeSet<IpAddr> = others.filter(is_in).collect();
        if *localhost == Localhost::Served {
            all.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        all
    }
}

/// Whether an address means something else on each host, or each link.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Rules;

    /// Contract, section 3.6.
    #[test]
    fn node_ports_are_served_at_the_addresses_of_the_host_but_link_local_ones() {
        const HOST: &str = "127.0.0.1 ::1 192.168.0.1 10.244.0.1 169.254.20.10 fe80::1 fd00::1 203.0.113.1";
        use Localhost::{LeftAlone, Served};
        for (shows, networks, localhost, expected) in [
            ("all", &[][..], LeftAlone, "10.244.0.1 192.168.0.1 203.0.113.1 fd00::1"),
            ("of one network", &["192.168.0.0/16"], LeftAlone, "192.168.0.1"),
            ("of several", &["192.168.0.0/16", "fd00::/8"], LeftAlone, "192.168.0.1 fd00::1"),
            ("link-local ones never", &["169.254.0.0/16", "fe80::/10"], LeftAlone, ""),
            ("loopback by its own switch alone", &["127.0.0.0/8", "::1"], LeftAlone, ""),
            ("and loopback", &["203.0.113.0/24"], Served, "127.0.0.1 203.0.113.1 ::1"),
        ] {
            let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
            let node_ports = NodePorts { networks, localhost };
            let mut store = Store::new("n1", Rules { node_ports, ..Rules::default() });
            store.set_host(HOST.split(' ').map(|ip| (ip.parse().unwrap(), "eth0".into())).collect());
            let found: Vec<String> = store.node_port_addresses().iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{shows}");
        }
    }
}
