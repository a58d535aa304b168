//! What the kernel holds for an address, exactly; and what another process takes away from it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use bytemuck::Zeroable;
use lb_common::layout::{
    BACKENDS4, BACKENDS6, Frontend4, Frontend6, HOST_ADDRESSES, HostAddress, HostKey, INLINE_BACKENDS, NAMES,
    RegionEntry4, RegionEntry6, SERVICES4, SERVICES6, Service4, Service6, ServiceName,
};

use super::manifest::name;
use crate::harness::bpf::{self, Pinned};
use crate::proof::services::{Holder, PROTOCOLS, key4, key6, narrow, node_port_keys};
use crate::proof::world::{HOST, REFUSED, Reached, Set, UNTOUCHED, backend_of, cluster, node_port, over6};

/// The maps of one generation, by their pins.
pub(super) struct InKernel {
    folder: PathBuf,
    services4: Pinned<Frontend4, Service4>,
    services6: Pinned<Frontend6, Service6>,
    backends4: Pinned<u32, RegionEntry4>,
    backends6: Pinned<u32, RegionEntry6>,
    names: Pinned<u32, ServiceName>,
}

/// What another process does to the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Element4,
    Element6,
    /// What the first element of the address has in its region, if it has one.
    Region4,
    Name,
}

impl Deletion {
    pub(super) const ALL: [Self; 4] = [Self::Element4, Self::Element6, Self::Region4, Self::Name];

    /// What a connection may get until it is repaired, besides what the Service has.
    pub(super) const fn allows(self) -> Set {
        match self {
            Self::Element4 | Self::Element6 => UNTOUCHED,
            Self::Region4 => REFUSED,
            Self::Name => 0,
        }
    }
}

