//! The closed loop: how many connections went from which pool to which, as the kernel counted them. Pure.

use std::collections::BTreeMap;

use lb_common::layout::{CELL_REFUSED, CELL_SELF_TEST};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ServicePortKey;
use crate::plan::cells::{Cell, Counted, Within};
use crate::shown::shown;

use super::decisions::Action;
use super::services::Services;
use super::state::StateView;

/// What the maps hold of it.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub cells: BTreeMap<u16, Cell>,
    pub counted: Vec<(Counted, u64)>,
    /// What service ids mean.
    pub names: BTreeMap<u32, ServicePortKey>,
}

/// The loop of one node since its maps were made, which is its last boot or its first agent after that. Its JSON is an
/// interface: fields may be added, none may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoopView {
    /// `null` from the maps alone.
    pub node: Option<String>,
    /// The node's pool now; `null` without a pool label, and from the maps alone.
    pub pool: Option<String>,
    /// Where what decides comes from; `null` from the maps alone.
    pub state: Option<StateView>,
    /// Connections of all Services together, also of those that are gone.
    pub cells: Vec<CellView>,
    /// Connections that were refused, since there was no backend that the topology allows.
    pub refused: u64,
    /// Connections that left the pool or node that their topology keeps to: 0, or Edgeloop is wrong.
    pub outside: u64,
    /// By namespace, Service, port name and protocol; those with connections alone.
    pub services: Vec<ServiceLoop>,
    /// Service ports that are left as they are dialled, with the reason.
    pub not_covered: Vec<NotCovered>,
}

/// The connections of the clients of one pool to the backends of one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CellView {
    /// The pool that this node was in when they were made; `null` for none.
    pub client_pool: Option<String>,
    /// The pool of the backends' nodes; `null` for none, and for backends on no known node.
    pub backend_pool: Option<String>,
    pub within: Reach,
    pub connections: u64,
}

/// How far the topology let connections go when they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// To every node: no topology, or one that allows it.
    AnyNode,
    /// To the client's own node.
    OwnNode,
    /// To the client's own pool.
    OwnPool,
    /// To the nodes with the same value of another label.
    Label,
    /// It is not known: there were more cells than can be numbered.
    Unknown,
}

impl Reach {
    pub const ALL: [Self; 5] = [Self::AnyNode, Self::OwnNode, Self::OwnPool, Self::Label, Self::Unknown];

    /// As in JSON, and as a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AnyNode => "any-node",
            Self::OwnNode => "own-node",
            Self::OwnPool => "own-pool",
            Self::Label => "label",
            Self::Unknown => "unknown",
        }
    }
}

/// The connections of one service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceLoop {
    pub namespace: String,
    pub service: String,
    pub port_name: String,
    pub protocol: String,
    /// 4 or 6.
    pub family: u8,
    pub cells: Vec<CellView>,
    pub refused: u64,
}

/// A service port that the loop does not hold.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotCovered {
    pub service_port: String,
    pub why: String,
}

impl CellView {
    /// Whether connections left the pool that the topology keeps to.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self.within, Reach::OwnNode | Reach::OwnPool) && self.client_pool != self.backend_pool
    }

    /// Whether the topology keeps them to the pool or to less.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self.within, Reach::OwnNode | Reach::OwnPool)
    }
}

/// The loop, from what the agent says of its Services (`None`: no agent was asked) and what the maps hold.
#[must_use]
pub fn loop_view(services: Option<&Services>, counts: &Counts) -> LoopView {
    let mut sum = Row::default();
    let mut by_service: BTreeMap<&ServicePortKey, Row> = BTreeMap::new();
    for (key, connections) in counts.counted.iter().filter(|(key, _)| key.cell != CELL_SELF_TEST) {
        sum.add(key.cell, *connections);
        if let Some(name) = counts.names.get(&key.service) {
            by_service.entry(name).or_default().add(key.cell, *connections);
        }
    }
    let cells = sum.cells(&counts.cells);
    let outside = cells.iter().filter(|cell| cell.is_outside()).map(|cell| cell.connections).sum();
    LoopView {
        node: services.map(|services| services.node.clone()),
        pool: services.and_then(|services| services.pool.clone()),
        state: services.map(|services| services.state.clone()),
        cells,
        refused: sum.refused,
        outside,
        services: by_service.into_iter().map(|(key, row)| of_service(key, &row, &counts.cells)).collect(),
        not_covered: services.map(not_covered).unwrap_or_default(),
    }
}

/// Connections by the number of their cell.
#[derive(Default)]
struct Row {
    by_cell: BTreeMap<u16, u64>,
    refused: u64,
}

impl Row {
    fn add(&mut self, cell: u16, connections: u64) {
        if cell == CELL_REFUSED {
            self.refused += connections;
        } else {
            *self.by_cell.entry(cell).or_default() += connections;
        }
    }

