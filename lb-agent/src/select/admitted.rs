//! Which backends a UDP socket that is connected may keep.

use std::net::SocketAddr;

use crate::model::Health;

use super::candidate::Candidate;
use super::nodes::NodeIndex;
use super::pool::Filter;
use super::topology::{OnInvalid, Topology};

/// The backends of a service port that a socket may stay connected to, sorted.
///
/// 1. Those that step one admits, by all endpoints as they are now: an ordered list that came home admits no more what is further.
/// 2. Of these the ones that serve. A ready one is in, whatever it says of serving, since it may be chosen again.
/// 3. Step two has no say: hints and traffic policies are about new connections.
#[must_use]
pub fn admitted(
    topology: &Topology,
    on_invalid: OnInvalid,
    nodes: &NodeIndex,
    candidates: &[Candidate<'_>],
) -> Vec<SocketAddr> {
    let filter = Filter::new(topology, on_invalid, nodes, candidates);
    let serves = |candidate: &&Candidate<'_>| candidate.serving || candidate.health == Health::Ready;
    let stay = candidates.iter().filter(serves).filter(|one| filter.excludes(one, nodes).is_none());
    let mut backends: Vec<SocketAddr> = stay.map(|candidate| candidate.backend).collect();
    backends.sort_unstable();
    backends
}

#[cfg(test)]
mod tests {
    use super::super::decide::decide;
    use super::super::notation::{all, any_of, cast, conditions, group, names, slice, topology};
    use super::*;
    use crate::model::Family;

    #[test]
    fn a_socket_keeps_what_serves_and_what_step_one_admits() {
        for (shows, keys, endpoints, kept) in [
            ("no endpoint", "", "", ""),
            ("ready, draining, ready and terminating", "", "a@here b@far~ c@loose^ d", "a b c d"),
            ("not what does not serve", "", "a@here! b@near", "b"),
            ("what serves and is not ready", "", "a@here? b@near", "a b"),
            ("draining ones next to ready ones", "pool", "a@here b@near~", "a b"),
            ("not those of another pool", "pool", "a@here b@near~ c@far d@loose", "a b"),
            ("not those on no known node", "pool", "a@here e@ghost f", "a"),
            ("an ordered list goes out", "host, pool, *", "a@here! b@near! c@far d@loose", "c d"),
            ("and comes home", "host, pool, *", "a@here b@near! c@far d@loose", "a"),
            ("by way of the pool", "host, pool, *", "a@here! b@near c@far", "b"),
            ("a draining one does not bring it home", "host, *", "a@here~ c@far", "a c"),
            ("no key wins", "host, pool", "a@here? c@far", ""),
            ("not understood", "nonsense", "a@here", ""),
        ] {
            for family in [Family::V4, Family::V6] {
                let slice = slice(family, endpoints);
                let candidates = all(&slice);
                let backends = admitted(&topology(keys), OnInvalid::Refuse, &cast(), &candidates);
                let found = candidates.iter().filter(|one| backends.contains(&one.backend));
                assert_eq!(names(found), kept, "{shows}, {family:?}");
            }
        }
    }

    /// Or it would end, dial again and be given the same, without end.
    #[test]
    fn whatever_is_chosen_is_admitted() {
        for keys in ["", "host", "pool", "host, pool, *", "zone, *"] {
            for endpoints in [
                "a@here b@near c@far d@loose",
                "a@here>here b@near>here c@far>near",
                "a@here>z1 b@near>z2 c@far>z1",
                "a@here~ b@near! c@far?",
                "a@here! b@near~ c@far^ d@loose",
            ] {
                for local in [false, true] {
                    let mut slice = slice(Family::V4, endpoints);
                    // Ready by the Service's wish, and not serving.
                    slice.endpoints[0].conditions = conditions(true, false, false);
                    let (topology, candidates) = (topology(keys), all(&slice));
                    let backends = admitted(&topology, OnInvalid::Unfiltered, &cast(), &candidates);
                    let decision = decide(&topology, OnInvalid::Unfiltered, local, &cast(), candidates);
                    for chosen in &decision.chosen {
                        assert!(backends.contains(&chosen.backend), "{keys:?} {endpoints} {local}");
                    }
                }
            }
        }
    }

    #[test]
    fn another_dialect_admits_what_it_reaches() {
        let slice = slice(Family::V4, "a@here b@near~ c@far d@loose! e@ghost f");
        let candidates = all(&slice);
        for (topology, kept) in
            [(group(), "a b c"), (any_of(r#"["zone","region"]"#), "a b c"), (any_of(r#"["rack"]"#), "a c")]
        {
            let backends = admitted(&topology, OnInvalid::Refuse, &cast(), &candidates);
            let found = candidates.iter().filter(|one| backends.contains(&one.backend));
            assert_eq!(names(found), kept, "{topology:?}");
        }
    }

    #[test]
    fn hints_have_no_say() {
        let kept = |endpoints: &str| {
            let slice = slice(Family::V4, endpoints);
            admitted(&topology("pool"), OnInvalid::Refuse, &cast(), &all(&slice))
        };
        let before = kept("a@here b@near");
        assert_eq!(before.len(), 2);
        for endpoints in ["a@here>here b@near>near", "a@here>z1 b@near>z2", "a@here>near b@near>near"] {
            assert_eq!(kept(endpoints), before, "{endpoints}");
        }
    }
}
