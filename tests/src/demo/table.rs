//! The matrix as a table: a row for each client, a column for each pool that answers.

use std::fmt::Write as _;

use anyhow::Result;

use crate::Tally;

use super::cast::{Pools, REFUSED};
use super::matrix::{Row, Seen};
use super::screen::Screen;

use super::truth::{PLACES, SERVING};

/// One of the two Services.
type Column = fn(&Row) -> &Tally;

pub(super) fn draw_service(screen: &Screen, pools: &Pools, seen: &Seen) -> Result<()> {
    draw(screen, pools, seen, None, |row| &row.service)
}

pub(super) fn draw_everywhere(screen: &Screen, pools: &Pools, seen: &Seen) -> Result<()> {
    draw(screen, pools, seen, None, |row| &row.everywhere)
}

/// The annotated Service; what is not as before is marked.
pub(super) fn draw_change(screen: &Screen, pools: &Pools, before: &Seen, seen: &Seen) -> Result<()> {
    screen.line("")?;
    draw(screen, pools, seen, Some(before), |row| &row.service)
}

fn draw(screen: &Screen, pools: &Pools, seen: &Seen, before: Option<&Seen>, column: Column) -> Result<()> {
    let mut head = format!("{:<20}{:<10}", "client on", "in pool");
    for pool in SERVING {
        write!(head, "{pool:>10}")?;
    }
    screen.line(&format!("{head}{:>10}", "refused"))?;
    for (number, place) in PLACES.iter().enumerate() {
        let pool = seen.truth.pools[number].unwrap_or("none");
        let got = column(&seen.rows[number]);
        let mut line = format!("{:<20}{pool:<10}", place.node);
        for count in cells(pools, got) {
            let count = if count == 0 { ".".to_owned() } else { count.to_string() };
            write!(line, "{count:>10}")?;
        }
        if let Some(before) = before {
            let was = answerers(pools, column(&before.rows[number]));
            if was != answerers(pools, got) {
                write!(line, "   was: {}", was.join(", "))?;
            }
        }
        screen.line(&line)?;
    }
    Ok(())
}

/// A number for each serving pool, and one for the refused.
fn cells(pools: &Pools, got: &Tally) -> Vec<u64> {
    let answered_by = |pool| {
        let answers = got.iter().filter(|(label, _)| pools.of(label) == Some(pool));
        answers.map(|(_, count)| count).sum()
    };
    let refused = got.get(REFUSED).copied().unwrap_or_default();
    SERVING.into_iter().map(answered_by).chain([refused]).collect()
}

/// The columns that are not empty.
fn answerers(pools: &Pools, got: &Tally) -> Vec<&'static str> {
    let heads = SERVING.into_iter().chain(["refused"]);
    heads.zip(cells(pools, got)).filter(|(_, count)| *count > 0).map(|(head, _)| head).collect()
}
