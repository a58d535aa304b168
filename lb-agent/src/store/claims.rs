//! Who owns an address: two live Services can claim one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::model::{Frontend, ObjectName, Protocol, Service};

/// Orders the claimants of one address: the older first, one without a creation time last, then
/// by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant {
    /// Seconds since 1970; `i64::MAX` where the object has no creation time.
    created: i64,
    service: ObjectName,
}

/// Every address that Services claim, and by whom.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Sorted: the first is the owner. Hardly ever more than one.
    by_address: BTreeMap<Frontend, Vec<Claimant>>,
    /// Every address that was claimed since there was none lies between these two.
    v4: Option<(IpAddr, IpAddr)>,
    v6: Option<(IpAddr, IpAddr)>,
}

impl Claims {
    /// Enters the claims of `service`; returns the Services that lost an address to it.
    pub(super) fn add(&mut self, service: &Service) -> Vec<ObjectName> {
        let claimant = claimant(service);
        let mut lost = Vec::new();
        for dialled in dialled(service) {
            self.widen(dialled.address.ip());
            let claimants = self.by_address.entry(dialled).or_default();
            let before = claimants.first().cloned();
            if let Err(place) = claimants.binary_search(&claimant) {
                claimants.reserve_exact(1);
                claimants.insert(place, claimant.clone());
            }
            if before.as_ref() != claimants.first() {
                lost.extend(before.map(|before| before.service));
            }
        }
        lost
    }

    /// Takes the claims of `service` back; returns the Services that take an address over.
    pub(super) fn remove(&mut self, service: &Service) -> Vec<ObjectName> {
        let claimant = claimant(service);
        let mut heirs = Vec::new();
        for dialled in dialled(service) {
            let Some(claimants) = self.by_address.get_mut(&dialled) else { continue };
            let was_owner = claimants.first() == Some(&claimant);
            claimants.retain(|other| *other != claimant);
            match claimants.first() {
                Some(heir) if was_owner => heirs.push(heir.service.clone()),
                Some(_) => {}
                None => {
                    self.by_address.remove(&dialled);
                }
            }
        }
        if self.by_address.is_empty() {
            (self.v4, self.v6) = (None, None);
        }
        heirs
    }

    /// The Service that owns a port of this address, on whatever port: the first by port and
    /// protocol, where there are several.
    ///
    /// This is asked of every endpoint, and pods mostly have addresses far from those of Services.
    pub(super) fn owner_of_address(&self, address: IpAddr) -> Option<&ObjectName> {
        let (lowest, highest) = if address.is_ipv4() { self.v4? } else { self.v6? };
        if address < lowest || address > highest {
            return None;
        }
        let from = Frontend { address: SocketAddr::new(address, 0), protocol: Protocol::Tcp };
        let (frontend, claimants) = self.by_address.range(from..).next()?;
        (frontend.address.ip() == address).then(|| claimants.first().map(|first| &first.service))?
    }

    fn widen(&mut self, address: IpAddr) {
        let span = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let (lowest, highest) = span.unwrap_or((address, address));
        *span = Some((lowest.min(address), highest.max(address)));
    }

    /// The Service that owns `dialled`.
    pub(super) fn owner(&self, dialled: &Frontend) -> Option<&ObjectName> {
        Some(&self.by_address.get(dialled)?.first()?.service)
    }
}

fn claimant(service: &Service) -> Claimant {
    Claimant { created: service.created.unwrap_or(i64::MAX), service: service.name.clone() }
}

/// The addresses that a Service claims: none while it does not count.
fn dialled(service: &Service) -> impl Iterator<Item = Frontend> {
    let counts = service.skipped.is_none();
    service.addresses.iter().filter(move |_| counts).flat_map(|address| {
        service
            .ports
            .iter()
            .map(|port| Frontend { address: SocketAddr::new(*address, port.port), protocol: port.protocol })
    })
}
