//! The table, the goals, and both as JSON.

use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

use super::Scenario;
use super::contender::{SHAPES, Shape};
use super::dials::Target;
use super::memory::Weight;

/// Nanoseconds a run of one scenario, round by round.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    rounds: [Vec<f64>; SHAPES.len()],
}

impl Measured {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self { scenario, rounds: Default::default() }
    }

    pub(crate) fn add(&mut self, shape: Shape, nanoseconds: f64) {
        self.rounds[shape as usize].push(nanoseconds);
    }

    fn gross(&self, shape: Shape) -> f64 {
        median(&self.rounds[shape as usize])
    }

    fn net(&self, shape: Shape) -> f64 {
        self.gross(shape) - self.gross(Shape::Empty)
    }

    fn net_to(&self, other: Shape) -> f64 {
        self.net(Shape::Ours) / self.net(other)
    }

    fn name(&self) -> String {
        let services = thousands(self.scenario.services.into());
        match self.scenario.target {
            Target::Service => format!("hit, {services}"),
            Target::Unused => format!("miss inside of the service range, {services}"),
            Target::Elsewhere => format!("miss elsewhere, {services}"),
        }
    }

    fn row(&self) -> Row {
        Row {
            scenario: self.name(),
            services: self.scenario.services,
            shapes: SHAPES.map(|shape| Cell {
                shape: shape.name(),
                gross: self.gross(shape),
                net: self.net(shape),
                rounds: self.rounds[shape as usize].clone(),
            }),
            to_three_hashes: self.net_to(Shape::ThreeHashes),
            to_trie: self.net_to(Shape::Trie),
            to_empty_gross: self.gross(Shape::Ours) / self.gross(Shape::Empty),
        }
    }

    fn goals(&self) -> Vec<Goal> {
        let name = self.name();
        let beside = |limit, shape: Shape| {
            Goal::at_most(limit, format!("{name}: net, beside {}", shape.name()), self.net_to(shape))
        };
        let hit = |limit| vec![beside(limit, Shape::ThreeHashes), beside(limit, Shape::Trie)];
        match (self.scenario.target, self.scenario.services) {
            (Target::Service, 1) => hit(0.2),
            (Target::Service, 10_000) => hit(0.25),
            (Target::Service, 50_000) => hit(0.3),
            (Target::Service, _) => Vec::new(),
            (Target::Unused, _) => vec![beside(0.4, Shape::Trie)],
            (Target::Elsewhere, _) => {
                let value = self.gross(Shape::Ours) / self.gross(Shape::Empty);
                vec![Goal::at_most(1.3, format!("{name}: gross, beside an empty program"), value)]
            }
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Report {
    rounds: usize,
    dials_per_round: u32,
    /// Nanoseconds a run: medians over the rounds.
    rows: Vec<Row>,
    memory: Vec<Weight>,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Row {
    scenario: String,
    services: u32,
    shapes: [Cell; SHAPES.len()],
    #[serde(rename = "net_beside_r1")]
    to_three_hashes: f64,
    #[serde(rename = "net_beside_r2")]
    to_trie: f64,
    #[serde(rename = "gross_beside_empty")]
    to_empty_gross: f64,
}

#[derive(Serialize)]
struct Cell {
    shape: &'static str,
    gross: f64,
    net: f64,
    rounds: Vec<f64>,
}

impl Report {
    pub(crate) fn new(rounds: usize, dials: u32, measured: &[Measured], memory: Vec<Weight>) -> Self {
        let mut goals: Vec<Goal> = measured.iter().flat_map(Measured::goals).collect();
        goals.extend(memory.iter().map(weight_goal));
        let rows = measured.iter().map(Measured::row).collect();
        Self { rounds, dials_per_round: dials, rows, memory, goals }
    }

    pub(crate) fn print(&self, output: Output) -> Result<()> {
        let text = match output {
            Output::Json => serde_json::to_string_pretty(self)?,
            Output::Table => self.text(),
        };
        writeln!(io::stdout(), "{text}").context("could not print")
    }

    fn text(&self) -> String {
        let Self { rounds, dials_per_round, rows, memory, goals } = self;
        let weights: Vec<String> = memory.iter().map(sentence).collect();
        format!(
            "Nanoseconds a connect(2) spends in the program, by the kernel's count: medians of {rounds} interleaved \
             rounds of {} connections.\nNet is less the empty program. R1: three hash lookups and an LRU insert. \
             R2: an LPM trie, two hash lookups and an LRU insert.\n\n{}\n\n{}\n\n{}",
            thousands((*dials_per_round).into()),
            timing(rows),
            weights.join("\n"),
            goals::table(goals),
        )
    }
}

fn timing(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "dialled, among services",
        "empty",
        "ours",
        "ours net",
        "R1 net",
        "R2 net",
        "ours/R1",
        "ours/R2",
    ]);
    for row in rows {
        let [empty, ours, three_hashes, trie] = &row.shapes;
        let mut cells = vec![row.scenario.clone()];
        cells.extend(
            [empty.gross, ours.gross, ours.net, three_hashes.net, trie.net].map(|ns| format!("{ns:.0}")),
        );
        cells.extend([row.to_three_hashes, row.to_trie].map(|ratio| format!("{ratio:.2}")));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn weight_goal(weight: &Weight) -> Goal {
    let limit = if weight.services > 100 { 17.0 } else { 3.0 };
    Goal::at_most(limit, format!("kernel memory in MB, {}", size(weight)), megabytes(weight))
}

fn sentence(weight: &Weight) -> String {
    format!("Kernel memory of our maps, {}: {:.1} MB", size(weight), megabytes(weight))
}

fn size(weight: &Weight) -> String {
    let [services, endpoints] = [weight.services, weight.endpoints].map(|count| thousands(count.into()));
    format!("{services} services with {endpoints} endpoints")
}

fn megabytes(weight: &Weight) -> f64 {
    weight.bytes as f64 / 1e6
}

/// A number as people read it: 50,000.
fn thousands(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", thousands(number / 1000), number % 1000)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => f64::NAN,
        Some(upper) if sorted.len() % 2 == 1 => *upper,
        Some(upper) => (sorted[middle - 1] + upper) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (values, middle) in [(&[3.0][..], 3.0), (&[9.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 2.0, 9.0], 3.0)] {
            assert!((median(values) - middle).abs() < 1e-9, "{values:?}");
        }
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(7, "7"), (1_000, "1,000"), (50_070, "50,070"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
