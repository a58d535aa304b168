//! What the agent is given in the proof: who has which address, and the objects that say so.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use lb_agent::model::{
    Change, Conditions, Endpoint, Family, Object, ObjectName, Protocol, Service, ServicePort, Slice,
    SlicePort,
};
use lb_common::layout::{Backend4, Backend6, Frontend4, Frontend6, SERVICES4, SERVICES6, Service4, Service6};

use super::world::{
    ADDRESSES, Dice, REFUSED, Set, UNTOUCHED, backend_of, cluster, keeps_clients, node_port, over6,
};
use crate::harness::bpf::Pinned;

/// Sets: inline up to 6, with a region beyond.
const LARGEST: usize = 20;

/// Of Services that keep their clients, in seconds: longer than a proof lasts.
pub(super) const AFFINITY: u32 = 10_800;

/// Each Service has a port for each of them, with the same backends.
pub(super) const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// Of every address; without a holder the address is no Service's.
pub(super) type States = [Option<Holder>; ADDRESSES as usize];

/// Who has an address, and with which backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Names the Service: another one when the address changes hands.
    pub(super) service: u32,
    /// None refuses.
    pub(super) backends: Set,
}

/// Draws what is to be next.
pub(super) struct Draw {
    dice: Dice,
    /// Services that there were so far.
    services: u32,
}

impl Holder {
    /// Whether `other` is the same Service.
    pub(super) const fn is(self, other: Self) -> bool {
        self.service == other.service
    }
}

impl Draw {
    pub(super) const fn new() -> Self {
        Self { dice: Dice::new(0xa9e7), services: 0 }
    }

    /// What is to be next, and the changes that lead there.
    pub(super) fn next(&mut self, held: &States) -> (States, Vec<Change>) {
        let mut next = *held;
        let mut changes = Vec::new();
        for address in 0..ADDRESSES {
            let now = held[usize::from(address)];
            let then = match self.dice.throw(16) {
                // As it was.
                0..6 => now,
                6 => None,
                7 => Some(Holder { service: self.new_service(), backends: self.set() }),
                8 => now.map(|now| Holder { backends: 0, ..now }),
                _ => Some(Holder {
                    service: now.map_or_else(|| self.new_service(), |now| now.service),
                    backends: self.set(),
                }),
            };
            if then == now {
                continue;
            }
            if let Some(now) = now.filter(|now| then.is_none_or(|then| then.service != now.service)) {
                let gone = objects(address, Some(now)).map(|object| Change::Delete(object.key()));
                changes.extend(gone);
            }
            changes.extend(objects(address, then).map(Change::Apply));
            next[usize::from(address)] = then;
        }
        (next, changes)
    }

    fn new_service(&mut self) -> u32 {
        self.services += 1;
        self.services
    }

    fn set(&mut self) -> Set {
        let count = 1 + self.dice.throw(LARGEST);
        self.dice.hand(count).into_iter().fold(0, |set, number| set | 1 << number)
    }
}

/// What a connection to an address gets.
pub(super) fn allowed(holder: Option<Holder>) -> Set {
    match holder {
        None => UNTOUCHED,
        Some(Holder { backends: 0, .. }) => REFUSED,
        Some(Holder { backends, .. }) => backends,
    }
}

