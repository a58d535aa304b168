//! What the agent is given in the proof: who has which address, and the objects that say so.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;

use lb_agent::model::{
    Change, Conditions, Endpoint, Family, Object, ObjectName, Protocol, Service, ServicePort, Slice,
    SlicePort,
};
use lb_common::layout::{Frontend4, Service4};

use super::world::{ADDRESSES, Dice, REFUSED, Set, UNTOUCHED, backend_of, cluster};

/// Sets: inline up to 6, with a region beyond.
const LARGEST: usize = 20;

/// Each Service has a port for each of them, with the same backends.
pub(super) const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// Of every address; without a holder the address is no Service's.
pub(super) type States = [Option<Holder>; ADDRESSES as usize];

/// Who has an address, and with which backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Names the Service: another one when the address changes hands.
    service: u32,
    /// None refuses.
    backends: Set,
}

/// Draws what is to be next.
pub(super) struct Draw {
    dice: Dice,
    /// Services that there were so far.
    services: u32,
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

/// The Service of an address and its slice.
pub(super) fn objects(address: u8, holder: Option<Holder>) -> impl Iterator<Item = Object> {
    holder.into_iter().flat_map(move |Holder { service, backends }| {
        let name: Arc<str> = format!("s{address}-{service}").into();
        let namespace: Arc<str> = "proof".into();
        let own = ObjectName { namespace: Arc::clone(&namespace), name: Arc::clone(&name) };
        let at = cluster(address);
        let ready = Conditions { ready: true, serving: true, terminating: false };
        let endpoints = (0..32).filter(|number| backends & 1 << number != 0).map(|number| Endpoint {
            address: IpAddr::V4(*backend_of(address, number).ip()),
            conditions: ready,
            node: None,
            hints: None,
        });
        let slice = Slice {
            name: ObjectName { namespace, name: format!("{name}-1").into() },
            service: Some(name),
            family: Some(Family::V4),
            headless: false,
            not_read: None,
            ports: PROTOCOLS
                .map(|protocol| SlicePort {
                    name: protocol.label().into(),
                    protocol,
                    port: backend_of(address, 0).port(),
                })
                .to_vec(),
            endpoints: endpoints.collect(),
        };
        let service = Service {
            name: own,
            created: None,
            skipped: None,
            discarded: false,
            addresses: vec![IpAddr::V4(*at.ip())],
            ports: PROTOCOLS
                .map(|protocol| ServicePort {
                    name: protocol.label().into(),
                    protocol,
                    port: at.port(),
                    node_port: None,
                })
                .to_vec(),
            topology: None,
            uid: None,
            internal_local: false,
            affinity: None,
            further: None,
        };
        [Object::Service(service), Object::Slice(slice)]
    })
}

/// The keys of an address in the map, one for each of [`PROTOCOLS`].
pub(super) fn frontends(at: SocketAddrV4) -> [Frontend4; PROTOCOLS.len()] {
    PROTOCOLS.map(|protocol| Frontend4 {
        address: at.ip().octets(),
        port: at.port().to_be_bytes(),
        protocol: protocol.number(),
        zero: 0,
    })
}
