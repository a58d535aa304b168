//! The table, as it is printed and as it stands in the documentation.

use std::time::Duration;

use anyhow::Result;

use crate::demo::screen::{Screen, short};

/// One change, and what both sides made of it.
pub(super) struct Row {
    pub(super) what: String,
    /// Of the real one, by others before.
    pub(super) known: &'static str,
    pub(super) theirs: String,
    pub(super) ours: String,
    pub(super) is_right: bool,
    pub(super) is_as_known: bool,
}

/// In Markdown, so that it can be taken over as it is.
pub(super) fn print(screen: &Screen, rows: &[Row]) -> Result<()> {
    screen.line("| what happens | yurthub 1.7.0 and kube-proxy 1.36.3 | Edgeloop |")?;
    screen.line("|---|---|---|")?;
    for Row { what, theirs, ours, .. } in rows {
        screen.line(&format!("| {what} | {theirs} | {ours} |"))?;
    }
    for Row { what, known, theirs, .. } in rows.iter().filter(|row| !row.is_as_known) {
        screen.line(&format!("Otherwise than was known of theirs (\"{known}\"): {what}: {theirs}"))?;
    }
    Ok(())
}

/// Theirs is not waited for without end.
pub(super) fn not_within(patience: Duration) -> String {
    format!("not within {} s", patience.as_secs())
}

pub(super) fn seconds(time: Duration) -> String {
    if time.is_zero() { "0 s: before the API server's answer".to_owned() } else { short(time) }
}