/// Whether the element is that of the holder. Of a region its length alone is looked at: it is filled first.
pub(super) fn is_held(address: u8, holder: Option<Holder>, element: Option<Service4>) -> bool {
    match (holder, element) {
        (None, None) => true,
        (Some(Holder { backends, .. }), Some(element)) => {
            let count = u32::from(element.count);
            let known = |number: u8| {
                let at = backend_of(address, number);
                element.inline.iter().any(|inline| inline.address == at.ip().octets())
            };
            let inline =
                (0..32).filter(|number| known(*number)).fold(0, |set: Set, number| set | 1 << number);
            count == backends.count_ones() && inline & !backends == 0
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The Service of an address and its slices.
pub(super) fn objects(address: u8, holder: Option<Holder>) -> impl Iterator<Item = Object> {
    holder.into_iter().flat_map(move |Holder { service, backends }| {
        let name: Arc<str> = format!("s{address}-{service}").into();
        let namespace: Arc<str> = "proof".into();
        let own = ObjectName { namespace: Arc::clone(&namespace), name: Arc::clone(&name) };
        let at = cluster(address);
        let ready = Conditions { ready: true, serving: true, terminating: false };
        let endpoints = |family: Family| {
            let numbers = (0..32).filter(|number| backends & 1 << number != 0);
            let endpoint = move |number| {
                let at = backend_of(address, number);
                let address = if family == Family::V4 { (*at.ip()).into() } else { (*over6(at).ip()).into() };
                Endpoint { address, conditions: ready, node: None, hints: None }
            };
            numbers.map(endpoint).collect()
        };
        let slice = |family: Family| Slice {
            name: ObjectName {
                namespace: Arc::clone(&namespace),
                name: format!("{name}-{}", family.label().to_lowercase()).into(),
            },
            service: Some(Arc::clone(&name)),
            family: Some(family),
            headless: false,
            not_read: None,
            changed: lb_agent::model::Changed::default(),
            ports: PROTOCOLS
                .map(|protocol| SlicePort {
                    name: protocol.label().into(),
                    protocol,
                    port: backend_of(address, 0).port(),
                })
                .to_vec(),
            endpoints: endpoints(family),
        };
        let service = Service {
            name: own,
            created: None,
            skipped: None,
            discarded: false,
            addresses: vec![(*at.ip()).into(), (*over6(at).ip()).into()],
            ports: PROTOCOLS
                .map(|protocol| ServicePort {
                    name: protocol.label().into(),
                    protocol,
                    port: at.port(),
                    node_port: node_port(address).and_then(|at| NonZeroU16::new(at.port())),
                })
                .to_vec(),
            topology: None,
            uid: None,
            internal_local: false,
            affinity: keeps_clients(address).then_some(AFFINITY),
            foreign: None,
            further: None,
        };
        let [v4, v6] = [Family::V4, Family::V6].map(slice);
        [Object::Service(service), Object::Slice(v4), Object::Slice(v6)]
    })
}

/// The key of an address in the map of IPv4.
pub(super) fn key4(at: SocketAddrV4, protocol: Protocol) -> Frontend4 {
    let (address, port) = (at.ip().octets(), at.port().to_be_bytes());
    Frontend4 { address, port, protocol: protocol.number(), zero: 0 }
}

/// The same over IPv6.
pub(super) fn key6(at: SocketAddrV4, protocol: Protocol) -> Frontend6 {
    let (address, port) = (over6(at).ip().octets(), at.port().to_be_bytes());
    Frontend6 { address, port, protocol: protocol.number(), zero: [0; 5] }
}

/// The keys of a node port, which is under the unspecified address of each family.
pub(super) fn node_port_keys(port: u16, protocol: Protocol) -> (Frontend4, Frontend6) {
    let under = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    (key4(under, protocol), Frontend6 { address: [0; 16], ..key6(under, protocol) })
}

/// The elements of the agent's maps, as they lie in the kernel.
pub(super) struct Elements {
    v4: Pinned<Frontend4, Service4>,
    v6: Pinned<Frontend6, Service6>,
}

/// The elements of one address: over TCP and UDP, over IPv4 and IPv6, at the cluster IP and at the node port.
pub(super) type Held = Vec<Option<Service4>>;

impl Elements {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (v4, v6) = (folder.join(SERVICES4.pin), folder.join(SERVICES6.pin));
        Ok(Self { v4: Pinned::open(&v4)?, v6: Pinned::open(&v6)? })
    }

    pub(super) fn of(&self, address: u8) -> Result<Held> {
        let mut held = Held::new();
        for protocol in PROTOCOLS {
            let at = cluster(address);
            let own = (key4(at, protocol), key6(at, protocol));
            let port = node_port(address).map(|at| node_port_keys(at.port(), protocol));
            for (key4, key6) in [own].into_iter().chain(port) {
                held.push(self.v4.read(&key4)?);
                held.push(self.v6.read(&key6)?.map(|held| narrow(&held)));
            }
        }
        Ok(held)
    }
}

/// The same with what is under its addresses.
pub(super) fn narrow(held: &Service6) -> Service4 {
    let Service6 { id, revision, count, flags, affinity, inline, region, check } = *held;
    let inline = inline.map(|Backend6 { address, port, place, .. }| {
        let [.., a, b, c, d] = address;
        Backend4 { address: [a, b, c, d], port, place }
    });
    Service4 { id, revision, count, flags, affinity, inline, region, check }
}
