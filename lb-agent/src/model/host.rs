//! The addresses of this machine. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The addresses of the host's interfaces. A copy is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses(Arc<BTreeMap<IpAddr, Arc<str>>>);

impl HostAddresses {
    /// The interface that has this address.
    #[must_use]
    pub fn interface(&self, address: IpAddr) -> Option<&str> {
        self.0.get(&address).map(|name| &**name)
    }

    /// All of them, each once.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.keys().copied()
    }

    /// The addresses that one of the two lacks, or that are another interface's.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = IpAddr> + 'a {
        let gone = other.0.keys().filter(|address| !self.0.contains_key(address));
        let new = self.0.iter().filter(|(address, name)| other.0.get(*address) != Some(*name));
        gone.chain(new.map(|(address, _)| address)).copied()
    }
}

/// Each with the name of its interface. Where several have one address, the first by name counts.
impl FromIterator<(IpAddr, Arc<str>)> for HostAddresses {
    fn from_iter<I: IntoIterator<Item = (IpAddr, Arc<str>)>>(addresses: I) -> Self {
        let mut all: BTreeMap<IpAddr, Arc<str>> = BTreeMap::new();
        for (address, name) in addresses {
            let known = all.entry(address).or_insert_with(|| Arc::clone(&name));
            if name < *known {
                *known = name;
            }
        }
        Self(Arc::new(all))
    }
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let is_same = |one: u128, other: u128, width: u32| {
            // Shifting all bits out is no shift to Rust.
            let shift = width - self.bits;
            self.bits == 0 || one >> shift == other >> shift
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => is_same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => is_same(own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// As in `192.0.2.0/24`; one address without a number of bits.
impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_not| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_not| NotANetwork)?;
        if bits > most {
            return Err(NotANetwork);
        }
        Ok(Self { address, bits })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> HostAddresses {
        let pairs = text.split_whitespace().map(|word| word.split_once('@').unwrap());
        pairs.map(|(ip, name)| (ip.parse().unwrap(), name.into())).collect()
    }

    #[test]
    fn addresses_differ_where_they_come_go_or_move() {
        let before = of("10.0.0.1@eth0 10.0.0.2@eth0 fd00::1@eth0");
        for (shows, now, expected) in [
            ("the same", "10.0.0.2@eth0 10.0.0.1@eth0 fd00::1@eth0", ""),
            ("one comes", "10.0.0.1@eth0 10.0.0.2@eth0 fd00::1@eth0 10.0.0.3@eth1", "10.0.0.3"),
            ("one goes", "10.0.0.1@eth0 10.0.0.2@eth0", "fd00::1"),
            ("one moves", "10.0.0.1@eth1 10.0.0.2@eth0 fd00::1@eth0", "10.0.0.1"),
            ("a second interface has it", "10.0.0.1@eth0 10.0.0.1@eth9 10.0.0.2@eth0 fd00::1@eth0", ""),
        ] {
            let found: Vec<String> = of(now).differing(&before).map(|ip| ip.to_string()).collect();
            assert_eq!(found.join(" "), expected, "{shows}");
        }
    }

    #[test]
    fn a_network_has_the_addresses_with_its_first_bits() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.9/24", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fc00::1", false),
            ("::/0", "fd00::1", true),
            ("::/0", "192.0.2.1", false),
            ("fd00::1", "fd00::2", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
        }
        for wrong in ["", "192.0.2.0/33", "fd00::/129", "192.0.2/24", "192.0.2.0/", "192.0.2.0/-1", "primary"]
        {
            assert_eq!(wrong.parse::<Network>(), Err(NotANetwork), "{wrong}");
        }
    }
}
