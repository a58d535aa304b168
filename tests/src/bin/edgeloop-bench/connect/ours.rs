//! Ours, set up as the agent does it: maps and programs by its loader, elements by its plan.

use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use edgeloop_tests::Node;
use lb_agent::datapath::bpf::Bpf;
use lb_agent::datapath::load::{OBJECT, Programs, load};
use lb_agent::datapath::{Maps, attach, cgroup, pinned};
use lb_agent::model::{Family, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::{Limits, Plan, Want};
use lb_common::layout::{Backend4, CATALOGUE, Frontend4, INLINE_BACKENDS};
use lb_common::outcome::Outcome;

use super::{dials, fdinfo};

pub(crate) struct Ours {
    pub(crate) bpf: Bpf,
    pub(crate) programs: Programs,
}

/// Maps with `services` services of `each` backends, and the programs over them, not attached yet.
pub(crate) fn set_up(node: &Node, services: u32, each: u32) -> Result<Ours> {
    let folder = pinned::folder(&node.pin_root());
    let limits = sized(services, services * each.saturating_sub(INLINE_BACKENDS as u32));
    let programs = load(OBJECT, &folder, limits)?;
    let mut bpf = Bpf::open(&folder)?;
    let mut plan = Plan::new(limits, bpf.next_id());
    for index in 0..services {
        let want = want(index, each);
        for step in plan.steps(frontend(dials::service(index)), Some(&want)) {
            for op in &step.ops {
                bpf.write(op)?;
            }
            plan.commit(step);
        }
    }
    ensure!(plan.short().is_empty(), "the maps have no room for {services} services");
    Ok(Ours { bpf, programs })
}

/// Attaches at the node's cgroup, and gives the id of the program that connect(2) over IPv4 runs.
pub(crate) fn attach(node: &Node, programs: &mut Programs) -> Result<u32> {
    attach::attach(programs, &node.pin_root(), &cgroup::find(Some(node.cgroup()))?)?;
    let attached = attach::attached(&node.pin_root(), None);
    let connect4 = attached.iter().find(|attached| attached.hook == "connect4");
    Ok(connect4.context("nothing is attached at connect4")?.program_id)
}

/// How often a program ended so.
pub(crate) fn counted(bpf: &Bpf, outcome: Outcome) -> Result<u64> {
    let counters = bpf.counters()?;
    let found = counters.outcomes.iter().find(|(counted, _)| *counted == outcome);
    Ok(found.map_or(0, |(_, times)| *times))
}

/// Bytes of kernel memory that all maps together take.
pub(crate) fn memory(pin_root: &Path) -> Result<u64> {
    let folder = pinned::folder(pin_root);
    let of = |pin: &str| fdinfo::memory(MapData::from_pin(folder.join(pin))?.fd());
    CATALOGUE.iter().map(|spec| of(spec.pin)).sum()
}

/// The agent's rule: room to grow by half, in powers of two, and not below what a small cluster
/// may become.
fn sized(frontends: u32, region_entries: u32) -> Limits {
    Limits {
        frontends: (frontends * 3 / 2).next_power_of_two().max(16_384),
        backends: (region_entries * 2).next_power_of_two().max(65_536),
    }
}

fn want(index: u32, each: u32) -> Want {
    let backends = (0..each).map(|slot| backend4(dials::backend(index, slot, each)));
    let mut backends: Vec<Backend4> = backends.collect();
    backends.sort_unstable();
    let key = ServicePortKey {
        service: ObjectName::new("bench", &format!("service-{index}")),
        port_name: "http".into(),
        protocol: Protocol::Tcp,
        family: Family::V4,
    };
    Want { key, flags: 0, affinity: 0, backends }
}

/// As a key of the front end; the reference shapes have the same one.
pub(crate) fn frontend(address: SocketAddrV4) -> Frontend4 {
    Frontend4 {
        address: address.ip().octets(),
        port: address.port().to_be_bytes(),
        protocol: 6, // TCP
        zero: 0,
    }
}

pub(crate) fn backend4(address: SocketAddrV4) -> Backend4 {
    Backend4 { address: address.ip().octets(), port: address.port().to_be_bytes(), pool: 0 }
}
