//! The loop of several nodes as one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::loops::{CellView, LoopView, NotCovered, Reach, ServiceLoop};
use super::nodes::OfNode;

/// The loop of several nodes. Its JSON is that of one node, summed, with the nodes besides.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LoopOfNodes<T> {
    #[serde(flatten)]
    pub sum: LoopView,
    pub nodes: Vec<OfNode<T>>,
    /// Connections that were refused, by the pool of the nodes now.
    #[serde(skip)]
    pub refused_by_pool: BTreeMap<Option<String>, u64>,
}

/// The sum of the loops of several nodes: of no node, in no pool, and without a state.
#[must_use]
pub fn merged(loops: &[LoopView]) -> LoopView {
    let mut services: BTreeMap<Key<'_>, (Vec<&CellView>, u64)> = BTreeMap::new();
    for service in loops.iter().flat_map(|view| &view.services) {
        let (cells, refused) = services.entry(Key::of(service)).or_default();
        cells.extend(&service.cells);
        *refused = refused.saturating_add(service.refused);
    }
    let cells = sum(loops.iter().flat_map(|view| &view.cells));
    let outside = cells.iter().filter(|cell| cell.is_outside());
    let not_covered: BTreeSet<(&str, &str)> = loops
        .iter()
        .flat_map(|view| &view.not_covered)
        .map(|left| (left.service_port.as_str(), left.why.as_str()))
        .collect();
    LoopView {
        node: None,
        pool: None,
        state: None,
        outside: outside.fold(0, |all, cell| all.saturating_add(cell.connections)),
        cells,
        refused: loops.iter().fold(0, |all, view| all.saturating_add(view.refused)),
        services: services.into_iter().map(|(key, (cells, refused))| key.service(&cells, refused)).collect(),
        not_covered: not_covered
            .into_iter()
            .map(|(service_port, why)| NotCovered {
                service_port: service_port.to_owned(),
                why: why.to_owned(),
            })
            .collect(),
    }
}

/// Connections that were refused, by the pool that each node is in now.
#[must_use]
pub fn refused_by_pool(loops: &[LoopView]) -> BTreeMap<Option<String>, u64> {
    let mut refused = BTreeMap::<_, u64>::new();
    for view in loops.iter().filter(|view| view.refused > 0) {
        let sum = refused.entry(view.pool.clone()).or_default();
        *sum = sum.saturating_add(view.refused);
    }
    refused
}

/// Which service port, in the order of a list.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'v> {
    namespace: &'v str,
    service: &'v str,
    port_name: &'v str,
    protocol: &'v str,
    family: u8,
}

impl<'v> Key<'v> {
    fn of(of: &'v ServiceLoop) -> Self {
        let ServiceLoop { namespace, service, port_name, protocol, family, .. } = of;
        Self { namespace, service, port_name, protocol, family: *family }
    }

    fn service(&self, cells: &[&CellView], refused: u64) -> ServiceLoop {
        ServiceLoop {
            namespace: self.namespace.to_owned(),
            service: self.service.to_owned(),
            port_name: self.port_name.to_owned(),
            protocol: self.protocol.to_owned(),
            family: self.family,
            cells: sum(cells.iter().copied()),
            refused,
        }
    }
}

