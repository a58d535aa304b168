//! Bytes and neutral words: the only place in the agent that knows how a map's key or value reads. Pure.

mod cells;
mod names;

pub(crate) use cells::{cell, known_cell};
use names::{bytes, text};
pub(crate) use names::{key, name};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytemuck::{Zeroable as _, cast};
use lb_common::element::{Element as Words, check};
use lb_common::family::{V4, V6, Words as _};
use lb_common::layout::{
    Backend4, Backend6, CELL_REFUSED, FLAG_AFFINITY, FLAG_TOPOLOGY, Frontend4, Frontend6, HostKey,
    INLINE_BACKENDS,
};

use crate::model::{Frontend, Protocol};
use crate::plan::{Backend, Backends, Element, Held, Owner, Proof};

/// How the words of one IP family lie in its maps.
pub(crate) trait Codec: lb_common::family::Family {
    /// The key of `frontend`; `None` where it is not of this family, or of a protocol without a key.
    fn frontend(frontend: &Frontend) -> Option<Self::Frontend>;
    /// What a key stands for; `None` where no agent writes such a key.
    fn dialled(key: &Self::Frontend) -> Option<Frontend>;
    /// The bytes of `backend`, connections to which count at `place`; `None` where it is not of this family.
    fn encode(backend: &Backend, place: u16) -> Option<Self::Backend>;
    /// What the bytes of a backend stand for, which counts in `cell`.
    fn decode(backend: &Self::Backend, cell: u16) -> Backend;
    /// The bytes that stand in place of the first backend of a Service without one: refusals count at `place`.
    fn no_backend(place: u16) -> Self::Backend;
}

/// The value of `element` under `key`, with its check word. `place_of` says at which place each cell is counted.
pub(crate) fn service<F: Codec>(
    key: &F::Frontend,
    element: &Element,
    mut place_of: impl FnMut(u16) -> u16,
) -> F::Service {
    let Element { owner, has_topology, affinity, backends, region } = element;
    let topology = if *has_topology { FLAG_TOPOLOGY } else { 0 };
    let sticky = if affinity.is_some() { FLAG_AFFINITY } else { 0 };
    // The plan never has more backends than the count can say.
    let count = u16::try_from(backends.len()).unwrap_or(u16::MAX);
    let mut value = F::Value::ZERO;
    value.set(0, cast([owner.id, owner.revision]));
    value.set(1, cast([u32::from(count) | u32::from(topology | sticky) << 16, affinity.unwrap_or(0)]));
    let refused = backends.is_empty().then(|| F::no_backend(place_of(CELL_REFUSED)));
    let inline = backends.iter().take(INLINE_BACKENDS);
    let inline = inline.filter_map(|backend| F::encode(&backend, place_of(backend.cell)));
    for (slot, backend) in refused.into_iter().chain(inline).enumerate() {
        let words: F::BackendWords = cast(backend);
        for word in 0..F::BackendWords::COUNT {
            value.set(2 + slot * F::BackendWords::COUNT + word, words.word(word));
        }
    }
    let last = F::Value::COUNT - 1;
    value.set(last, cast([*region, 0]));
    value.set(last, cast([*region, check::<F>(key, &cast(value))]));
    cast(value)
}

/// The entry of `backend`, connections to which count at `place`, in a region of `owner`; `None` where it is not of this
/// family.
pub(crate) fn region_entry<F: Codec>(owner: Owner, backend: &Backend, place: u16) -> Option<F::RegionEntry> {
    let mut entry = F::RegionEntry::zeroed();
    let (head, rest) = bytemuck::bytes_of_mut(&mut entry).split_at_mut(size_of::<u64>());
    head.copy_from_slice(bytemuck::bytes_of(&[owner.id, owner.revision]));
    rest.copy_from_slice(bytemuck::bytes_of(&F::encode(backend, place)?));
    Some(entry)
}

