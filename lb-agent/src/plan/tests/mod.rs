//! The plan's promises about order, room and what it takes over.

mod adopt;
mod order;
mod room;
mod wants;

use std::collections::BTreeMap;

use lb_common::layout::{Backend4, FLAG_TOPOLOGY, Frontend4};

use crate::model::{Family, ObjectName, Protocol, ServicePortKey};
use crate::plan::Maps;
use crate::plan::fake::Fake;

use super::{Capacity, Desired, Mirror, Step};

/// The address of Service number `number`.
fn frontend(number: u8) -> Frontend4 {
    Frontend4 { address: [10, 96, 0, number], port: [0, 80], protocol: 6, zero: 0 }
}

fn name(service: &str) -> ObjectName {
    ObjectName::new("default", service)
}

/// A Service with these backends, numbered.
fn want(service: &str, backends: impl IntoIterator<Item = u16>) -> Desired {
    let mut backends: Vec<Backend4> = backends.into_iter().map(backend).collect();
    backends.sort_unstable();
    let key = ServicePortKey {
        service: name(service),
        port_name: "".into(),
        protocol: Protocol::Tcp,
        family: Family::V4,
    };
    Desired { key, flags: 0, affinity: 0, backends }
}

fn with_topology(want: Desired) -> Desired {
    Desired { flags: FLAG_TOPOLOGY, ..want }
}

fn backend(number: u16) -> Backend4 {
    let [high, low] = number.to_be_bytes();
    Backend4 { address: [10, 244, high, low], port: [0x24, 0xa0], pool: 0 }
}

/// The plan over maps in memory, both kept in step.
struct Bench {
    mirror: Mirror,
    maps: Fake,
}

impl Bench {
    fn new(frontends: u32, backends: u32) -> Self {
        let capacity = Capacity { frontends, backends };
        Self { mirror: Mirror::new(capacity, 1), maps: Fake::new(capacity) }
    }

    /// Brings one element to what is wanted.
    fn bring(&mut self, frontend: Frontend4, want: Option<&Desired>) {
        for step in self.mirror.steps(frontend, want) {
            self.carry_out(step);
        }
    }

    /// The same over maps that someone has harmed: what is written along the way may dangle.
    fn bring_unchecked(&mut self, frontend: Frontend4, want: &Desired) {
        for step in self.mirror.steps(frontend, Some(want)) {
            for op in &step.ops {
                self.maps.write(op).unwrap();
            }
            self.mirror.commit(step);
        }
    }

    fn carry_out(&mut self, step: Step) {
        for op in &step.ops {
            self.maps.write(op).unwrap();
            assert_eq!(dangling(&self.maps), None, "after {op:?}");
        }
        self.mirror.commit(step);
    }

    fn grace(&mut self) {
        while let Some(age) = self.mirror.start_grace() {
            self.mirror.release(age);
        }
    }

    /// The backends that a connection to Service number `number` can get; `None`: untouched.
    fn backends(&self, number: u8) -> Option<Vec<u16>> {
        let held = self.maps.held();
        let service = held.services.get(&frontend(number))?;
        let inline = usize::from(service.count).min(6);
        let mut backends: Vec<u16> = service.inline[..inline]
            .iter()
            .chain(&held.tail(service).unwrap())
            .map(|backend| u16::from_be_bytes([backend.address[2], backend.address[3]]))
            .collect();
        backends.sort_unstable();
        Some(backends)
    }

    fn names(&self) -> BTreeMap<u32, ServicePortKey> {
        let held = self.maps.held();
        held.names.keys().map(|id| (*id, held.key(*id).unwrap())).collect()
    }
}

/// An element that points at what is not its own, if there is one.
fn dangling(maps: &Fake) -> Option<Frontend4> {
    let held = maps.held();
    let broken = |frontend: &Frontend4| {
        let service = &held.services[frontend];
        let proven = lb_common::element::check::<lb_common::family::V4>(frontend, service) == service.check;
        !proven || held.tail(service).is_none()
    };
    held.services.keys().find(|frontend| broken(frontend)).copied()
}
