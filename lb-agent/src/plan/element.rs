//! One service port as the kernel holds it, in neutral words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};

use lb_common::layout::{CELL_UNNUMBERED, INLINE_BACKENDS};

/// How many backends lie in the element itself; the others lie in its region.
pub(super) const INLINE: usize = INLINE_BACKENDS;

/// Where a connection is sent, and in which cell of the loop it counts. Orders by address, IPv4 first, then by port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    pub ip: IpAddr,
    pub port: u16,
    /// Of [`Cells`](super::cells::Cells).
    pub cell: u16,
}

impl Backend {
    /// By which two backends of a set differ.
    pub(super) const fn address(&self) -> (IpAddr, u16) {
        (self.ip, self.port)
    }
}

impl From<SocketAddr> for Backend {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: address.port(), cell: CELL_UNNUMBERED }
    }
}

impl From<Backend> for SocketAddr {
    fn from(backend: Backend) -> Self {
        Self::new(backend.ip, backend.port)
    }
}

/// The backends of one service port, in slot order and in little memory: eight bytes each in IPv4.
/// All are of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backends {
    V4(Box<[(SocketAddrV4, u16)]>),
    V6(Box<[(Ipv6Addr, u16, u16)]>),
}

impl Default for Backends {
    fn default() -> Self {
        Self::V4(Box::default())
    }
}

impl Backends {
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(backends) => backends.len(),
            Self::V6(backends) => backends.len(),
        }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Backend> + '_ {
        let (v4, v6) = match self {
            Self::V4(backends) => (&backends[..], &[][..]),
            Self::V6(backends) => (&[][..], &backends[..]),
        };
        let v4 =
            v4.iter().map(|(at, cell)| Backend { ip: IpAddr::V4(*at.ip()), port: at.port(), cell: *cell });
        v4.chain(v6.iter().map(|(ip, port, cell)| Backend { ip: IpAddr::V6(*ip), port: *port, cell: *cell }))
    }
}

/// The family of the first backend decides; those of the other family are not taken.
impl FromIterator<Backend> for Backends {
    fn from_iter<I: IntoIterator<Item = Backend>>(backends: I) -> Self {
        let mut backends = backends.into_iter().peekable();
        if backends.peek().is_some_and(|first| first.ip.is_ipv6()) {
            return Self::V6(
                backends
                    .filter_map(|backend| match backend.ip {
                        IpAddr::V6(ip) => Some((ip, backend.port, backend.cell)),
                        IpAddr::V4(_) => None,
                    })
                    .collect(),
            );
        }
        Self::V4(
            backends
                .filter_map(|backend| match backend.ip {
                    IpAddr::V4(ip) => Some((SocketAddrV4::new(ip, backend.port), backend.cell)),
                    IpAddr::V6(_) => None,
                })
                .collect(),
        )
    }
}

/// Which publication something belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The service id: never 0, and never used for another service port within a boot.
    pub id: u32,
    /// Counts the publications of this id.
    pub revision: u32,
}

/// What one front-end element says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub owner: Owner,
    /// The Service has a topology: it gets room first.
    pub has_topology: bool,
    /// Session affinity timeout in seconds; `None` without affinity.
    pub affinity: Option<u32>,
    /// All backends: the first six lie in the element, the others in its region.
    pub backends: Backends,
    /// Where the region begins. Meaningless without one.
    pub region: u32,
}

impl Element {
    /// How many backends lie in the region.
    #[must_use]
    pub const fn tail(&self) -> usize {
        self.backends.len().saturating_sub(INLINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_what_was_collected_of_the_first_ones_family() {
        let all = ["10.0.0.2:80", "10.0.0.1:80", "[fd00::1]:80"].map(|at| at.parse::<SocketAddr>().unwrap());
        let collect = |from: &[SocketAddr]| from.iter().copied().map(Backend::from).collect::<Backends>();
        for (shows, from, found) in [
            ("none", &all[..0], &all[..0]),
            ("IPv4, in the order given", &all[..2], &all[..2]),
            ("IPv6", &all[2..], &all[2..]),
            ("of both the first ones", &all[1..], &all[1..2]),
        ] {
            let backends = collect(from);
            assert_eq!(backends.iter().map(SocketAddr::from).collect::<Vec<_>>(), found, "{shows}");
            assert_eq!((backends.len(), backends.is_empty()), (found.len(), found.is_empty()), "{shows}");
        }
    }

    #[test]
    fn a_backend_takes_little_memory() {
        assert_eq!((size_of::<(SocketAddrV4, u16)>(), size_of::<(Ipv6Addr, u16, u16)>()), (8, 20));
        assert_eq!(size_of::<Backends>(), 24);
    }
}
