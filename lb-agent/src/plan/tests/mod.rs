//! The plan's promises about order, room and what it takes over.

mod acts;
mod adopt;
mod model;
mod order;
mod room;
mod wants;

use std::collections::BTreeMap;

use crate::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use crate::plan::fake::Fake;

use super::{Backend, Capacity, Desired, Element, Maps, Mirror, Proof, Step};

/// The address of Service number `number`.
fn frontend(number: u8) -> Frontend {
    Frontend { address: std::net::SocketAddr::from(([10, 96, 0, number], 80)), protocol: Protocol::Tcp }
}

fn name(service: &str) -> ObjectName {
    ObjectName::new("default", service)
}

/// A Service with these backends, numbered.
fn want(service: &str, backends: impl IntoIterator<Item = u16>) -> Desired {
    let mut backends: Vec<Backend> = backends.into_iter().map(backend).collect();
    backends.sort_unstable();
    let key = ServicePortKey {
        service: name(service),
        port_name: "".into(),
        protocol: Protocol::Tcp,
        family: Family::V4,
    };
    Desired { key, has_topology: false, affinity: None, backends, excess: 0 }
}

fn with_topology(want: Desired) -> Desired {
    Desired { has_topology: true, ..want }
}

fn backend(number: u16) -> Backend {
    let [high, low] = number.to_be_bytes();
    Backend { ip: [10, 244, high, low].into(), port: 9376, cell: 0 }
}

/// The plan over maps in memory, both kept in step.
struct Bench {
    mirror: Mirror,
    maps: Fake,
}

impl Bench {
    fn new(frontends: u32, backends: u32) -> Self {
        let capacity = Capacity::of(frontends, backends);
        Self { mirror: Mirror::new(capacity, 1), maps: Fake::new(capacity) }
    }

    /// Brings one element to what is wanted.
    fn bring(&mut self, frontend: Frontend, want: Option<&Desired>) {
        for step in self.mirror.steps(frontend, want) {
            self.carry_out(step);
        }
    }

    /// The same over maps that someone has harmed: what is written along the way may dangle.
    fn bring_unchecked(&mut self, frontend: Frontend, want: &Desired) {
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

    /// The element of Service number `number`, proven.
    fn element(&self, number: u8) -> Option<Element> {
        let held = self.maps.held().services.remove(&frontend(number))?;
        assert_eq!(held.proof, Proof::Proven, "{held:?}");
        Some(held.element)
    }

    /// The backends that a connection to Service number `number` can get; `None`: untouched.
    fn backends(&self, number: u8) -> Option<Vec<u16>> {
        let mut backends: Vec<u16> = self.element(number)?.backends.iter().map(|at| number_of(&at)).collect();
        backends.sort_unstable();
        Some(backends)
    }

    fn names(&self) -> BTreeMap<u32, ServicePortKey> {
        self.maps.memory().names.clone()
    }
}

fn number_of(backend: &Backend) -> u16 {
    let std::net::IpAddr::V4(ip) = backend.ip else { panic!("{backend:?}") };
    u16::from_be_bytes([ip.octets()[2], ip.octets()[3]])
}

/// An element that points at what is not its own, or that the Bloom filter hides, if there is one.
fn dangling(maps: &Fake) -> Option<Frontend> {
    let is_broken = |(frontend, held): &(Frontend, super::Held)| {
        held.proof == Proof::Unproven || !maps.memory().admitted.contains(frontend)
    };
    maps.held().services.into_iter().find(is_broken).map(|(frontend, _)| frontend)
}
