//! The table, the goals, and the same for programs.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

use super::contender::Trial;
use super::doors::{CLIENTS, LEAVERS, Polled};
use super::effect::Effect;
use super::heartbeats::{EVERY, Heartbeats, NODES};
use super::population::{ENDPOINTS, POOLS, TOPOLOGY, TOPOLOGY_KEYS, is_annotated};
use super::weigh::Memory;
use super::{FEW, PACE, Plan};

pub(crate) struct Report {
    pub(crate) plan: Plan,
    /// Of kube-proxy and what it needs.
    pub(crate) versions: Option<String>,
    /// How long it took to create most Services and slices.
    pub(crate) created: Duration,
    /// Memory with few Services.
    pub(crate) few: (Memory, Option<Memory>),
    pub(crate) ours: Trial,
    /// An annotation; a node that moves to another pool.
    pub(crate) topology: (Effect, Effect),
    /// Our agent while clients poll its doors.
    pub(crate) polled: Polled,
    /// What other Nodes' status costs our agent.
    pub(crate) heartbeats: Heartbeats,
    /// kube-proxy with its default period and with its lowest, or nothing.
    pub(crate) theirs: Vec<Trial>,
}

#[derive(Serialize)]
struct Whole<'a> {
    services: u32,
    endpoints: u32,
    versions: Option<&'a str>,
    few_services: u32,
    few: &'a (Memory, Option<Memory>),
    ours: &'a Trial,
    annotation: Effect,
    pool: Effect,
    polled: Polled,
    heartbeats: Heartbeats,
    kube_proxy: Option<&'a Trial>,
    kube_proxy_lowest_period: Option<&'a Trial>,
    rows: Vec<Row>,
    goals: Vec<Goal>,
}

#[derive(Serialize)]
struct Row {
    measure: String,
    /// Ours, and kube-proxy's with either period.
    values: [Option<f64>; 3],
    /// kube-proxy's with its default period, to ours.
    ratio: Option<f64>,
}

impl Report {
    pub(crate) fn print(&self, output: Output) -> Result<()> {
        let text = match output {
            Output::Json => serde_json::to_string_pretty(&self.whole())?,
            Output::Table => self.text(),
        };
        writeln!(io::stdout(), "{text}").context("could not print")
    }