/// A value as it was read, with the backends in its region, whose entries `region` has by index. `cell_of` says what an id
/// counts at a place.
pub(crate) fn held<F: Codec>(
    key: &F::Frontend,
    service: &F::Service,
    region: &[F::RegionEntry],
    cell_of: impl Fn(u32, u16) -> u16,
) -> Held {
    let words = Words::<F>(cast(*service));
    let ([id, revision], [_, affinity]) = (cast(words.owner()), cast::<u64, [u32; 2]>(words.0.word(1)));
    let owner = Owner { id, revision };
    let count = usize::from(words.count());
    let flags = (words.0.word(1) >> 16) as u16;
    let tail = tail::<F>(owner, count.saturating_sub(INLINE_BACKENDS), words.region(), region);
    let proven = words.proven(key) && tail.is_some();
    let inline = (0..count.min(INLINE_BACKENDS)).map(|slot| words.at(slot));
    let element = Element {
        owner,
        has_topology: flags & FLAG_TOPOLOGY != 0,
        affinity: (flags & FLAG_AFFINITY != 0).then_some(affinity),
        backends: inline
            .chain(tail.into_iter().flatten())
            .map(|backend| F::decode(&backend, cell_of(id, F::place(&backend))))
            .collect::<Backends>(),
        region: words.region(),
    };
    Held { element, proof: if proven { Proof::Proven } else { Proof::Unproven } }
}

/// The index after the last backend in the region of a value as it was read; 0 without a region.
pub(crate) fn region_end<F: Codec>(service: &F::Service) -> u32 {
    let words = Words::<F>(cast(*service));
    let tail = u32::from(words.count()).saturating_sub(INLINE_BACKENDS as u32);
    if tail == 0 { 0 } else { words.region().saturating_add(tail) }
}

/// The `length` backends of `owner` in a region that begins at `from`; `None` where an entry belongs to another
/// element, or lies past the end.
fn tail<F: Codec>(
    owner: Owner,
    length: usize,
    from: u32,
    region: &[F::RegionEntry],
) -> Option<Vec<F::Backend>> {
    let from = if length == 0 { 0 } else { from as usize };
    let entries = region.get(from..from.checked_add(length)?)?;
    entries
        .iter()
        .map(|entry| {
            let (head, backend) = bytemuck::bytes_of(entry).split_at(size_of::<u64>());
            let is_its_own = head == bytemuck::bytes_of(&[owner.id, owner.revision]);
            is_its_own.then(|| bytemuck::pod_read_unaligned(backend))
        })
        .collect()
}

/// The key of an address of the host.
pub(crate) fn host_key(address: IpAddr) -> HostKey {
    let mapped = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    HostKey { address: mapped.octets() }
}

/// What a key of the host's addresses stands for.
pub(crate) fn host(key: &HostKey) -> IpAddr {
    Ipv6Addr::from(key.address).to_canonical()
}

impl Codec for V4 {
    fn frontend(frontend: &Frontend) -> Option<Frontend4> {
        let IpAddr::V4(ip) = frontend.address.ip() else { return None };
        let (port, protocol) = (frontend.address.port().to_be_bytes(), frontend.protocol.number());
        Some(Frontend4 { address: ip.octets(), port, protocol, zero: 0 })
    }

    fn dialled(key: &Frontend4) -> Option<Frontend> {
        let address = SocketAddr::new(Ipv4Addr::from(key.address).into(), u16::from_be_bytes(key.port));
        let protocol = Protocol::of_number(key.protocol).filter(|_| key.zero == 0)?;
        Some(Frontend { address, protocol })
    }

    fn encode(backend: &Backend, place: u16) -> Option<Backend4> {
        let IpAddr::V4(ip) = backend.ip else { return None };
        Some(Backend4 { address: ip.octets(), port: backend.port.to_be_bytes(), place })
    }

    fn no_backend(place: u16) -> Backend4 {
        Backend4 { place, ..Backend4::zeroed() }
    }

