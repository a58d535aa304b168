//! Who owns an address: two live Services can claim one.

use std::net::{IpAddr, SocketAddr};

use imbl::OrdMap;

use crate::model::{AddressKind, Frontend, ObjectName, Protocol, Service};

use super::Rules;
use super::dials::{Around, dials, other_ports};

/// Orders the claimants of one address: as a cluster IP first, which no user chooses freely; then the older first, one
/// without a creation time last, then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant {
    role: Role,
    /// Seconds since 1970; `i64::MAX` where the object has no creation time.
    created: i64,
    service: ObjectName,
}

/// What an address is to the Service that claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    ClusterIp,
    Further,
}

/// Every address that Services claim, and by whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Sorted: the first is the owner. Hardly ever more than one.
    by_address: OrdMap<Frontend, Vec<Claimant>>,
    /// Every cluster IP that was claimed since there was none lies between these two.
    v4: Option<(IpAddr, IpAddr)>,
    v6: Option<(IpAddr, IpAddr)>,
}

impl Claims {
    /// Enters the claims of `service`; returns the Services that lost an address to it.
    pub(super) fn add(&mut self, service: &Service, rules: &Rules) -> Vec<ObjectName> {
        let mut lost = Vec::new();
        for (dialled, kind) in claimed(service, rules) {
            if kind == AddressKind::ClusterIp {
                self.widen(dialled.address.ip());
            }
            let claimant = claimant(service, kind);
            let claimants = self.by_address.entry(dialled).or_default();
            let before = claimants.first().cloned();
            if let Err(place) = claimants.binary_search(&claimant) {
                claimants.reserve_exact(1);
                claimants.insert(place, claimant);
            }
            if before.as_ref() != claimants.first() {
                lost.extend(before.map(|before| before.service));
            }
        }
        lost
    }

    /// Takes the claims of `service` back; returns the Services that take an address over.
    pub(super) fn remove(&mut self, service: &Service, rules: &Rules) -> Vec<ObjectName> {
        let mut heirs = Vec::new();
        for (dialled, kind) in claimed(service, rules) {
            let claimant = claimant(service, kind);
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

    /// The Service that has this address as a cluster IP, on whatever port: the first by port and
    /// protocol, where there are several.
    ///
    /// This is asked of every endpoint, and pods mostly have addresses far from those of Services. External IPs and load
    /// balancer addresses are passed over: they are often those of nodes, where pods of the host's network have endpoints.
    pub(super) fn owner_of_address(&self, address: IpAddr) -> Option<&ObjectName> {
        let (lowest, highest) = if address.is_ipv4() { self.v4? } else { self.v6? };
        if address < lowest || address > highest {
            return None;
        }
        let first = self.at(address).find_map(|claimants| claimants.first().filter(is_cluster_ip));
        first.map(|first| &first.service)
    }

    /// Every Service that claims a port of this address, as whatever it has it.
    pub(super) fn claimants_of_address(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.at(address).flatten().map(|claimant| &claimant.service)
    }

    fn at(&self, address: IpAddr) -> impl Iterator<Item = &Vec<Claimant>> {
        let from = Frontend { address: SocketAddr::new(address, 0), protocol: Protocol::Tcp };
        let from = self.by_address.range(from..);
        from.take_while(move |(frontend, _)| frontend.address.ip() == address).map(|(_, claimants)| claimants)
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

fn claimant(service: &Service, kind: AddressKind) -> Claimant {
    let role = match kind {
        AddressKind::ClusterIp => Role::ClusterIp,
        AddressKind::LoadBalancer | AddressKind::ExternalIp | AddressKind::NodePort => Role::Further,
    };
    Claimant { role, created: service.created.unwrap_or(i64::MAX), service: service.name.clone() }
}

fn is_cluster_ip(claimant: &&Claimant) -> bool {
    claimant.role == Role::ClusterIp
}

/// What a Service claims: not what is switched off for every Service.
fn claimed(service: &Service, rules: &Rules) -> impl Iterator<Item = (Frontend, AddressKind)> {
    let served = dials(service, rules).into_iter().filter(|dial| dial.around != Some(Around::ExternalIp));
    let others = other_ports(service, rules).map(|frontend| (frontend, AddressKind::ClusterIp));
    served.map(|dial| (dial.dialled, dial.kind)).chain(others)
}
