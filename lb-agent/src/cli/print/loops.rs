//! The loop as a person reads it: from which pool to which. Pure.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table, presets};

use super::{lines, nodes};
use crate::view::loops::{CellView, LoopView, ServiceLoop};
use crate::view::loops_merged::LoopOfNodes;

/// Pools that get a column of their own; the others are one column.
const MOST_COLUMNS: usize = 12;
/// In place of a pool's name.
const NO_POOL: &str = "(no pool)";
const OTHER: &str = "(other pools)";

/// A matrix in sum, a line a Service, and what is not covered.
#[must_use]
pub fn text(view: &LoopView) -> String {
    let head = match &view.node {
        Some(node) => {
            let place =
                view.pool.as_deref().map_or_else(|| "in no pool".to_owned(), |pool| format!("pool {pool}"));
            let state =
                view.state.as_ref().map(|state| format!("; {}", state.describe())).unwrap_or_default();
            format!("node {node}, {place}{state}")
        }
        None => "From the maps alone: no agent was asked.".to_owned(),
    };
    let refused = view.node.iter().map(|_| (view.pool.clone(), view.refused)).collect();
    lines(&format!("{head}\n\n{}", body(view, &refused)))
}

/// The same of several nodes.
#[must_use]
pub fn text_of_nodes<T>(view: &LoopOfNodes<T>) -> String {
    let LoopOfNodes { sum, nodes: of, refused_by_pool } = view;
    lines(&format!("{}\n\n{}{}", nodes::counted(of), body(sum, refused_by_pool), nodes::without_answer(of)))
}

/// `refused` are the connections that were refused, by the pool that a node is in now.
fn body(view: &LoopView, refused: &BTreeMap<Option<String>, u64>) -> String {
    let mut out = String::new();
    if view.cells.is_empty() && view.refused == 0 {
        out += "No connection to a Service was counted yet.\n";
    } else {
        out += &matrix(view, refused);
        out += &verdict(view);
        out += &by_service(view);
    }
    if !view.not_covered.is_empty() {
        out += "\nNot covered, since they are left as they are dialled:\n";
    }
    for left in &view.not_covered {
        out += &format!("  {}: {}\n", left.service_port, left.why);
    }
    out
}

/// Client pools down, backend pools across.
fn matrix(view: &LoopView, refused: &BTreeMap<Option<String>, u64>) -> String {
    let columns = Columns::of(&view.cells);
    let mut table = columns.table(&["CLIENT POOL"]);
    let mut clients: BTreeSet<&Option<String>> = view.cells.iter().map(|cell| &cell.client_pool).collect();
    clients.extend(refused.iter().filter(|(_, times)| **times > 0).map(|(pool, _)| pool));
    for client in clients {
        let cells: Vec<&CellView> = view.cells.iter().filter(|cell| cell.client_pool == *client).collect();
        let refused = refused.get(client).copied().unwrap_or_default();
        let name = client.as_deref().unwrap_or(NO_POOL).to_owned();
        table.add_row([vec![name], columns.counts(&cells), vec![number(refused)]].concat());
    }
    finished(table, 1)
}

/// Whether the loop is closed, in words.
fn verdict(view: &LoopView) -> String {
    let sum = |kept: bool| {
        let cells = view.cells.iter().filter(|cell| cell.is_kept() == kept);
        cells.map(|cell| cell.connections).sum::<u64>()
    };
    let mut out = String::from("\n");
    if view.outside == 0 {
        out += &format!(
            "The loop is closed: of {} connections whose topology keeps them to the pool or the node, none left it.\n",
            grouped(sum(true))
        );
    } else {
        out += &format!(
            "THE LOOP IS OPEN: {} of {} connections left the pool that their topology keeps them to. Please report it.\n",
            grouped(view.outside),
            grouped(sum(true))
        );
    }
    if sum(false) > 0 {
        out += &format!(
            "{} more were of Services whose topology allows other pools, or that have none.\n",
            grouped(sum(false))
        );
    }
    if view.refused > 0 {
        out += &format!("{} were refused: `lb-agent explain SERVICE` says why.\n", grouped(view.refused));
    }
    out
}

fn by_service(view: &LoopView) -> String {
    if view.services.is_empty() {
        return String::new();
    }
    let columns = Columns::of(&view.cells);
    let mut table = columns.table(&["SERVICE", "PROTOCOL"]);
    for service in &view.services {
        let cells: Vec<&CellView> = service.cells.iter().collect();
        let protocol = match service.family {
            6 => format!("{} IPv6", service.protocol),
            _ => service.protocol.clone(),
        };
        let refused = number(service.refused);
        table.add_row([vec![name(service), protocol], columns.counts(&cells), vec![refused]].concat());
    }
    format!("\n{}", finished(table, 2))
}

fn name(service: &ServiceLoop) -> String {
    let ServiceLoop { namespace, service, port_name, .. } = service;
    if port_name.is_empty() {
        format!("{namespace}/{service}")
    } else {
        format!("{namespace}/{service}:{port_name}")
    }
}

