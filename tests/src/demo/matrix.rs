//! Who is answered by whom: dialled from every node and compared with the truth.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::{Tally, tally};

use super::cast::{Cast, Pools};
use super::truth::{self, EVERYWHERE, PLACES, SERVICE, Service, Truth};

/// Connections for one row. One of four pods stays out of so many by chance once in 10^24.
pub(super) const DIALS: usize = 200;

/// How long it may take until all nodes show what one has shown.
const SOON: Duration = Duration::from_secs(20);

/// What the clients on all nodes got, while `truth` was true.
pub(super) struct Seen {
    pub(super) truth: Truth,
    /// In the order of [`PLACES`].
    pub(super) rows: Vec<Row>,
}

/// What the client on one node got from the two Services.
pub(super) struct Row {
    pub(super) service: Tally,
    pub(super) everywhere: Tally,
}

/// Dials both Services from every node until all is as `truth` says. Other nodes may be some milliseconds behind
/// the one that was watched, and then still show what was true before; never anything else.
pub(super) fn settle(cast: &Cast, before: &Truth, truth: &Truth) -> Result<Seen> {
    let give_up = Instant::now() + SOON;
    loop {
        let seen = Seen { truth: *truth, rows: dial_all(cast)? };
        match seen.judge(cast.pools(), before) {
            Ok(()) => return Ok(seen),
            Err(Wrong::Ever(error)) => return Err(error),
            Err(Wrong::ForNow(error)) if Instant::now() > give_up => return Err(error),
            Err(Wrong::ForNow(_)) => {}
        }
    }
}

/// The client on this node, dialled without a second chance.
pub(super) fn check(cast: &Cast, node: &str, expected: truth::Pools) -> Result<()> {
    let got = tally(&cast.client(node)?.dial(SERVICE.at, DIALS)?);
    compare(cast.pools(), node, SERVICE, &got, expected)
}

/// A client's connections to a Service were answered by these pools, by each of their pods, and by nothing else;
/// or were refused, every one.
pub(super) fn compare(
    pools: &Pools,
    node: &str,
    service: Service,
    got: &Tally,
    expected: truth::Pools,
) -> Result<()> {
    let wanted = pools.labels(expected);
    let all_came = !wanted.is_empty() && wanted.iter().all(|label| got.contains_key(label));
    ensure!(
        all_came && orphans(got, &wanted).is_empty(),
        "a client on {node} that dials {} should be {}, and got {}",
        service.name,
        match expected {
            [] => "refused".to_owned(),
            expected => format!("answered by every pod of {} and by no other", expected.join(" and ")),
        },
        in_words(got)
    );
    Ok(())
}

/// What is not one of `allowed`.
pub(super) fn orphans(got: &Tally, allowed: &[String]) -> Tally {
    let orphans = got.iter().filter(|(label, _)| !allowed.contains(label));
    orphans.map(|(label, count)| (label.clone(), *count)).collect()
}

pub(super) fn in_words(got: &Tally) -> String {
    let parts: Vec<String> = got.iter().map(|(label, count)| format!("{count} x {label}")).collect();
    if parts.is_empty() { "nothing at all".to_owned() } else { parts.join(", ") }
}

/// Why something is not as the truth says.
enum Wrong {
    /// It was so before, and may be about to change.
    ForNow(anyhow::Error),
    /// It was at no time to be so.
    Ever(anyhow::Error),
}

impl Seen {
    /// All connections.
    pub(super) fn dialled(&self) -> u64 {
        self.rows.iter().flat_map(|row| row.service.values().chain(row.everywhere.values())).sum()
    }

    fn judge(&self, pools: &Pools, before: &Truth) -> Result<(), Wrong> {
        let mut result = Ok(());
        for (number, (place, row)) in PLACES.iter().zip(&self.rows).enumerate() {
            let of_service = (SERVICE, &row.service, before.service[number], self.truth.service[number]);
            let of_everywhere =
                (EVERYWHERE, &row.everywhere, before.everywhere[number], self.truth.everywhere[number]);
            for (service, got, was, is) in [of_service, of_everywhere] {
                let Err(error) = compare(pools, place.node, service, got, is) else { continue };
                if !orphans(got, &[pools.labels_ever(was), pools.labels_ever(is)].concat()).is_empty() {
                    return Err(Wrong::Ever(error));
                }
                result = Err(Wrong::ForNow(error));
            }
        }
        result
    }
}

/// From all nodes side by side.
fn dial_all(cast: &Cast) -> Result<Vec<Row>> {
    thread::scope(|scope| {
        let dials = PLACES.map(|place| {
            scope.spawn(move || {
                let client = cast.client(place.node)?;
                let service = tally(&client.dial(SERVICE.at, DIALS)?);
                let everywhere = tally(&client.dial(EVERYWHERE.at, DIALS)?);
                Ok(Row { service, everywhere })
            })
        });
        let rows = dials
            .into_iter()
            .map(|dial| dial.join().unwrap_or_else(|_panic| Err(anyhow!("a thread that dials panicked"))));
        rows.collect()
    })
}
