//! What holds of every decision, whatever the input.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::model::{Family, Health, Slice};

use super::candidate::{Candidate, candidates};
use super::decide::{Decision, decide};
use super::nodes::NodeIndex;
use super::notation::{cast_with, key, slice, topology};
use super::topology::OnInvalid;

proptest! {
    #[test]
    fn every_candidate_is_chosen_or_excluded_and_never_both(case in case()) {
        let (all, decision) = (case.candidates(), case.decide());
        let mut both: Vec<Candidate<'_>> = decision.chosen.clone();
        both.extend(decision.excluded.iter().map(|(candidate, _)| *candidate));
        both.sort_by_key(|candidate| candidate.backend);
        prop_assert_eq!(both, all);
    }

    #[test]
    fn each_backend_appears_once_and_in_order(case in case()) {
        let decision = case.decide();
        prop_assert!(decision.chosen.is_sorted_by(|one, next| one.backend < next.backend));
        prop_assert!(decision.excluded.is_sorted_by(|one, next| one.0.backend < next.0.backend));
    }

    #[test]
    fn a_topology_never_reaches_further_than_it_was_asked_to(case in case()) {
        let decision = case.decide();
        let here = decision.chosen.iter().all(|one| one.node.is_some_and(|node| **node == *"here"));
        let own_pool = case.nodes.own_pool();
        let pool = decision.chosen.iter().all(|one| one.node.is_some_and(|node| {
            **node == *"here" || (own_pool.is_some() && case.nodes.pool(node) == own_pool)
        }));
        match case.keys.trim() {
            "host" => prop_assert!(here),
            "pool" | "host, pool" => prop_assert!(pool),
            _ => {}
        }
        if case.local {
            prop_assert!(here);
        }
    }

    #[test]
    fn what_is_chosen_is_all_ready_or_all_draining(case in case()) {
        let chosen = case.decide().chosen;
        let health: BTreeSet<Health> = chosen.iter().map(|one| one.health).collect();
        prop_assert!(health.len() <= 1 && !health.contains(&Health::Unready), "{:?}", health);
    }

    #[test]
    fn a_list_that_ends_in_any_serves_as_long_as_anything_can(
        case in case_of(&["*", "pool, *", "host, pool, *", "rack, zone, region, *"]),
    ) {
        let case = Case { local: false, ..case };
        let usable = case.candidates().iter().any(|one| one.health != Health::Unready);
        prop_assert_eq!(!case.decide().chosen.is_empty(), usable);
    }

    #[test]
    fn a_longer_list_changes_nothing_while_the_shorter_one_finds_something_ready(
        case in case_of(&["host, pool"]),
    ) {
        let longer = Case { keys: "host, pool, *", ..case.clone() };
        let short = case.decide();
        if short.chosen.iter().any(|one| one.health == Health::Ready) {
            prop_assert_eq!(longer.decide().chosen, short.chosen);
        }
    }

    #[test]
    fn the_order_of_slices_and_endpoints_decides_nothing(case in case(), turn in 0usize..4) {
        let mut turned = case.clone();
        turned.slices.rotate_left(turn % case.slices.len().max(1));
        turned.slices.iter_mut().for_each(|slice| slice.endpoints.reverse());
        prop_assert_eq!(turned.decide(), case.decide());
    }

    #[test]
    fn endpoints_on_an_unknown_node_or_none_change_nothing_for_a_hard_key(
        case in case_of(&["host", "pool"]),
        strangers in subsequence(vec!["x@ghost", "y", "z@ghost~"], 1..=3),
    ) {
        let mut more = case.clone();
        more.slices.push(slice(Family::V4, &strangers.join(" ")));
        prop_assert_eq!(more.decide().chosen, case.decide().chosen);
    }

    #[test]
    fn every_exclusion_has_a_sentence(case in case()) {
        for (candidate, why) in case.decide().excluded {
            let sentence = why.describe(&candidate, &case.nodes);
            prop_assert!(!sentence.trim().is_empty() && !sentence.ends_with('.'), "{}", sentence);
        }
    }
}

/// One service port with all that decides about it.
#[derive(Clone, Debug)]
struct Case {
    keys: &'static str,
    local: bool,
    nodes: NodeIndex,
    slices: Vec<Slice>,
}

impl Case {
    fn candidates(&self) -> Vec<Candidate<'_>> {
        candidates(&self.slices, &key(Family::V4))
    }

    fn decide(&self) -> Decision<'_> {
        decide(&topology(self.keys), OnInvalid::Refuse, self.local, &self.nodes, self.candidates())
    }
}

fn case() -> impl Strategy<Value = Case> {
    case_of(&[
        "",
        "host",
        "pool",
        " host",
        "pool ",
        "*",
        "host, pool",
        "pool, *",
        "host, pool, *",
        "zone, *",
        "region, pool",
        "rack, zone, region, *",
        "nonsense",
    ])
}

fn case_of(keys: &'static [&'static str]) -> impl Strategy<Value = Case> {
    let own =
        select(vec!["pool=hangzhou zone=z1", "pool=shanghai", "desired=hangzhou zone=z2 region=east", ""]);
    let slices = vec(vec(word(), 0..6), 0..4);
    (select(keys), any::<bool>(), own, slices).prop_map(|(keys, local, own, slices)| Case {
        keys,
        local,
        nodes: cast_with(own),
        slices: slices.iter().map(|words| slice(Family::V4, &words.join(" "))).collect(),
    })
}

/// An endpoint as the tests write it. Few names, so that several slices share backends.
fn word() -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "c", "d", "e", "f"]);
    let node = select(vec!["", "@here", "@near", "@far", "@loose", "@ghost"]);
    let health = select(vec!["", "", "!", "~", "^"]);
    let hints = subsequence(vec!["here", "near", "z1", "z2"], 0..=4).prop_map(|hints| hints.join("+"));
    (name, node, health, hints).prop_map(|(name, node, health, hints)| {
        let hints = if hints.is_empty() { hints } else { format!(">{hints}") };
        format!("{name}{node}{health}{hints}")
    })
}
