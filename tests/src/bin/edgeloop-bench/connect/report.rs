//! The table, the goals, and both as JSON.

use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

use super::calls::Population;
use super::contender::{Shape, shapes};
use super::measured::{Measured, thousands};
use super::memory::Weight;

/// All scenarios, measured in as many interleaved rounds.
pub(crate) struct Rounds {
    pub(crate) rounds: usize,
    /// Connections of each round, for each shape.
    pub(crate) dials: u32,
    pub(crate) measured: Vec<Measured>,
}

/// How many instructions the kernel runs at most: after the verifier, before they are compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Instructions {
    pub(crate) shape: &'static str,
    /// At each hook.
    pub(crate) hooks: Vec<(String, u32)>,
}

#[derive(Serialize)]
pub(crate) struct Report {
    rounds: usize,
    dials_per_round: u32,
    /// Nanoseconds a run: medians over the rounds.
    rows: Vec<Row>,
    instructions: Vec<Instructions>,
    memory: Vec<Weight>,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Row {
    /// Of which population.
    population: &'static str,
    scenario: String,
    services: u32,
    shapes: Vec<Cell>,
    /// Ours divided by each of the others, net.
    against: Vec<(&'static str, f64)>,
}

#[derive(Serialize)]
struct Cell {
    shape: &'static str,
    gross: f64,
    net: f64,
    rounds: Vec<f64>,
}

impl Report {
    pub(crate) fn new(rounds: &Rounds, instructions: Vec<Instructions>, memory: Vec<Weight>) -> Self {
        let Rounds { rounds, dials, measured } = rounds;
        let mut goals: Vec<Goal> = measured.iter().flat_map(|one| one.goals(measured)).collect();
        goals.extend(memory.iter().map(weight_goal));
        let rows = measured.iter().map(Row::new).collect();
        Self { rounds: *rounds, dials_per_round: *dials, rows, instructions, memory, goals }
    }

    pub(crate) fn print(&self, output: Output) -> Result<()> {
        let text = match output {
            Output::Json => serde_json::to_string_pretty(self)?,
            Output::Table => self.text(),
        };
        writeln!(io::stdout(), "{text}").context("could not print")
    }

    fn text(&self) -> String {
        let Self { rounds, dials_per_round, rows, instructions, memory, goals } = self;
        let weights: Vec<String> = memory.iter().map(sentence).collect();
        format!(
            "Nanoseconds a call spends in the program, by the kernel's count: medians of {rounds} interleaved \
             rounds of {} calls.\nNet is less the empty program. Guarded: ours, loaded without CAP_PERFMON. Previous: the last landed version, set up by \
             its own agent. R1: three hash lookups and an LRU insert.\nR2: an LPM trie, two hash lookups and an LRU \
             insert; with affinity the first of these keeps the client.\nR3, for UDP: an LPM trie, two hash lookups and two LRU inserts; a reply is one LRU lookup.\n\n{}\n\n{}\n\n{}\n\n{}",
            thousands((*dials_per_round).into()),
            tables(rows),
            sizes(instructions),
            weights.join("\n"),
            goals::table(goals),
        )
    }
}

impl Row {
    fn new(measured: &Measured) -> Self {
        let population = measured.scenario.call.population();
        let shapes = shapes(population);
        let others = shapes.iter().filter(|shape| !matches!(shape, Shape::Empty | Shape::Ours));
        let cell = |shape: &Shape| Cell {
            shape: shape.name(),
            gross: measured.gross(*shape),
            net: measured.net(*shape),
            rounds: measured.rounds(*shape).to_vec(),
        };
        Self {
            population: population.name(),
            scenario: measured.name(),
            services: measured.scenario.services,
            shapes: shapes.iter().map(cell).collect(),
            against: others.map(|shape| (shape.name(), measured.net_to(*shape))).collect(),
        }
    }
}

fn tables(rows: &[Row]) -> String {
    let tables = Population::ALL.map(|population| {
        let rows = rows.iter().filter(|row| row.population == population.name());
        timing(&rows.collect::<Vec<_>>()).to_string()
    });
    tables.join("\n\n")
}

/// Of one population: the same shapes in each row.
fn timing(rows: &[&Row]) -> Table {
    let mut table = Table::new();
    let mut header = vec!["what, among services".to_owned()];
    if let Some(row) = rows.first() {
        header.push("empty".to_owned());
        header.extend(row.shapes.iter().skip(1).map(|cell| format!("{} net", cell.shape)));
        header.extend(row.against.iter().map(|(shape, _)| format!("ours/{shape}")));
    }
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        let mut cells = vec![row.scenario.clone()];
        cells.extend(row.shapes.first().map(|empty| format!("{:.0}", empty.gross)));
        cells.extend(row.shapes.iter().skip(1).map(|cell| format!("{:.0}", cell.net)));
        cells.extend(row.against.iter().map(|(_, ratio)| format!("{ratio:.2}")));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn sizes(instructions: &[Instructions]) -> String {
    let at = |(hook, count): &(String, u32)| format!("{count} at {hook}");
    let lines = instructions.iter().map(|Instructions { shape, hooks }| {
        format!("Instructions, {shape}: {}", hooks.iter().map(at).collect::<Vec<_>>().join(", "))
    });
    lines.collect::<Vec<_>>().join("\n")
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