    /// Those with connections. Numbers that mean the same are one.
    fn cells(&self, known: &BTreeMap<u16, Cell>) -> Vec<CellView> {
        let mut merged: BTreeMap<(Option<String>, Option<String>, Reach), u64> = BTreeMap::new();
        for (number, connections) in self.by_cell.iter().filter(|(_, connections)| **connections > 0) {
            let key = known.get(number).map_or((None, None, Reach::Unknown), |cell| {
                let pool = |pool: &Option<std::sync::Arc<str>>| pool.as_deref().map(shown);
                (pool(&cell.client_pool), pool(&cell.backend_pool), cell.within.into())
            });
            *merged.entry(key).or_default() += connections;
        }
        let cells = merged.into_iter();
        cells
            .map(|((client_pool, backend_pool, within), connections)| CellView {
                client_pool,
                backend_pool,
                within,
                connections,
            })
            .collect()
    }
}

impl From<Within> for Reach {
    fn from(within: Within) -> Self {
        match within {
            Within::Any => Self::AnyNode,
            Within::Node => Self::OwnNode,
            Within::Pool => Self::OwnPool,
            Within::Label => Self::Label,
        }
    }
}

fn of_service(key: &ServicePortKey, row: &Row, known: &BTreeMap<u16, Cell>) -> ServiceLoop {
    ServiceLoop {
        namespace: shown(&key.service.namespace),
        service: shown(&key.service.name),
        port_name: shown(&key.port_name),
        protocol: key.protocol.label().to_owned(),
        family: match key.family {
            crate::model::Family::V4 => 4,
            crate::model::Family::V6 => 6,
        },
        cells: row.cells(known),
        refused: row.refused,
    }
}

fn not_covered(services: &Services) -> Vec<NotCovered> {
    let left = services.service_ports.iter().filter(|port| port.outcome == Action::Leave);
    left.map(|port| NotCovered {
        service_port: format!("{}/{} at {}", port.namespace, port.service, port.address),
        why: port.why.clone().unwrap_or_default(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, ObjectName, Protocol};

    fn cell(client: &str, backend: &str, within: Within) -> Cell {
        let pool = |name: &str| (!name.is_empty()).then(|| name.into());
        Cell { client_pool: pool(client), backend_pool: pool(backend), within }
    }

    fn key(name: &str) -> ServicePortKey {
        ServicePortKey {
            service: ObjectName::new("default", name),
            port_name: "http".into(),
            protocol: Protocol::Tcp,
            family: Family::V4,
        }
    }

    fn counts(counted: &[(u32, u16, u64)]) -> Counts {
        Counts {
            cells: [
                (1, cell("east", "east", Within::Pool)),
                (2, cell("east", "west", Within::Any)),
                (3, cell("east", "west", Within::Pool)),
                (4, cell("east", "east", Within::Pool)),
                (5, cell("", "", Within::Node)),
                (6, cell("east", "west", Within::Label)),
            ]
            .into(),
            counted: counted
                .iter()
                .map(|(service, cell, connections)| {
                    (Counted { service: *service, cell: *cell }, *connections)
                })
                .collect(),
            names: [(7, key("web")), (8, key("db"))].into(),
        }
    }

    fn seen(cells: &[CellView]) -> Vec<String> {
        let name = |pool: &Option<String>| pool.clone().unwrap_or_else(|| "-".to_owned());
        cells
            .iter()
            .map(|cell| {
                let (client, backend) = (name(&cell.client_pool), name(&cell.backend_pool));
                let mark = if cell.is_outside() { " outside" } else { "" };
                format!("{client} {backend} {:?} {}{mark}", cell.within, cell.connections)
            })
            .collect()
    }

    #[test]
    fn connections_are_summed_by_cell_and_by_service_and_those_of_services_that_are_gone_count() {
        let view = loop_view(
            None,
            &counts(&[
                (7, 1, 10),
                (7, 2, 3),
                (8, 4, 5),
                (0, 1, 100),
                (9, 2, 1),
                (7, CELL_REFUSED, 4),
                (0, 0, 2),
            ]),
        );
        assert_eq!(
            seen(&view.cells),
            ["- - Unknown 2", "east east OwnPool 115", "east west AnyNode 4"],
            "of numbers that mean the same one cell is made"
        );
        assert_eq!((view.refused, view.outside), (4, 0));
        let services: Vec<(&str, Vec<String>, u64)> =
            view.services.iter().map(|of| (of.service.as_str(), seen(&of.cells), of.refused)).collect();
        assert_eq!(
            services,
            [
                ("db", vec!["east east OwnPool 5".to_owned()], 0),
                ("web", vec!["east east OwnPool 10".to_owned(), "east west AnyNode 3".to_owned()], 4),
            ]
        );
    }

    #[test]
    fn the_agents_test_of_itself_is_no_connection() {
        assert_eq!(
            loop_view(None, &counts(&[(6, CELL_SELF_TEST, 9), (0, CELL_SELF_TEST, 2)])),
            LoopView::default()
        );
    }

    #[test]
    fn a_reach_has_one_word() {
        for reach in Reach::ALL {
            assert_eq!(serde_json::to_value(reach).unwrap(), reach.label());
        }
    }

    #[test]
    fn outside_is_what_left_the_pool_that_its_topology_keeps_to() {
        for (shows, cell, outside) in [
            ("the own pool", 1, 0),
            ("another pool, which no topology forbids", 2, 0),
            ("another pool, which a label allows", 6, 0),
            ("a node without a pool is a pool of its own", 5, 0),
            ("another pool in spite of the topology", 3, 9),
        ] {
            assert_eq!(loop_view(None, &counts(&[(7, cell, 9)])).outside, outside, "{shows}");
        }
    }
}
