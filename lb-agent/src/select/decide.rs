//! Both steps for one service port.

use super::candidate::Candidate;
use super::nodes::NodeIndex;
use super::policy::Policy;
use super::pool::Filter;
use super::topology::{Level, OnInvalid, Topology};

pub use super::why::Why;

/// What this node uses for one service port. Every candidate is in one of the two, sorted by
/// backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// How far step one goes.
    pub level: Level,
    pub chosen: Vec<Candidate<'a>>,
    pub excluded: Vec<(Candidate<'a>, Why)>,
}

impl<'a> Decision<'a> {
    /// Adds candidates that were left out before either step.
    pub fn exclude(&mut self, candidates: Vec<(Candidate<'a>, Why)>) {
        if !candidates.is_empty() {
            self.excluded.extend(candidates);
            self.excluded.sort_unstable_by_key(|(candidate, _)| candidate.backend);
        }
    }
}

/// Both steps: what the topology admits, and of that what kube-proxy would use.
#[must_use]
pub fn decide<'a>(
    topology: &Topology,
    on_invalid: OnInvalid,
    internal_local: bool,
    nodes: &NodeIndex,
    candidates: Vec<Candidate<'a>>,
) -> Decision<'a> {
    let filter = Filter::new(topology, on_invalid, nodes, &candidates);
    let level = filter.level();
    let mut excluded = Vec::new();
    let left = keep(candidates, &mut excluded, |candidate| filter.excludes(candidate, nodes));
    let policy = Policy::new(internal_local, nodes, &left);
    let mut chosen = keep(left, &mut excluded, |candidate| policy.excludes(candidate, nodes));

    chosen.sort_unstable_by_key(|candidate| candidate.backend);
    excluded.sort_unstable_by_key(|(candidate, _)| candidate.backend);
    Decision { level, chosen, excluded }
}

fn keep<'a>(
    candidates: Vec<Candidate<'a>>,
    excluded: &mut Vec<(Candidate<'a>, Why)>,
    why_out: impl Fn(&Candidate<'a>) -> Option<Why>,
) -> Vec<Candidate<'a>> {
    let mut kept = candidates;
    kept.retain(|candidate| match why_out(candidate) {
        Some(why) => {
            excluded.push((*candidate, why));
            false
        }
        None => true,
    });
    kept
}

#[cfg(test)]
mod tests {
    use crate::model::Family;

    use super::super::candidate::candidates;
    use super::super::notation::{all, cast, key, names, slice, topology};
    use super::*;

    #[test]
    fn step_two_chooses_among_what_step_one_left() {
        for (shows, keys, local, endpoints, chosen, excluded) in [
            ("no endpoint", "pool", false, "", "", ""),
            ("no topology: as kube-proxy", "", false, "a@here c@far d@loose! e~", "a c", "d e"),
            ("ready ones of the pool", "pool", false, "a@here b@near! c@far", "a", "b c"),
            (
                "draining ones of the pool, though others are ready",
                "pool",
                false,
                "a@here~ b@near! c@far",
                "a",
                "b c",
            ),
            ("a pool that is unready is an empty set", "pool", false, "a@here! b@near! c@far", "", "a b c"),
            ("hints are asked of the pool alone", "pool", false, "a@here>z1 b@near>z2 c@far", "a", "b c"),
            (
                "a hint outside the pool opens nothing",
                "pool",
                false,
                "a@here>z9 b@near>z9 c@far>z1",
                "a b",
                "c",
            ),
            ("hints within the winning key", "host, pool, *", false, "b@near>z2 c@far>z1", "b", "c"),
            ("hints once it went outward", "pool, *", false, "c@far>z1 d@loose>z3", "c", "d"),
            ("Local within the pool", "pool", true, "a@here b@near c@far", "a", "b c"),
            ("Local does not go outward", "pool", true, "b@near c@far", "", "b c"),
            ("a list that went outward, then Local: nothing", "host, *", true, "a@here! c@far", "", "a c"),
            ("not understood, refused", "nonsense", false, "a@here c@far", "", "a c"),
        ] {
            for family in [Family::V4, Family::V6] {
                let slice = slice(family, endpoints);
                let decision = decide(&topology(keys), OnInvalid::Refuse, local, &cast(), all(&slice));
                assert_eq!(names(&decision.chosen), chosen, "{shows}, {family:?}");
                assert_eq!(
                    names(decision.excluded.iter().map(|(out, _)| out)),
                    excluded,
                    "{shows}, {family:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_wins_over_all_slices_together() {
        let (far, near) = (slice(Family::V4, "a@far b@near!"), slice(Family::V4, "c@near"));
        let both = candidates([&far, &near], &key(Family::V4));
        let decision = decide(&topology("host, pool, *"), OnInvalid::Unfiltered, false, &cast(), both);
        assert_eq!(names(&decision.chosen), "c");
    }

    #[test]
    fn a_decision_is_sorted_whatever_came_in() {
        let slice = slice(Family::V4, "a@here b@far c@near d@far! e@near~ f");
        let mut upside_down = all(&slice);
        upside_down.reverse();
        let decision = decide(&topology("pool"), OnInvalid::Unfiltered, false, &cast(), upside_down);
        assert_eq!(names(&decision.chosen), "a c");
        assert_eq!(names(decision.excluded.iter().map(|(out, _)| out)), "b d e f");
    }
}
