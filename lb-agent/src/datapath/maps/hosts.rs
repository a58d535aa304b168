//! The map of the host's addresses, brought to what is wanted.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;

use lb_common::layout::{HostAddress, HostKey, INITIAL_NAMESPACE};
use socket2::{Domain, Socket, Type};

use crate::datapath::codec;
use crate::plan::RepairError;

use super::map::Map;

/// What the map holds.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// `None` where the map is to be read first.
    held: Option<BTreeSet<IpAddr>>,
}

impl Hosts {
    /// The map may hold something else than what was written.
    pub(super) fn distrust(&mut self) {
        self.held = None;
    }

    /// Adds and removes what differs.
    pub(super) fn bring(
        &mut self,
        map: &Map<HostKey, HostAddress>,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(), RepairError> {
        let most = map.max_entries() as usize;
        let wanted: BTreeSet<IpAddr> = wanted.iter().copied().take(most).collect();
        if self.held.as_ref() == Some(&wanted) {
            return Ok(());
        }
        self.held = None;
        let mut held = BTreeSet::new();
        for (key, value) in map.all()? {
            let address = codec::host(&key);
            if wanted.contains(&address) && value == value_of(address) {
                held.insert(address);
            } else {
                map.remove(&key)?;
            }
        }
        for address in wanted.difference(&held) {
            map.put(&codec::host_key(*address), &value_of(*address))?;
        }
        self.held = Some(wanted);
        Ok(())
    }
}

/// Loopback leads to the host in its own network alone.
fn value_of(address: IpAddr) -> HostAddress {
    HostAddress { namespace: if address.is_loopback() { own_namespace() } else { 0 } }
}

/// The cookie of this process' network namespace, where the kernel says it (since 5.14).
fn own_namespace() -> u64 {
    let any = Socket::new(Domain::IPV4, Type::DGRAM, None);
    any.ok().and_then(|any| cookie(&any)).unwrap_or(INITIAL_NAMESPACE)
}

fn cookie(socket: &Socket) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_NETNS_COOKIE);
    // SAFETY: `cookie` has room for `size` bytes, and any bytes are a number.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut cookie).cast(), &raw mut size)
    };
    (done == 0).then_some(cookie)
}
