//! What the pinned maps hold, by field, as the agent itself reads it back.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::datapath::generation::find;
use crate::datapath::maps::pinned::{PinnedMaps, folder_of};
use crate::model::{Frontend, ServicePortKey};
use crate::plan::cells::{Cell, Within};
use crate::plan::takeover::Takeover;
use crate::plan::{Held, Observed, Proof};
use crate::shown::shown;

/// All maps of the generation that is in use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Maps {
    generation: String,
    /// The most elements of each family, and the most entries of regions.
    max_frontends: u32,
    max_backends4: u32,
    max_backends6: u32,
    next_service_id: u32,
    /// How old what the maps hold is; `null` where no agent has said.
    seconds_since_in_sync: Option<u64>,
    max_stale_seconds: Option<u64>,
    clients: usize,
    skipped_pods: usize,
    outcomes: Vec<Count>,
    events: Vec<Count>,
    cells: Vec<NumberedCell>,
    /// Connections by service id and the number of their cell.
    counted: Vec<Counted>,
    names: Vec<Named>,
    elements: Vec<Element>,
}

#[derive(Debug, Serialize)]
struct Count {
    what: String,
    times: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NumberedCell {
    number: u16,
    client_pool: Option<String>,
    backend_pool: Option<String>,
    within: &'static str,
}

#[derive(Debug, Serialize)]
struct Counted {
    id: u32,
    cell: u16,
    connections: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    id: u32,
    namespace: String,
    service: String,
    port_name: String,
    protocol: &'static str,
    family: String,
}

#[derive(Debug, Serialize)]
struct Element {
    address: String,
    protocol: &'static str,
    id: u32,
    revision: u32,
    proof: &'static str,
    topology: bool,
    /// In the order of slots, each with the number of its cell.
    backends: Vec<(String, u16)>,
}

/// Reads them.
///
/// # Errors
/// Nothing is pinned below `pin_root`, or it is of another version, or cannot be read.
pub(super) fn maps(pin_root: &Path) -> anyhow::Result<Maps> {
    let name = match find(pin_root)?.takeover() {
        Takeover::Adopt(name) | Takeover::Finish(name) => name,
        Takeover::Make => bail!("nothing of Edgeloop is pinned at {}", pin_root.display()),
        Takeover::Replace(_) => bail!("programs of another version run over maps that this one cannot read"),
    };
    let maps = PinnedMaps::open(&folder_of(pin_root, name))?;
    let observed = maps.dump()?;
    let counters = maps.counters()?;
    let capacity = maps.capacity();
    let age = maps.staleness().context("could not read how old the maps are")?;
    let count = |what: &str, times: u64| Count { what: what.to_owned(), times };
    let counted = maps.counted()?.into_iter();
    Ok(Maps {
        generation: name.to_string(),
        max_frontends: capacity.frontends,
        max_backends4: capacity.backends.v4,
        max_backends6: capacity.backends.v6,
        next_service_id: observed.next_id,
        seconds_since_in_sync: age.map(|age| age.age.as_secs()),
        max_stale_seconds: age.and_then(|age| Some(age.max?.as_secs())),
        clients: maps.clients()?,
        skipped_pods: maps.skipped_pods()?,
        outcomes: counters.outcomes.iter().map(|(outcome, times)| count(outcome.label(), *times)).collect(),
        events: counters.events.iter().map(|(event, times)| count(event.label(), *times)).collect(),
        cells: observed.cells.iter().map(|(number, cell)| numbered(*number, cell)).collect(),
        counted: counted
            .map(|(key, connections)| Counted { id: key.service, cell: key.cell, connections })
            .collect(),
        names: names(&observed),
        elements: observed.services.iter().map(|(frontend, held)| element(frontend, held)).collect(),
    })
}

fn numbered(number: u16, cell: &Cell) -> NumberedCell {
    NumberedCell {
        number,
        client_pool: cell.client_pool.as_deref().map(shown),
        backend_pool: cell.backend_pool.as_deref().map(shown),
        within: match cell.within {
            Within::Any => "any-node",
            Within::Node => "own-node",
            Within::Pool => "own-pool",
            Within::Label => "label",
        },
    }
}

/// Those that can be read.
fn names(observed: &Observed) -> Vec<Named> {
    let known = observed.names.iter().filter_map(|(id, key)| Some((*id, key.as_ref()?)));
    let named = |(id, key): (u32, &ServicePortKey)| Named {
        id,
        namespace: shown(&key.service.namespace),
        service: shown(&key.service.name),
        port_name: shown(&key.port_name),
        protocol: key.protocol.label(),
        family: format!("{:?}", key.family),
    };
    known.map(named).collect()
}

fn element(frontend: &Frontend, held: &Held) -> Element {
    let Held { element, proof } = held;
    let backends = element.backends.iter();
    Element {
        address: frontend.address.to_string(),
        protocol: frontend.protocol.label(),
        id: element.owner.id,
        revision: element.owner.revision,
        proof: match proof {
            Proof::Proven => "proven",
            Proof::Unproven => "unproven",
        },
        topology: element.has_topology,
        backends: backends.map(|backend| (SocketAddr::from(backend).to_string(), backend.cell)).collect(),
    }
}