/// Cells that mean the same are one.
fn sum<'v>(cells: impl Iterator<Item = &'v CellView>) -> Vec<CellView> {
    let mut merged: BTreeMap<(&Option<String>, &Option<String>, Reach), u64> = BTreeMap::new();
    for cell in cells {
        let sum = merged.entry((&cell.client_pool, &cell.backend_pool, cell.within)).or_default();
        *sum = sum.saturating_add(cell.connections);
    }
    let cells = merged.into_iter();
    cells
        .map(|((client, backend, within), connections)| CellView {
            client_pool: client.clone(),
            backend_pool: backend.clone(),
            within,
            connections,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells are written `client>backend/reach=connections`, `-` for no pool.
    fn cells(text: &str) -> Vec<CellView> {
        let pool = |name: &str| (name != "-").then(|| name.to_owned());
        let cell = |text: &str| {
            let (client, rest) = text.split_once('>').unwrap();
            let (backend, rest) = rest.split_once('/').unwrap();
            let (reach, connections) = rest.split_once('=').unwrap();
            CellView {
                client_pool: pool(client),
                backend_pool: pool(backend),
                within: Reach::ALL.into_iter().find(|known| known.label() == reach).unwrap(),
                connections: connections.parse().unwrap(),
            }
        };
        text.split_whitespace().map(cell).collect()
    }

    fn text(cells: &[CellView]) -> String {
        let pool = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let cells = cells.iter().map(|cell| {
            let CellView { client_pool, backend_pool, within, connections } = cell;
            format!("{}>{}/{}={connections}", pool(client_pool), pool(backend_pool), within.label())
        });
        cells.collect::<Vec<_>>().join(" ")
    }

    fn view(pool: &str, all: &str, refused: u64) -> LoopView {
        LoopView { pool: Some(pool.to_owned()), cells: cells(all), refused, ..LoopView::default() }
    }

    #[test]
    fn cells_of_nodes_are_summed_and_one_outside_stays_outside() {
        for (shows, loops, sum, outside) in [
            ("of no node", vec![], "", 0),
            (
                "of one pool and of two",
                vec![
                    view("east", "east>east/own-pool=5", 0),
                    view("east", "east>east/own-pool=7 east>west/any-node=1", 0),
                    view("west", "west>west/own-pool=2", 0),
                ],
                "east>east/own-pool=12 east>west/any-node=1 west>west/own-pool=2",
                0,
            ),
            (
                "outside of what one topology allows, beside what another does",
                vec![
                    view("east", "east>west/any-node=1 east>west/own-pool=3", 0),
                    view("east", "east>west/own-pool=1", 0),
                ],
                "east>west/any-node=1 east>west/own-pool=4",
                4,
            ),
            (
                "numbers of untrusted nodes do not overflow",
                vec![
                    view("east", &format!("->-/own-node={}", u64::MAX), u64::MAX),
                    view("east", "->-/own-node=1", 1),
                ],
                "->-/own-node=18446744073709551615",
                0,
            ),
        ] {
            let merged = merged(&loops);
            assert_eq!((text(&merged.cells).as_str(), merged.outside), (sum, outside), "{shows}");
        }
    }

    #[test]
    fn services_are_summed_by_port_and_what_is_not_covered_is_said_once() {
        let service = |name: &str, family: u8, all: &str, refused: u64| ServiceLoop {
            namespace: "default".to_owned(),
            service: name.to_owned(),
            port_name: "http".to_owned(),
            protocol: "TCP".to_owned(),
            family,
            cells: cells(all),
            refused,
        };
        let left = |why: &str| NotCovered { service_port: "a/b".to_owned(), why: why.to_owned() };
        let mut one = view("east", "", 3);
        one.services = vec![service("web", 4, "east>east/own-pool=1", 3), service("web", 6, "", 1)];
        one.not_covered = vec![left("SCTP")];
        let mut other = view("west", "", 4);
        other.services = vec![service("web", 4, "west>west/own-pool=2 east>east/own-pool=1", 4)];
        other.not_covered = vec![left("SCTP"), left("excluded")];
        let all = [one, other];
        let sum = merged(&all);
        let services: Vec<(u8, String, u64)> =
            sum.services.iter().map(|of| (of.family, text(&of.cells), of.refused)).collect();
        assert_eq!(
            services,
            [(4, "east>east/own-pool=2 west>west/own-pool=2".to_owned(), 7), (6, String::new(), 1)]
        );
        assert_eq!(sum.not_covered, [left("SCTP"), left("excluded")]);
        assert_eq!(sum.refused, 7);
        let pool = |name: &str| Some(name.to_owned());
        assert_eq!(refused_by_pool(&all), BTreeMap::from([(pool("east"), 3), (pool("west"), 4)]));
    }
}