impl InKernel {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        Ok(Self {
            services4: Pinned::open(&folder.join(SERVICES4.pin))?,
            services6: Pinned::open(&folder.join(SERVICES6.pin))?,
            backends4: Pinned::open(&folder.join(BACKENDS4.pin))?,
            backends6: Pinned::open(&folder.join(BACKENDS6.pin))?,
            names: Pinned::open(&folder.join(NAMES.pin))?,
            folder: folder.to_owned(),
        })
    }

    /// Whether every frontend of the address has what its holder has, no more and no less, under an id that means the holder:
    /// another Service with the same backends is not it.
    pub(super) fn holds(&self, address: u8, holder: Option<Holder>) -> Result<bool> {
        let wanted = holder.map(|holder| holder.backends);
        for protocol in PROTOCOLS {
            let own = (key4(cluster(address), protocol), key6(cluster(address), protocol));
            let port = node_port(address).map(|at| node_port_keys(at.port(), protocol));
            for (key4, key6) in [own].into_iter().chain(port) {
                let (v4, v6) = (self.services4.read(&key4)?, self.services6.read(&key6)?);
                for id in [v4.map(|element| element.id), v6.map(|element| element.id)].into_iter().flatten() {
                    if !self.is_holders(id, address, holder)? {
                        return Ok(false);
                    }
                }
                if self.set4(address, v4)? != wanted || self.set6(address, v6)? != wanted {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether the id means a service port of what has the address.
    fn is_holders(&self, id: u32, address: u8, holder: Option<Holder>) -> Result<bool> {
        let (Some(holder), Some(known)) = (holder, self.names.read(&id)?) else { return Ok(false) };
        Ok(text(&known.service) == name(address, holder))
    }

    /// The ids of the elements of an address, each with what it means, as far as the maps say so.
    pub(super) fn ids(&self, address: u8) -> Result<Vec<(u32, ServiceName)>> {
        let mut ids = Vec::new();
        for protocol in PROTOCOLS {
            let v4 = self.services4.read(&key4(cluster(address), protocol))?;
            let v6 = self.services6.read(&key6(cluster(address), protocol))?;
            for id in [v4.map(|element| element.id), v6.map(|element| element.id)].into_iter().flatten() {
                ids.extend(self.names.read(&id)?.map(|name| (id, name)));
            }
        }
        Ok(ids)
    }

    /// Whether node ports are served at the host's addresses.
    pub(super) fn knows_the_host(&self) -> Result<bool> {
        let hosts: Pinned<HostKey, HostAddress> = Pinned::open(&self.folder.join(HOST_ADDRESSES.pin))?;
        let v6 = *over6(SocketAddrV4::new(HOST, 0)).ip();
        for address in [HOST.to_ipv6_mapped(), v6].map(|address| address.octets()) {
            if hosts.read(&HostKey { address })?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes behind the agent's back. Returns whether there was anything to delete.
    pub(super) fn delete(&self, address: u8, what: Deletion) -> Result<bool> {
        let [tcp, _udp] = PROTOCOLS;
        let (key4, key6) = (key4(cluster(address), tcp), key6(cluster(address), tcp));
        let Some(element) = self.services4.read(&key4)? else { return Ok(false) };
        let deleted = match what {
            Deletion::Element4 => bpf::delete(&self.folder.join(SERVICES4.pin), &key4),
            Deletion::Element6 => bpf::delete(&self.folder.join(SERVICES6.pin), &key6),
            Deletion::Region4 if usize::from(element.count) <= INLINE_BACKENDS => return Ok(false),
            Deletion::Region4 => Ok(self.backends4.write(&element.region, &RegionEntry4::zeroed())?),
            Deletion::Name => bpf::delete(&self.folder.join(NAMES.pin), &element.id),
        };
        match deleted {
            // A name that was deleted before has not come back yet.
            Err(error) if is_absent(&error) => Ok(false),
            deleted => deleted.map(|()| true),
        }
    }

    /// The backends of an element, with those of its region; without an element none.
    fn set4(&self, address: u8, element: Option<Service4>) -> io::Result<Option<Set>> {
        let entry = |at: u32| {
            let entry = self.backends4.read(&at)?.unwrap_or_else(RegionEntry4::zeroed);
            Ok(((entry.id, entry.revision), entry.backend.address))
        };
        element.map(|element| set(address, &element, entry)).transpose()
    }

    fn set6(&self, address: u8, element: Option<Service6>) -> io::Result<Option<Set>> {
        let entry = |at: u32| {
            let entry = self.backends6.read(&at)?.unwrap_or_else(RegionEntry6::zeroed);
            let [.., a, b, c, d] = entry.backend.address;
            Ok(((entry.id, entry.revision), [a, b, c, d]))
        };
        element.map(|element| set(address, &narrow(&element), entry)).transpose()
    }
}

/// A name as it lies in the map, up to its zero byte.
fn text(name: &[i8]) -> String {
    let bytes: Vec<u8> = name.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_absent(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

/// A region entry: whose it is, by id and revision, and its address.
type Entry = ((u32, u32), [u8; 4]);

fn set(address: u8, element: &Service4, entry: impl Fn(u32) -> io::Result<Entry>) -> io::Result<Set> {
    let count = usize::from(element.count);
    let inline = element.inline.iter().take(count).map(|backend| bit(address, backend.address));
    let mut set: Set = inline.fold(0, |set, bit| set | bit);
    for offset in 0..count.saturating_sub(INLINE_BACKENDS) as u32 {
        let (owner, backend) = entry(element.region + offset)?;
        let is_its_own = owner == (element.id, element.revision);
        set |= if is_its_own { bit(address, backend) } else { UNTOUCHED };
    }
    Ok(set)
}

/// Of a backend of another address, a bit that no set has.
fn bit(address: u8, at: [u8; 4]) -> Set {
    let port = backend_of(address, 0).port();
    match Reached::at(address, SocketAddrV4::new(Ipv4Addr::from(at), port)) {
        Reached::Backend(number) => 1 << number,
        Reached::Neighbour | Reached::Decoy | Reached::Unknown => UNTOUCHED,
    }
}

#[cfg(test)]
mod tests {
    use lb_common::layout::{Backend4, Service4};

    use super::*;

    #[test]
    fn an_element_has_what_lies_in_it_and_its_own_part_of_the_region() {
        let backend =
            |number| Backend4 { address: backend_of(2, number).ip().octets(), ..Backend4::default() };
        let inline = [0, 1, 2, 3, 4, 5].map(backend);
        let of = |count, owner| {
            let element = Service4 { id: 7, revision: 3, count, inline, region: 100, ..Service4::default() };
            set(2, &element, |at| Ok((owner, backend((at - 94) as u8).address))).unwrap()
        };
        assert_eq!(of(0, (7, 3)), 0);
        assert_eq!(of(2, (7, 3)), 0b11);
        assert_eq!(of(8, (7, 3)), 0b1111_1111);
        assert_ne!(of(8, (7, 2)), 0b1111_1111, "of another publication");
        assert_eq!(bit(3, backend(0).address), UNTOUCHED, "of another address");
    }
}
