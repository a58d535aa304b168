//! The table, the goals, and both as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use edgeloop_tests::cluster::{KubeProxy, ProxyMode};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

use super::contender::{Contender, Way};
use super::ports::Asked;
use super::samples::{Figure, Samples};

const P50: Figure = Figure::Quantile(0.5);
const P99: Figure = Figure::Quantile(0.99);

/// What is shown.
const ROWS: [(&str, Asked, Figure); 12] = [
    ("TCP connect, p50, µs", Asked::Connection, P50),
    ("TCP connect, p99, µs", Asked::Connection, P99),
    ("short TCP connections a second", Asked::Connection, Figure::PerSecond),
    ("request on a kept connection, p50, µs", Asked::Request, P50),
    ("request on a kept connection, p99, µs", Asked::Request, P99),
    ("requests a second", Asked::Request, Figure::PerSecond),
    ("UDP round trip, p50, µs", Asked::Datagram, P50),
    ("UDP round trip, p99, µs", Asked::Datagram, P99),
    ("UDP round trips a second", Asked::Datagram, Figure::PerSecond),
    ("DNS query, p50, µs", Asked::Query, P50),
    ("DNS query, p99, µs", Asked::Query, P99),
    ("DNS queries a second", Asked::Query, Figure::PerSecond),
];

#[derive(Serialize)]
pub(super) struct Report {
    kube_proxy: String,
    /// What it writes rules with, by its mode.
    pub(super) programs: BTreeMap<&'static str, String>,
    services: u32,
    rounds: usize,
    each: u32,
    rows: Vec<Row>,
    /// Microseconds of a TCP connect more than without a load balancer, p50.
    added: Vec<(&'static str, f64)>,
    /// Who answered how often, by contender and by what was asked for.
    answered: Vec<Answered>,
    /// The same once the contender was gone.
    pub(super) without: Vec<Answered>,
    goals: Vec<Goal>,
}

type Answered = (&'static str, BTreeMap<&'static str, BTreeMap<u8, u64>>);

#[derive(Serialize)]
struct Row {
    what: &'static str,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    contender: &'static str,
    value: f64,
    /// How many times that without a load balancer it is.
    of_none: f64,
}

impl Report {
    pub(super) fn new(contenders: &[Contender], services: u32, (rounds, each): (usize, u32)) -> Result<Self> {
        let all = All::of(contenders)?;
        let rows = ROWS.map(|(what, asked, figure)| all.row(what, asked, figure)).into();
        let names = contenders.iter().map(|contender| (contender.way.name(), all.added(contender.way)));
        Ok(Self {
            kube_proxy: KubeProxy::version()?,
            programs: BTreeMap::new(),
            services,
            rounds,
            each,
            rows,
            added: names.collect(),
            answered: contenders.iter().map(|one| (one.way.name(), one.answered())).collect(),
            without: Vec::new(),
            goals: all.goals(),
        })
    }

    pub(super) fn print(&self, output: Output) -> Result<()> {
        let text = match output {
            Output::Json => serde_json::to_string_pretty(self)?,
            Output::Table => self.text(),
        };
        writeln!(io::stdout(), "{text}").context("could not print")
    }

    fn text(&self) -> String {
        let Self { kube_proxy, programs, services, rounds, each, rows, added, answered: _, without, goals } =
            self;
        let programs: Vec<&str> = programs.values().map(String::as_str).collect();
        let added: Vec<String> = added.iter().map(|(name, time)| format!("{name} {time:.2}")).collect();
        let gone: Vec<&str> = without.iter().map(|(name, _)| *name).collect();
        format!(
            "{kube_proxy}; {}. 16 Services are dialled in turn, among {services} others; client and servers on one \
             processor.\nMedians over ten stretches of {rounds} interleaved rounds of {each}; behind each figure, how \
             many times that without a load balancer it is.\n\n{}\n\nA TCP connect, p50, µs more than none: {}.\n\
             Every answer came from a backend, and the backends counted as many. Without {}, only the decoy \
             answered.\n\n{}",
            programs.join("; "),
            table(rows),
            added.join(", "),
            gone.join(", "),
            goals::table(goals),
        )
    }
}

/// Who was measured.
struct All<'c> {
    none: &'c BTreeMap<Asked, Samples>,
    contenders: &'c [Contender],
}

impl<'c> All<'c> {
    fn of(contenders: &'c [Contender]) -> Result<Self> {
        let none = contenders.iter().find(|contender| contender.way == Way::Direct);
        Ok(Self { none: &none.context("nothing was measured without a load balancer")?.measured, contenders })
    }

    fn row(&self, what: &'static str, asked: Asked, figure: Figure) -> Row {
        let cell = |contender: &Contender| {
            let samples = &contender.measured[&asked];
            Cell {
                contender: contender.way.name(),
                value: samples.figure(figure),
                of_none: samples.ratio(&self.none[&asked], figure),
            }
        };
        Row { what, cells: self.contenders.iter().map(cell).collect() }
    }

    fn of_way(&self, way: Way) -> Option<&'c BTreeMap<Asked, Samples>> {
        self.contenders.iter().find(|contender| contender.way == way).map(|contender| &contender.measured)
    }

    fn added(&self, way: Way) -> f64 {
        let connects = |measured: &'c BTreeMap<Asked, Samples>| measured.get(&Asked::Connection);
        let both = self.of_way(way).and_then(connects).zip(connects(self.none));
        both.map_or(f64::NAN, |(own, none)| own.added(none, P50))
    }

    fn ratio(&self, asked: Asked, figure: Figure) -> f64 {
        let both = self.of_way(Way::Edgeloop).and_then(|ours| ours.get(&asked)).zip(self.none.get(&asked));
        both.map_or(f64::NAN, |(ours, none)| ours.ratio(none, figure))
    }

    fn goals(&self) -> Vec<Goal> {
        let ours = self.added(Way::Edgeloop);
        let modes = ProxyMode::ALL.into_iter().filter(|mode| self.of_way(Way::KubeProxy(*mode)).is_some());
        let mut goals: Vec<Goal> = modes
            .map(|mode| {
                let name = format!(
                    "TCP connect: time added over none, of what kube-proxy adds in {} mode",
                    mode.name()
                );
                Goal::at_most(0.2, name, ours / self.added(Way::KubeProxy(mode)))
            })
            .collect();
        goals.push(Goal::at_most(1.05, "TCP connect: p50, of none", self.ratio(Asked::Connection, P50)));
        goals.push(Goal::at_most(1.02, "DNS query: p99, of a direct one", self.ratio(Asked::Query, P99)));
        goals
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    let names = rows.iter().take(1).flat_map(|row| &row.cells).map(|cell| cell.contender);
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(std::iter::once("").chain(names.flat_map(|name| [name, ""])).collect::<Vec<_>>());
    for Row { what, cells } in rows {
        let mut line = vec![(*what).to_owned()];
        for Cell { contender, value, of_none } in cells {
            let is_base = *contender == Way::Direct.name();
            line.push(if *value < 1_000.0 { format!("{value:.2}") } else { format!("{value:.0}") });
            line.push(if is_base { String::new() } else { format!("{of_none:.3}x") });
        }
        table.add_row(line);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
