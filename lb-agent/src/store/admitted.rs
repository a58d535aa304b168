//! Which backends UDP sockets may stay connected to, by what they dialled.

use std::net::SocketAddr;

use crate::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use crate::select::admitted::admitted;
use crate::select::candidate::candidates;

use super::dials::{Dial, dials};
use super::ports::LeaveWhy;
use super::{Entry, Store};

/// What becomes of UDP sockets that dialled an address, and are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// They keep these backends, sorted, and no others.
    Backends(Box<[SocketAddr]>),
    /// They keep whatever they have: the address is left alone, or what decides was never read.
    Any,
}

impl Store {
    /// What becomes of UDP sockets at each address of the Service: nothing where it does not exist or does not count. `None` where
    /// it is not known whether it exists.
    #[must_use]
    pub fn admitted(&self, name: &ObjectName) -> Option<Vec<(Frontend, Admitted)>> {
        let Some(entry) = self.services.get(name) else {
            return self.is_absent(name).then(Vec::new);
        };
        if entry.service.ports.iter().all(|port| port.protocol != Protocol::Udp) {
            return Some(Vec::new());
        }
        let dials = dials(&entry.service, &self.rules).into_iter();
        let udp = dials.filter(|dial| dial.dialled.protocol == Protocol::Udp);
        Some(udp.filter_map(|dial| Some((dial.dialled, self.admitted_at(entry, &dial)?))).collect())
    }

    /// `None` where the address is another one's.
    fn admitted_at(&self, entry: &Entry, dial: &Dial<'_>) -> Option<Admitted> {
        match self.leaves(&entry.service, dial) {
            Some(LeaveWhy::Conflict(_) | LeaveWhy::Repeated { .. }) => return None,
            Some(_) => return Some(Admitted::Any),
            None => {}
        }
        let waits_for_node = entry.topology.reads_labels() && !self.knows_nodes();
        let waits = waits_for_node || self.waits_for_namespace(&entry.service);
        if waits || self.unknown(entry).is_some() {
            return Some(Admitted::Any);
        }
        let key = ServicePortKey {
            service: entry.service.name.clone(),
            port_name: dial.port.name.clone(),
            protocol: dial.port.protocol,
            family: Family::of(dial.dialled.address.ip()),
        };
        let mut all = candidates(self.slices_of(&entry.service.name), &key);
        all.retain(|candidate| self.claims.owner_of_address(candidate.backend.ip()).is_none());
        let backends = admitted(&entry.topology, self.rules.on_invalid, &self.nodes, &all);
        Some(Admitted::Backends(backends.into()))
    }
}