    fn decode(backend: &Backend4, cell: u16) -> Backend {
        let (ip, port) = (Ipv4Addr::from(backend.address).into(), u16::from_be_bytes(backend.port));
        Backend { ip, port, cell }
    }
}

impl Codec for V6 {
    fn frontend(frontend: &Frontend) -> Option<Frontend6> {
        let IpAddr::V6(ip) = frontend.address.ip() else { return None };
        let (port, protocol) = (frontend.address.port().to_be_bytes(), frontend.protocol.number());
        Some(Frontend6 { address: ip.octets(), port, protocol, zero: [0; 5] })
    }

    fn dialled(key: &Frontend6) -> Option<Frontend> {
        let address = SocketAddr::new(Ipv6Addr::from(key.address).into(), u16::from_be_bytes(key.port));
        let protocol = Protocol::of_number(key.protocol).filter(|_| key.zero == [0; 5])?;
        Some(Frontend { address, protocol })
    }

    fn encode(backend: &Backend, place: u16) -> Option<Backend6> {
        let IpAddr::V6(ip) = backend.ip else { return None };
        Some(Backend6 { address: ip.octets(), port: backend.port.to_be_bytes(), place, zero: 0 })
    }

    fn no_backend(place: u16) -> Backend6 {
        Backend6 { place, ..Backend6::zeroed() }
    }

    fn decode(backend: &Backend6, cell: u16) -> Backend {
        let (ip, port) = (Ipv6Addr::from(backend.address).into(), u16::from_be_bytes(backend.port));
        Backend { ip, port, cell }
    }
}

#[cfg(test)]
mod tests {
    use lb_common::layout::{RegionEntry4, Service4};

    use super::*;
    use crate::model::Family;

    fn dialled(family: Family) -> Frontend {
        let address = match family {
            Family::V4 => "10.96.0.11:80",
            Family::V6 => "[fd00:96::11]:80",
        };
        Frontend { address: address.parse().unwrap(), protocol: Protocol::Tcp }
    }

