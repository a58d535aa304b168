//! Which clients of Services with session affinity are to be forgotten. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::layout::{Affinity, Client};

/// A client that came back just now may be among those that were read: it is given this much longer.
const LONGER: Duration = Duration::from_secs(10);

/// The clients whose service port is gone or has no session affinity any more (it is not in `timeouts`, which has
/// seconds by service id), and those that were away for longer than its timeout. `now` is the time since the boot.
pub(super) fn over<'c>(
    clients: &'c [(Client, Affinity)],
    timeouts: &BTreeMap<u32, u32>,
    now: Duration,
) -> impl Iterator<Item = &'c Client> {
    let is_over = move |client: &Client, affinity: &Affinity| {
        let Some(seconds) = timeouts.get(&client.service) else { return true };
        let timeout = Duration::from_secs((*seconds).into());
        now > Duration::from_nanos(affinity.used) + timeout + LONGER
    };
    clients.iter().filter(move |(client, affinity)| is_over(client, affinity)).map(|(client, _)| client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_forgotten_past_their_timeout_and_with_their_service_port() {
        let timeouts = BTreeMap::from([(1, 60), (2, 86_400)]);
        for (shows, service, used, is_over) in [
            ("just now", 1, 1000, false),
            ("within the timeout", 1, 941, false),
            ("past it, and may be back", 1, 935, false),
            ("past it", 1, 929, true),
            ("of another service port, which waits longer", 2, 1, false),
            ("of one that is gone", 3, 1000, true),
            ("of the time to come, by another processor", 1, 1001, false),
        ] {
            let client = Client { netns: 7, service, zero: 0 };
            let affinity = Affinity { used: used * 1_000_000_000, ..Affinity::default() };
            let all = [(client, affinity)];
            let found = over(&all, &timeouts, Duration::from_secs(1000)).count();
            assert_eq!(found == 1, is_over, "{shows}");
        }
    }
}
