//! Ours, set up as the agent does it: sizes, maps and programs by its datapath, elements by its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use anyhow::{Result, ensure};
use aya::maps::MapData;
use edgeloop_tests::Node;
use lb_agent::datapath::maps::bpf::Bpf;
use lb_agent::datapath::maps::pinned;
use lb_agent::datapath::programs::attach;
use lb_agent::datapath::programs::load::OBJECT;
use lb_agent::datapath::takeover::{Datapath, Opened};
use lb_agent::datapath::{cgroup, lock};
use lb_agent::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::skips::{Cgroups, Unwanted};
use lb_agent::plan::{self, Backend, Desired, Maps, Sizes};
use lb_common::layout::{Backend4, CATALOGUE, Frontend4};
use lb_common::outcome::Outcome;

use super::calls::Population;
use super::fdinfo;

/// The first of Kubernetes' range of node ports, and how many there are.
const NODE_PORTS: u16 = 30_000;
const MOST_NODE_PORTS: u32 = 2_768;
/// At which node ports are served.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 0, 1));
/// How many pods are left out.
const SKIPPED: u64 = 100;

/// The maps in hand, and the ids of the programs on the node.
pub(crate) struct Ours {
    maps: Bpf,
    pub(crate) programs: Programs,
}

/// Hooks, and the program that runs there.
pub(crate) type Programs = Vec<(String, u32)>;

/// Publishes `services` services of `each` backends, and attaches at the node's cgroup.
pub(crate) fn set_up(node: &Node, population: Population, services: u32, each: u32) -> Result<Ours> {
    let protocol = population.protocol();
    let wants: BTreeMap<Frontend, Option<Desired>> = (0..services)
        .map(|index| {
            let address = population.service(index);
            (Frontend { address, protocol }, Some(want(population, index, each)))
        })
        .chain((0..node_ports(population, services)).map(|index| {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), NODE_PORTS + index as u16);
            (Frontend { address, protocol }, Some(want(population, index, each)))
        }))
        .collect();
    let cgroup = cgroup::find(Some(node.cgroup()))?;
    let mut datapath = Datapath::new(lock::acquire(&node.pin_root())?, cgroup, OBJECT);
    let mut opened = datapath.make(Sizes::default().fresh(plan::need(&wants)), None)?;
    datapath.take_name(&mut opened.generation)?;
    let Opened { generation, mut maps, mirror: mut plan } = opened;
    match population {
        Population::NodePorts => maps.serve_node_ports_at(&BTreeSet::from([HOST]))?,
        Population::Skipping => _ = maps.skip(&others(), Unwanted::Stay)?,
        Population::Tcp | Population::Tcp6 | Population::Kept | Population::Udp => {}
    }
    for (frontend, want) in &wants {
        for step in plan.steps(*frontend, want.as_ref()) {
            for op in &step.ops {
                maps.write(op)?;
            }
            plan.commit(step);
        }
    }
    ensure!(plan.shortages().is_empty(), "the maps have no room for {services} services");
    datapath.attach(&generation)?;

    let attached = attach::attached(&node.pin_root(), None);
    let programs = attached.into_iter().map(|attached| (attached.hook.to_owned(), attached.program_id));
    Ok(Ours { maps, programs: programs.collect() })
}

impl Ours {
    /// How often the programs ended so.
    pub(crate) fn counted(&self, outcome: Outcome) -> Result<u64> {
        let counters = self.maps.counters()?;
        let found = counters.outcomes.iter().find(|(counted, _)| *counted == outcome);
        Ok(found.map_or(0, |(_, times)| *times))
    }
}

/// Bytes of kernel memory that all maps together take.
pub(crate) fn memory(pin_root: &Path) -> Result<u64> {
    let folder = pinned::folder(pin_root);
    let of = |pin: &str| fdinfo::memory(MapData::from_pin(folder.join(pin))?.fd());
    CATALOGUE.iter().map(|spec| of(spec.pin)).sum()
}

/// How many of the Services have one.
fn node_ports(population: Population, services: u32) -> u32 {
    if population == Population::NodePorts { services.min(MOST_NODE_PORTS) } else { 0 }
}

/// The cgroups of pods as a kubelet has them, in two depths: ids that no cgroup has.
fn others() -> Cgroups {
    (0..SKIPPED).map(|number| (u64::MAX - number, 2 + (number % 2) as u32)).collect()
}

fn want(population: Population, index: u32, each: u32) -> Desired {
    let backends = (0..each).map(|slot| population.backend(index, slot, each).into());
    let mut backends: Vec<Backend> = backends.collect();
    backends.sort_unstable();
    let key = ServicePortKey {
        service: ObjectName::new("bench", &format!("service-{index}")),
        port_name: "http".into(),
        protocol: population.protocol(),
        family: if population == Population::Tcp6 { Family::V6 } else { Family::V4 },
    };
    Desired { key, has_topology: false, affinity: population.affinity(), backends, excess: 0 }
}

/// As a key of the front end; the reference shapes have the same one.
pub(crate) fn frontend(address: SocketAddrV4, protocol: Protocol) -> Frontend4 {
    Frontend4 {
        address: address.ip().octets(),
        port: address.port().to_be_bytes(),
        protocol: protocol.number(),
        zero: 0,
    }
}

pub(crate) fn backend4(address: SocketAddrV4) -> Backend4 {
    Backend4 { address: address.ip().octets(), port: address.port().to_be_bytes(), place: 0 }
}
