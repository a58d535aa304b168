//! What the kernel should hold for the service ports at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::layout::CELL_SELF_TEST;

use crate::model::self_test::is_self_test;
use crate::model::{Frontend, ObjectName, Protocol, ServicePortKey};
use crate::select::decide::Decision;
use crate::select::nodes::NodeIndex;
use crate::select::topology::Topology;
use crate::store::{Disposition, Known, Port, Store};

use super::capacity::Capacity;
use super::cells::{Cell, Cells, Within};
use super::element::{Backend, INLINE};
use super::mirror::Mirror;

/// The most backends a service port can have: the count in the layout is 16 bits wide.
const MOST_BACKENDS: usize = u16::MAX as usize;

/// One element of the front end, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub key: ServicePortKey,
    pub has_topology: bool,
    /// Session affinity timeout in seconds; `None` without affinity.
    pub affinity: Option<u32>,
    /// Sorted, each once. None refuses.
    pub backends: Vec<Backend>,
    /// How many more there are than an element can count.
    pub excess: usize,
}

impl Desired {
    /// Refuses.
    const fn refusal(key: ServicePortKey) -> Self {
        Self { key, has_topology: false, affinity: None, backends: Vec::new(), excess: 0 }
    }
}

/// What every front-end element that the `dirty` Services concern should be; `None` where there
/// should be none. What is not named stays as it is.
///
/// All of them together, so that an address which one Service gives up and another takes is one
/// write, and `cells` numbers the cells that their backends count in. What a Service holds at an address stays while the store cannot decide there, or does
/// not know whether the Service exists.
#[must_use]
pub fn wanted(
    store: &Store,
    mirror: &Mirror,
    cells: &mut Cells,
    dirty: &BTreeSet<ObjectName>,
) -> BTreeMap<Frontend, Option<Desired>> {
    let mut wants: BTreeMap<Frontend, Option<Desired>> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for service in dirty {
        let held = mirror.frontends_of(service);
        if !store.has_service(service) && !store.is_absent(service) {
            kept.extend(held);
            continue;
        }
        for frontend in held {
            wants.entry(frontend).or_insert(None);
        }
        for port in store.ports(service) {
            let Some(frontend) = frontend(&port) else { continue };
            let decision = match &port.disposition {
                Disposition::Serve(decision) => Some(decision),
                Disposition::Keep { otherwise, .. }
                    if stays(mirror, &frontend, &port, otherwise.is_some(), &(cells, store.nodes())) =>
                {
                    kept.insert(frontend);
                    None
                }
                Disposition::Keep { otherwise, .. } => otherwise.as_ref(),
                Disposition::Leave(_) => None,
            };
            if let Some(decision) = decision {
                wants.insert(frontend, Some(want(&port, decision, store.nodes(), cells)));
            }
        }
        for (key, frontend) in store.refused_ports(service) {
            wants.insert(frontend, Some(Desired::refusal(key)));
        }
    }
    for frontend in kept {
        if wants.get(&frontend).is_some_and(Option::is_none) {
            wants.remove(&frontend);
        }
    }
    if store.known() == Known::All {
        for frontend in mirror.orphans() {
            wants.entry(*frontend).or_insert(None);
        }
    }
    wants
}

/// Whether what is held for `port` stays as it is. Not where it goes further than the topology that the Service has by now,
/// while something narrower can be written.
fn stays(
    mirror: &Mirror,
    frontend: &Frontend,
    port: &Port<'_>,
    has_other: bool,
    (cells, nodes): &(&mut Cells, &NodeIndex),
) -> bool {
    let Some(entry) = mirror.entries.get(frontend) else { return false };
    let is_its_own = entry.key.as_ref().is_some_and(|key| key.service == port.key.service);
    let is_asked_for = || {
        let numbers = entry.element.backends.iter().map(|backend| backend.cell).collect();
        entry.element.has_topology && cells.are_asked_for(&numbers, port.topology, nodes.own_pool())
    };
    is_its_own && (!has_other || *port.topology == Topology::None || is_asked_for())
}

/// The order of a pass: what is taken back makes room, what has a topology gets it first, what only refuses gets it last.
#[must_use]
pub fn topology_first(wants: BTreeMap<Frontend, Option<Desired>>) -> Vec<(Frontend, Option<Desired>)> {
    let mut ordered: Vec<_> = wants.into_iter().collect();
    ordered.sort_by_key(|(frontend, want)| {
        want.as_ref().map(|want| (!want.has_topology, frontend.is_other_ports()))
    });
    ordered
}

/// The key of `port` in the front end; `None` for what the front end has no key for.
fn frontend(port: &Port<'_>) -> Option<Frontend> {
    match port.dialled.protocol {
        Protocol::Tcp | Protocol::Udp => Some(port.dialled),
        Protocol::Sctp => None,
    }
}

fn want(port: &Port<'_>, decision: &Decision<'_>, nodes: &NodeIndex, cells: &mut Cells) -> Desired {
    let mut backends = if is_self_test(&port.key.service) {
        let chosen = decision.chosen.iter().map(|candidate| candidate.backend.into());
        chosen.map(|backend: Backend| Backend { cell: CELL_SELF_TEST, ..backend }).collect()
    } else {
        counted(decision, nodes, cells)
    };
    backends.sort_unstable();
    backends.dedup();
    let excess = backends.len().saturating_sub(MOST_BACKENDS);
    backends.truncate(MOST_BACKENDS);
    Desired {
        key: port.key.clone(),
        has_topology: *port.topology != Topology::None,
        affinity: port.service.affinity,
        backends,
        excess,
    }
}

/// The backends that were chosen, each with the cell that it counts in.
fn counted(decision: &Decision<'_>, nodes: &NodeIndex, cells: &mut Cells) -> Vec<Backend> {
    let within = Within::from(&decision.level);
    let mut last: Option<(Option<&Arc<str>>, u16)> = None;
    let chosen = decision.chosen.iter().map(|candidate| {
        let pool = candidate.node.and_then(|node| nodes.pool(node));
        let cell = match last {
            Some((same, cell)) if same == pool => cell,
            Some(_) | None => {
                let client_pool = nodes.own_pool().cloned();
                cells.number(&Cell { client_pool, backend_pool: pool.cloned(), within })
            }
        };
        last = Some((pool, cell));
        Backend { cell, ..candidate.backend.into() }
    });
    chosen.collect()
}

/// The room that all of `wants` together take.
#[must_use]
pub fn need(wants: &BTreeMap<Frontend, Option<Desired>>) -> Capacity {
    let mut need = Capacity::of(0, 0);
    for (frontend, want) in wants {
        let Some(want) = want else { continue };
        need.frontends += 1;
        let tail = want.backends.len().saturating_sub(INLINE);
        if tail > 0 {
            *need.backends.of_mut(frontend.family()) += tail.next_power_of_two() as u32;
        }
    }
    need
}