    fn whole(&self) -> Whole<'_> {
        let services = self.plan.population.services;
        Whole {
            services,
            endpoints: services * ENDPOINTS,
            versions: self.versions.as_deref(),
            few_services: FEW,
            few: &self.few,
            ours: &self.ours,
            annotation: self.topology.0,
            pool: self.topology.1,
            polled: self.polled,
            heartbeats: self.heartbeats,
            kube_proxy: self.theirs.first(),
            kube_proxy_lowest_period: self.theirs.get(1),
            rows: self.rows(),
            goals: self.goals(),
        }
    }

    fn text(&self) -> String {
        let Plan { population, changes, rest } = self.plan;
        let services = population.services;
        let annotated = (0..services).filter(|number| is_annotated(*number)).count();
        let beside = self.versions.as_ref().map_or_else(
            || "kube-proxy is not measured: it needs the program nft, of the package nftables".to_owned(),
            |versions| format!("kube-proxy is {versions}; its periods are 1 s, the default, and 1 ns"),
        );
        format!(
            "{services} Services with {} endpoints in {services} slices, {} nodes in {POOLS} pools; created in {:.0} s.\n\
             {annotated} Services have {TOPOLOGY_KEYS}: {TOPOLOGY}. {changes} slices are changed, {PACE} a second; memory is \
             read {} s after sync.\nThe doors are polled by {CLIENTS} clients, each once a second.\n{beside}.\n\n{}\n\n{}",
            services * ENDPOINTS,
            population.nodes + 1,
            self.created.as_secs_f64(),
            rest.as_secs(),
            table(&self.rows()),
            goals::table(&self.goals()),
        )
    }

    fn rows(&self) -> Vec<Row> {
        let all = |measure: &str, of: &dyn Fn(&Trial) -> Option<f64>| {
            let theirs = |at: usize| self.theirs.get(at).and_then(of);
            row(measure, [of(&self.ours), theirs(0), theirs(1)])
        };
        let few = |of: fn(&Memory) -> f64| [Some(of(&self.few.0)), self.few.1.as_ref().map(of), None];
        let mut rows = vec![
            all("process start to kernel complete, s", &|trial| Some(trial.cold.in_sync)),
            all("lists read to kernel complete, ms", &|trial| trial.cold.completing),
            all("a slice's change to the kernel, p50, ms", &|trial| Some(trial.changes.p50)),
            all("  the same, p99, ms", &|trial| Some(trial.changes.p99)),
            all("  the same, longest, ms", &|trial| Some(trial.changes.max)),
            all("  to a bare watcher beside it, p50, ms", &|trial| Some(trial.control.p50)),
            all("  the same, p99, ms", &|trial| Some(trial.control.p99)),
            all("  the same, longest, ms", &|trial| Some(trial.control.max)),
            all("  a sync of what has changed, by its own count, mean, ms", &|trial| trial.partial_sync),
            all("  changes that a later one overtook", &|trial| Some(trial.changes.superseded as f64)),
        ];
        rows.extend(self.rows_of_ours());
        rows.extend([
            all("VmRSS, MB", &|trial| Some(trial.memory.resident)),
            all("RssAnon, MB", &|trial| Some(trial.memory.anonymous)),
            all("VmHWM (its peak), MB", &|trial| Some(trial.memory.peak)),
            row(&format!("VmRSS at {FEW} Services, MB"), few(|memory| memory.resident)),
            row(&format!("RssAnon at {FEW} Services, MB"), few(|memory| memory.anonymous)),
            all("processor time until in sync, s", &|trial| Some(trial.processor_cold)),
            all("processor time altogether, s", &|trial| Some(trial.processor)),
            all("from the API server until in sync, MB", &|trial| Some(trial.bytes_cold)),
            all("from the API server altogether, MB", &|trial| Some(trial.bytes)),
        ]);
        rows
    }

    /// What kube-proxy does not have, or was not asked.
    fn rows_of_ours(&self) -> Vec<Row> {
        let of_ours = |measure: String, value: f64| row(&measure, [Some(value), None, None]);
        let (annotation, pool) = self.topology;
        let moved = self.plan.population.on_mover().count();
        let Polled { readyz, metrics, status, bare, changes: [alone, polled], leavers } = self.polled;
        let beats = self.heartbeats;
        vec![
            of_ours(
                format!("an annotation to the kernel, median of {}, ms", annotation.changes),
                annotation.p50,
            ),
            of_ours("  the same, longest, ms".to_owned(), annotation.max),
            of_ours(format!("a node's pool to {moved} Services, median of {}, ms", pool.changes), pool.p50),
            of_ours("  the same, longest, ms".to_owned(), pool.max),
            of_ours("polled: a slice's change to the kernel, p50, ms".to_owned(), polled.p50),
            of_ours("  the same, p99, ms".to_owned(), polled.p99),
            of_ours("  in turns with it, not polled, p50, ms".to_owned(), alone.p50),
            of_ours("  the same, p99, ms".to_owned(), alone.p99),
            of_ours("polled: /readyz, p50, ms".to_owned(), readyz.p50),
            of_ours("  the same, p99, ms".to_owned(), readyz.p99),
            of_ours("polled: /metrics, p50, ms".to_owned(), metrics.p50),
            of_ours("  the same, p99, ms".to_owned(), metrics.p99),
            of_ours("polled: status, p50, ms".to_owned(), status.p50),
            of_ours("  the same, p99, ms".to_owned(), status.p99),
            of_ours("  a bare server beside them, p50, ms".to_owned(), bare.p50),
            of_ours("  the same, p99, ms".to_owned(), bare.p99),
            of_ours(format!("{LEAVERS} clients that leave early: processor time, ms"), leavers[1]),
            of_ours("  the writer's part of it, ms".to_owned(), leavers[0]),
            of_ours(
                format!(
                    "{NODES} Nodes, each changed every {} s: from the API server a day, MB",
                    EVERY.as_secs()
                ),
                beats.day,
            ),
            of_ours("  the same for one change, bytes".to_owned(), beats.each),
            of_ours("  processor time a second, ms".to_owned(), beats.processor),
        ]
    }

    fn goals(&self) -> Vec<Goal> {
        let Trial { cold, memory, changes, control, .. } = &self.ours;
        let completing = cold.completing.unwrap_or(f64::NAN);
        let Polled { readyz, metrics, changes: [alone, polled], leavers, .. } = self.polled;
        vec![
            Goal::at_most(1000.0, "lists read to kernel complete, ms", completing),
            Goal::at_most(2.0, "a slice's change, p50 over the watcher's, ms", changes.p50 - control.p50),
            Goal::at_most(10.0, "a slice's change, p99 over the watcher's, ms", changes.p99 - control.p99),
            Goal::at_most(1.0, "polled: /readyz, p99, ms (9 to 17 when the writer was asked)", readyz.p99),
            Goal::at_most(5.0, "polled: /metrics, p99, ms (31 to 43 when the writer was asked)", metrics.p99),
            Goal::at_most(
                1.2,
                "polled: a slice's change, p99, of that when not polled",
                polled.p99 / alone.p99,
            ),
            Goal::at_most(10.0, format!("the writer's time for {LEAVERS} that leave early, ms"), leavers[0]),
            Goal::at_most(60.0, "VmRSS, MB", memory.resident),
            Goal::at_most(90.0, "VmHWM, MB", memory.peak),
            Goal::at_most(15.0, format!("RssAnon at {FEW} Services, MB"), self.few.0.anonymous),
        ]
    }
}

fn row(measure: &str, values: [Option<f64>; 3]) -> Row {
    let ratio = match values {
        [Some(ours), Some(theirs), _] if ours > 0.0 && theirs > 0.0 => Some(theirs / ours),
        _ => None,
    };
    Row { measure: measure.to_owned(), values, ratio }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "",
        "ours",
        "kube-proxy",
        "its lowest period",
        "kube-proxy/ours",
    ]);
    for Row { measure, values, ratio } in rows {
        let number = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), three_figures);
        let mut cells = vec![measure.clone()];
        cells.extend(values.iter().map(number));
        cells.push(number(ratio));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Digits behind the point mean nothing in large numbers.
fn three_figures(value: f64) -> String {
    let places = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_places_that_are_read() {
        for (value, text) in [(0.361, "0.36"), (-12.34, "-12.3"), (11_513.09, "11513"), (0.0, "0.00")] {
            assert_eq!(three_figures(value), text);
        }
    }

    #[test]
    fn a_ratio_needs_two_numbers_above_zero() {
        for (values, ratio) in [
            ([Some(2.0), Some(3.0), None], Some(1.5)),
            ([Some(-2.0), Some(3.0), None], None),
            ([Some(2.0), None, Some(1.0)], None),
        ] {
            assert_eq!(row("", values).ratio, ratio, "{values:?}");
        }
    }
}
