//! Bytes and neutral words: the only place in the agent that knows how a map's key or value reads. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytemuck::Zeroable as _;
use lb_common::element::check;
use lb_common::family::V4;
use lb_common::layout::{
    Backend4, FLAG_AFFINITY, FLAG_TOPOLOGY, Frontend4, INLINE_BACKENDS, NAME_BYTES, RegionEntry4, Service4,
    ServiceName,
};

use crate::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use crate::plan::{Backend, Backends, Element, Held, Owner, Proof, cut};

/// How the words of one IP family lie in its maps.
pub(crate) trait Codec: lb_common::family::Family {
    /// The key of `frontend`; `None` where it is not of this family, or of a protocol without a key.
    fn frontend(frontend: &Frontend) -> Option<Self::Frontend>;
    /// What a key stands for; `None` where no agent writes such a key.
    fn dialled(key: &Self::Frontend) -> Option<Frontend>;
    /// The value of `element` under `key`, with its check word.
    fn service(key: &Self::Frontend, element: &Element) -> Self::Service;
    /// The entry of `backend` in a region of `owner`; `None` where it is not of this family.
    fn region_entry(owner: Owner, backend: &Backend) -> Option<Self::RegionEntry>;
    /// A value as it was read, with the backends in its region, whose entries `region` has by index.
    fn held(key: &Self::Frontend, service: &Self::Service, region: &[Self::RegionEntry]) -> Held;
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

    fn service(key: &Frontend4, element: &Element) -> Service4 {
        let Element { owner, has_topology, affinity, backends, region } = element;
        let topology = if *has_topology { FLAG_TOPOLOGY } else { 0 };
        let sticky = if affinity.is_some() { FLAG_AFFINITY } else { 0 };
        let mut value = Service4 {
            id: owner.id,
            revision: owner.revision,
            // The plan never has more backends than the count can say.
            count: u16::try_from(backends.len()).unwrap_or(u16::MAX),
            flags: topology | sticky,
            affinity: affinity.unwrap_or(0),
            region: *region,
            ..Service4::zeroed()
        };
        for (slot, backend) in
            value.inline.iter_mut().zip(backends.iter().filter_map(|backend| backend4(&backend)))
        {
            *slot = backend;
        }
        value.check = check::<Self>(key, &value);
        value
    }

    fn region_entry(owner: Owner, backend: &Backend) -> Option<RegionEntry4> {
        Some(RegionEntry4 { id: owner.id, revision: owner.revision, backend: backend4(backend)? })
    }

    fn held(key: &Frontend4, service: &Service4, region: &[RegionEntry4]) -> Held {
        let inline = usize::from(service.count).min(INLINE_BACKENDS);
        let tail = tail(service, region);
        let proven = check::<Self>(key, service) == service.check && tail.is_some();
        let backends = service.inline[..inline].iter().chain(tail.into_iter().flatten());
        let element = Element {
            owner: Owner { id: service.id, revision: service.revision },
            has_topology: service.flags & FLAG_TOPOLOGY != 0,
            affinity: (service.flags & FLAG_AFFINITY != 0).then_some(service.affinity),
            backends: backends.map(neutral).collect::<Backends>(),
            region: service.region,
        };
        Held { element, proof: if proven { Proof::Proven } else { Proof::Unproven } }
    }
}

/// The backends in the region of `service`; `None` where an entry belongs to another element, or
/// lies past the end.
fn tail<'r>(
    service: &Service4,
    region: &'r [RegionEntry4],
) -> Option<impl Iterator<Item = &'r Backend4> + use<'r>> {
    let length = usize::from(service.count).saturating_sub(INLINE_BACKENDS);
    let from = if length == 0 { 0 } else { service.region as usize };
    let entries = region.get(from..from.checked_add(length)?)?;
    let owned = |entry: &RegionEntry4| entry.id == service.id && entry.revision == service.revision;
    entries.iter().all(owned).then(|| entries.iter().map(|entry| &entry.backend))
}

fn backend4(backend: &Backend) -> Option<Backend4> {
    let IpAddr::V4(ip) = backend.ip else { return None };
    Some(Backend4 { address: ip.octets(), port: backend.port.to_be_bytes(), pool: 0 })
}

fn neutral(backend: &Backend4) -> Backend {
    Backend { ip: Ipv4Addr::from(backend.address).into(), port: u16::from_be_bytes(backend.port) }
}

/// The name of a service port as the map of names has it. What is too long is cut.
pub(crate) fn name(key: &ServicePortKey) -> ServiceName {
    ServiceName {
        namespace: bytes(&key.service.namespace),
        service: bytes(&key.service.name),
        port: bytes(&key.port_name),
        protocol: key.protocol.number(),
        family: match key.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        zero: [0; 2],
    }
}