/// Which backend pool stands in which column.
struct Columns<'v> {
    pools: Vec<&'v Option<String>>,
    /// The pools without a column are one.
    has_others: bool,
}

impl<'v> Columns<'v> {
    fn of(cells: &'v [CellView]) -> Self {
        let pools: BTreeSet<&Option<String>> = cells.iter().map(|cell| &cell.backend_pool).collect();
        let has_others = pools.len() > MOST_COLUMNS;
        Self { pools: pools.into_iter().take(MOST_COLUMNS).collect(), has_others }
    }

    fn table(&self, first: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let pools = self.pools.iter().map(|pool| pool.as_deref().unwrap_or(NO_POOL));
        let others = self.has_others.then_some(OTHER);
        table.set_header(first.iter().copied().chain(pools).chain(others).chain(["refused"]));
        table
    }

    fn counts(&self, cells: &[&CellView]) -> Vec<String> {
        let of = |is_in: &dyn Fn(&CellView) -> bool| {
            let there: Vec<&&CellView> = cells.iter().filter(|cell| is_in(cell)).collect();
            let sum = number(there.iter().map(|cell| cell.connections).sum());
            if there.iter().any(|cell| cell.is_outside()) { format!("{sum} OUTSIDE") } else { sum }
        };
        let mut counts: Vec<String> =
            self.pools.iter().map(|pool| of(&|cell: &CellView| cell.backend_pool == **pool)).collect();
        if self.has_others {
            counts.push(of(&|cell: &CellView| !self.pools.contains(&&cell.backend_pool)));
        }
        counts
    }
}

/// Numbers to the right, past the first `names` columns.
fn finished(mut table: Table, names: usize) -> String {
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n"
}

fn number(connections: u64) -> String {
    if connections == 0 { ".".to_owned() } else { grouped(connections) }
}

/// With a comma after every third digit.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::loops::{NotCovered, Reach};

    fn cell(backend: Option<&str>, within: Reach, connections: u64) -> CellView {
        let pool = |name: &str| Some(name.to_owned());
        CellView { client_pool: pool("hangzhou"), backend_pool: backend.and_then(pool), within, connections }
    }

    fn view(cells: Vec<CellView>, refused: u64, outside: u64) -> LoopView {
        let service = ServiceLoop {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            port_name: "http".to_owned(),
            protocol: "TCP".to_owned(),
            family: 4,
            cells: cells.clone(),
            refused,
        };
        LoopView {
            node: Some("n1".to_owned()),
            pool: Some("hangzhou".to_owned()),
            cells,
            refused,
            outside,
            services: vec![service],
            ..LoopView::default()
        }
    }

    #[test]
    fn a_closed_loop_is_a_matrix_and_a_sentence() {
        let cells = vec![
            cell(Some("hangzhou"), Reach::OwnPool, 1_234_567),
            cell(Some("shanghai"), Reach::AnyNode, 17),
            cell(None, Reach::AnyNode, 1),
        ];
        let mut view = view(cells, 3, 0);
        view.not_covered = vec![NotCovered {
            service_port: "default/old at 10.96.0.9:80".to_owned(),
            why: "it is excluded".to_owned(),
        }];
        assert_eq!(
            text(&view),
            "\
node n1, pool hangzhou

 CLIENT POOL  (no pool)   hangzhou  shanghai  refused
 hangzhou             1  1,234,567        17        3

The loop is closed: of 1,234,567 connections whose topology keeps them to the pool or the node, none left it.
18 more were of Services whose topology allows other pools, or that have none.
3 were refused: `lb-agent explain SERVICE` says why.

 SERVICE           PROTOCOL  (no pool)   hangzhou  shanghai  refused
 default/web:http  TCP               1  1,234,567        17        3

Not covered, since they are left as they are dialled:
  default/old at 10.96.0.9:80: it is excluded
"
        );
    }

    #[test]
    fn an_open_loop_is_said_loudly() {
        let open = text(&view(vec![cell(Some("shanghai"), Reach::OwnPool, 9)], 0, 9));
        assert!(open.contains("THE LOOP IS OPEN: 9 of 9 connections"), "{open}");
        assert!(open.contains("9 OUTSIDE"), "{open}");
        let none = text(&LoopView::default());
        assert_eq!(
            none,
            "From the maps alone: no agent was asked.\n\nNo connection to a Service was counted yet.\n"
        );
    }

    #[test]
    fn many_pools_are_one_column_past_the_first_twelve() {
        let cells = (0..20).map(|pool| cell(Some(&format!("p{pool:02}")), Reach::AnyNode, 1)).collect();
        let many = text(&view(cells, 0, 0));
        assert!(many.lines().nth(2).unwrap().contains("p11  (other pools)"), "{many}");
        assert!(many.lines().nth(3).unwrap().ends_with("8        ."), "{many}");
    }
}