    fn element(family: Family, count: u16) -> Element {
        let ip = |number: u16| match family {
            Family::V4 => IpAddr::from(Ipv4Addr::from(0x0af4_0000 + u32::from(number))),
            Family::V6 => IpAddr::from(Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, number)),
        };
        Element {
            owner: Owner { id: 7, revision: 3 },
            has_topology: true,
            affinity: Some(60),
            backends: (1..=count)
                .map(|number| Backend { ip: ip(number), port: 9376, cell: number })
                .collect(),
            region: if count > 6 { 2 } else { 0 },
        }
    }

    /// Every place counts the cell of its own number.
    fn same(_id: u32, place: u16) -> u16 {
        place
    }

    /// The value and the region of an element, as they are written.
    fn written<F: Codec>(
        family: Family,
        element: &Element,
    ) -> (F::Frontend, F::Service, Vec<F::RegionEntry>) {
        let key = F::frontend(&dialled(family)).unwrap();
        let tail = element.backends.iter().skip(INLINE_BACKENDS);
        let entries = tail.map(|backend| region_entry::<F>(element.owner, &backend, backend.cell).unwrap());
        let region = vec![F::RegionEntry::zeroed(); 2].into_iter().chain(entries).collect();
        (key, service::<F>(&key, element, |cell| cell), region)
    }

    fn reads_back<F: Codec>(family: Family) {
        for count in [0, 1, 6, 7, 300, u16::MAX] {
            let element = element(family, count);
            let (key, service, region) = written::<F>(family, &element);
            let read = held::<F>(&key, &service, &region, same);
            assert_eq!(read, Held { element, proof: Proof::Proven }, "{count}, {family:?}");
        }
        assert_eq!(F::dialled(&F::frontend(&dialled(family)).unwrap()), Some(dialled(family)));
    }

    #[test]
    fn what_was_written_reads_back_as_it_was() {
        reads_back::<V4>(Family::V4);
        reads_back::<V6>(Family::V6);
    }

    #[test]
    fn the_words_lie_where_the_layout_has_its_fields() {
        let (_, service, region) = written::<V4>(Family::V4, &element(Family::V4, 7));
        let backend =
            |number| Backend4 { address: [10, 244, 0, number], port: [0x24, 0xa0], place: number.into() };
        let expected = Service4 {
            id: 7,
            revision: 3,
            count: 7,
            flags: FLAG_TOPOLOGY | FLAG_AFFINITY,
            affinity: 60,
            inline: [1, 2, 3, 4, 5, 6].map(backend),
            region: 2,
            check: service.check,
        };
        assert_eq!(service, expected);
        assert_eq!(region[2], RegionEntry4 { id: 7, revision: 3, backend: backend(7) });
        let (_, service, region) = written::<V6>(Family::V6, &element(Family::V6, 7));
        assert_eq!((service.id, service.revision, service.count, service.affinity), (7, 3, 7, 60));
        assert_eq!((service.flags, service.region), (FLAG_TOPOLOGY | FLAG_AFFINITY, 2));
        assert_eq!(service.inline[5].address, [0xfd, 0, 2, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6]);
        assert_eq!((region[2].id, region[2].revision, region[2].backend.port), (7, 3, [0x24, 0xa0]));
    }

    #[test]
    fn what_is_torn_or_not_its_own_is_unproven() {
        type Harm = fn(&mut Service4, &mut Vec<RegionEntry4>);
        let harms: [(&str, Harm); 6] = [
            ("a torn value", |service, _| service.count = 3),
            ("an older revision's region", |_, region| region[3].revision = 2),
            ("another's region", |_, region| region[2].id = 8),
            ("a region past the end", |_, region| region.truncate(3)),
            ("a check word of another key", |service, _| {
                let other = Frontend4 { port: [0, 81], ..V4::frontend(&dialled(Family::V4)).unwrap() };
                service.check = check::<V4>(&other, service);
            }),
            ("a place past all numbers", |service, _| {
                service.region = u32::MAX;
                service.check = check::<V4>(&V4::frontend(&dialled(Family::V4)).unwrap(), service);
            }),
        ];
        for (shows, harm) in harms {
            let (key, mut service, mut region) = written::<V4>(Family::V4, &element(Family::V4, 9));
            harm(&mut service, &mut region);
            assert_eq!(held::<V4>(&key, &service, &region, same).proof, Proof::Unproven, "{shows}");
        }
    }

    #[test]
    fn a_torn_value_of_ipv6_is_unproven_wherever_it_is_torn() {
        let (key, old, region) = written::<V6>(Family::V6, &element(Family::V6, 9));
        let newer = Element { owner: Owner { id: 7, revision: 4 }, ..element(Family::V6, 0) };
        let new = service::<V6>(&key, &newer, |cell| cell);
        let (old, new): ([u64; 21], [u64; 21]) = (cast(old), cast(new));
        for cut in 1..21 {
            let mut torn = new;
            torn[..cut].copy_from_slice(&old[..cut]);
            assert_eq!(held::<V6>(&key, &cast(torn), &region, same).proof, Proof::Unproven, "{cut}");
        }
    }

    #[test]
    fn each_family_has_keys_of_its_own_and_only_what_an_agent_writes_is_one() {
        assert_eq!(V4::frontend(&dialled(Family::V6)), None);
        assert_eq!(V6::frontend(&dialled(Family::V4)), None);
        for (shows, protocol, zero) in [("another protocol", 1, 0), ("a byte that is always zero", 6, 1)] {
            assert_eq!(V4::dialled(&Frontend4 { protocol, zero, ..Frontend4::default() }), None, "{shows}");
            let key = Frontend6 { protocol, zero: [0, 0, 0, 0, zero], ..Frontend6::default() };
            assert_eq!(V6::dialled(&key), None, "{shows}, IPv6");
        }
    }
}