/// The service port that a name stands for; `None` where no agent writes such a name.
pub(crate) fn key(name: &ServiceName) -> Option<ServicePortKey> {
    Some(ServicePortKey {
        service: ObjectName::new(&text(&name.namespace)?, &text(&name.service)?),
        port_name: text(&name.port)?.into(),
        protocol: Protocol::of_number(name.protocol)?,
        family: match name.family {
            4 => Family::V4,
            6 => Family::V6,
            _ => return None,
        },
    })
}

fn bytes(name: &str) -> [i8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes.iter_mut().zip(cut(name).bytes()) {
        *to = from.cast_signed();
    }
    bytes
}

fn text(bytes: &[i8; NAME_BYTES]) -> Option<String> {
    let bytes: Vec<u8> =
        bytes.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled() -> Frontend {
        Frontend { address: "10.96.0.11:80".parse().unwrap(), protocol: Protocol::Tcp }
    }

    fn element(count: u16) -> Element {
        let backend =
            |number: u16| Backend { ip: Ipv4Addr::from(0x0af4_0000 + u32::from(number)).into(), port: 9376 };
        Element {
            owner: Owner { id: 7, revision: 3 },
            has_topology: true,
            affinity: Some(60),
            backends: (1..=count).map(backend).collect(),
            region: if count > 6 { 2 } else { 0 },
        }
    }

    /// The value and the region of an element, as they are written.
    fn written(element: &Element) -> (Frontend4, Service4, Vec<RegionEntry4>) {
        let key = V4::frontend(&dialled()).unwrap();
        let tail = element.backends.iter().skip(INLINE_BACKENDS);
        let entries = tail.map(|backend| V4::region_entry(element.owner, &backend).unwrap());
        let region = vec![RegionEntry4::default(); 2].into_iter().chain(entries).collect();
        (key, V4::service(&key, element), region)
    }

    #[test]
    fn what_was_written_reads_back_as_it_was() {
        for count in [0, 1, 6, 7, 300, u16::MAX] {
            let element = element(count);
            let (key, service, region) = written(&element);
            assert_eq!(V4::held(&key, &service, &region), Held { element, proof: Proof::Proven }, "{count}");
        }
        assert_eq!(V4::dialled(&V4::frontend(&dialled()).unwrap()), Some(dialled()));
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
                let other = Frontend4 { port: [0, 81], ..V4::frontend(&dialled()).unwrap() };
                service.check = check::<V4>(&other, service);
            }),
            ("a place past all numbers", |service, _| {
                service.region = u32::MAX;
                service.check = check::<V4>(&V4::frontend(&dialled()).unwrap(), service);
            }),
        ];
        for (shows, harm) in harms {
            let (key, mut service, mut region) = written(&element(9));
            harm(&mut service, &mut region);
            assert_eq!(V4::held(&key, &service, &region).proof, Proof::Unproven, "{shows}");
        }
    }

    #[test]
    fn only_ipv4_has_a_key_and_only_what_an_agent_writes_is_one() {
        let v6 = Frontend { address: "[fd00::1]:80".parse().unwrap(), protocol: Protocol::Tcp };
        assert_eq!(V4::frontend(&v6), None);
        for (shows, protocol, zero) in [("another protocol", 1, 0), ("a byte that is always zero", 6, 1)] {
            assert_eq!(V4::dialled(&Frontend4 { protocol, zero, ..Frontend4::default() }), None, "{shows}");
        }
    }

    #[test]
    fn names_read_back_as_the_service_ports_they_were_and_are_cut_where_they_are_too_long() {
        let key_of = |service: &str| ServicePortKey {
            service: ObjectName::new("default", service),
            port_name: "http".into(),
            protocol: Protocol::Udp,
            family: Family::V6,
        };
        for (written, read) in [
            ("web".to_owned(), "web".to_owned()),
            ("x".repeat(63), "x".repeat(63)),
            ("x".repeat(64), "x".repeat(63)),
            ("ä".repeat(40), "ä".repeat(31)),
        ] {
            let name = name(&key_of(&written));
            assert_eq!(name.service[NAME_BYTES - 1], 0, "a zero byte ends it");
            assert_eq!(key(&name), Some(key_of(&read)), "{written}");
        }
    }

    #[test]
    fn a_name_that_no_agent_writes_is_not_read() {
        type Harm = fn(&mut ServiceName);
        let harms: [(&str, Harm); 3] = [
            ("a protocol", |name| name.protocol = 1),
            ("a family", |name| name.family = 5),
            ("text", |name| name.service[0] = -1),
        ];
        for (shows, harm) in harms {
            let mut name = name(&ServicePortKey {
                service: ObjectName::new("default", "web"),
                port_name: "".into(),
                protocol: Protocol::Tcp,
                family: Family::V4,
            });
            harm(&mut name);
            assert_eq!(key(&name), None, "{shows}");
        }
    }
}
