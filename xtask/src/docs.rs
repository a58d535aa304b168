//! `cargo xtask docs`: what the documentation shows, made anew.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// A variable that lets tests write what they otherwise compare, the tier that they are in, and parts of their names.
const RECORDS: [(&str, &str, &[&str]); 4] = [
    ("EDGELOOP_RECORD_PAGES", "pure", &["page_of", "schema"]),
    ("EDGELOOP_RECORD_CHART", "pure", &["chart"]),
    ("EDGELOOP_RECORD_PAGES", "cluster", &["tour::"]),
    ("EDGELOOP_RECORD_PICTURES", "agent", &["browser::a_browser_without", "recording::"]),
];

/// Pages from the program, pictures from a browser and from a terminal. `git diff` shows what changed.
pub(crate) fn run() -> Result<()> {
    let this = std::env::current_exe().context("could not find this program")?;
    for (variable, tier, parts) in RECORDS {
        let mut test = Command::new(&this);
        shell::run(test.args(["test", tier, "--"]).args(parts).env(variable, "1"))?;
    }
    Ok(())
}
