//! The benches run and name their goals. What they measure is no test: a busy machine is no mistake.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use edgeloop_tests::{Ability, alone, builds, checkout};

/// The names of the goals that a bench prints.
fn goals(bench: &str) -> Result<Vec<String>> {
    let mut command = Command::new(checkout::program("edgeloop-bench")?);
    let output = command.args([bench, "--quick", "-o", "json"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let goals = report["goals"].as_array().context("no goals")?.iter();
    goals
        .map(|goal| {
            let is_whole = goal["value"].is_number() && goal["limit"].is_number() && goal["met"].is_boolean();
            ensure!(is_whole, "{goal}");
            Ok(goal["name"].as_str().context("a goal without a name")?.to_owned())
        })
        .collect()
}

#[test]
fn the_bench_of_the_plan_names_its_three_goals() {
    assert_eq!(goals("plan").unwrap().len(), 3);
}

#[test]
fn the_bench_of_an_outage_counts_what_is_asked_after_it() {
    let mut command = Command::new(checkout::program("edgeloop-bench").unwrap());
    let output = command.args(["outage", "--quick", "--agents", "20", "-o", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["goals"].as_array().map(Vec::len), Some(4));
    // Every agent that can come back does, and asks at least once for each kind.
    for row in &report["rows"].as_array().unwrap()[..3] {
        assert_eq!(row["in_sync"], 20, "{row}");
        assert!(row["mean"].as_f64().unwrap() >= 1.0, "{row}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_bench_of_sockets_names_its_three_goals() {
    if Ability::Iterators.is_missing().unwrap() {
        return;
    }
    let _alone = alone();
    assert_eq!(goals("sockets").unwrap().len(), 3);
}

#[test]
#[ignore = "needs root"]
fn the_bench_of_a_start_serves_from_what_was_saved_and_names_its_three_goals() {
    let _alone = alone();
    assert_eq!(goals("start").unwrap().len(), 3);
}

#[test]
#[ignore = "needs root"]
fn the_bench_of_connect_measures_beside_all_references_and_the_previous_version_where_there_is_one() {
    let _alone = alone();
    let goals = goals("connect").unwrap();
    for reference in ["R1", "R2", "R3"] {
        assert!(goals.iter().any(|goal| goal.contains(reference)), "{reference}: {goals:?}");
    }
    let has_previous = goals.iter().any(|goal| goal.contains("the previous version"));
    assert_eq!(has_previous, builds::has_previous(), "{goals:?}");
}
