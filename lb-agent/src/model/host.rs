//! The addresses of this machine. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
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
}
