//! The order of writes.

use proptest::prelude::*;

use super::super::{MapOp, Owner};
use super::*;

#[test]
fn a_new_service_is_admitted_then_named_then_filled_then_published() {
    let mut bench = Bench::new(8, 64);
    let steps = bench.mirror.steps(frontend(1), Some(&want("a", 1..=9)));
    assert_eq!(steps.len(), 1);
    let kinds: Vec<&str> = steps[0].ops.iter().map(kind).collect();
    assert_eq!(kinds, ["next id", "admit", "name", "fill", "put"]);
    let MapOp::Put { element, .. } = &steps[0].ops[4] else { panic!("{:?}", steps[0].ops) };
    assert_eq!((element.owner, element.backends.len(), element.region), (Owner { id: 1, revision: 1 }, 9, 0));
}

#[test]
fn a_change_is_one_publication_and_nothing_more() {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", [1, 2])));
    for (shows, backends, kinds) in [
        ("the same set is no write", vec![2, 1], &[][..]),
        ("a set that fits inline is one write", vec![1, 3], &["put"]),
        ("one that does not is a region and one write", (1..=7).collect(), &["fill", "put"]),
        ("the other order of the same set is no write", (1..=7).rev().collect(), &[]),
        ("back inline is one write", vec![1], &["put"]),
        ("an empty set is one write: it refuses", vec![], &["put"]),
    ] {
        let steps = bench.mirror.steps(frontend(1), Some(&want("a", backends.clone())));
        let ops: Vec<&str> = steps.iter().flat_map(|step| &step.ops).map(kind).collect();
        assert_eq!(ops, kinds, "{shows}");
        for step in steps {
            bench.carry_out(step);
        }
        let mut sorted = backends;
        sorted.sort_unstable();
        assert_eq!(bench.backends(1), Some(sorted), "{shows}");
    }
}

#[test]
fn the_topology_flag_and_the_affinity_timeout_are_published_too() {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(frontend(1), Some(&with_topology(want("a", [1]))));
    assert!(bench.element(1).unwrap().has_topology);
    bench.bring(frontend(1), Some(&Desired { affinity: Some(60), ..with_topology(want("a", [1])) }));
    let element = bench.element(1).unwrap();
    assert_eq!((element.affinity, element.owner), (Some(60), Owner { id: 1, revision: 3 }));
}

#[test]
fn an_address_that_changes_hands_is_one_write_under_a_new_id() {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", [1, 2])));
    let steps = bench.mirror.steps(frontend(1), Some(&want("b", [3])));
    let ops: Vec<&str> = steps.iter().flat_map(|step| &step.ops).map(kind).collect();
    assert_eq!(ops, ["name", "put", "unname"], "never removed, never a moment without");
    for step in steps {
        bench.carry_out(step);
    }
    assert_eq!(bench.backends(1), Some(vec![3]));
    assert_eq!(
        bench.names().into_iter().map(|(id, key)| (id, key.service)).collect::<Vec<_>>(),
        [(2, name("b"))]
    );
}

#[test]
fn what_is_taken_back_leaves_nothing_behind() {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", 1..=20)));
    bench.bring(frontend(1), None);
    bench.grace();
    assert_eq!(bench.backends(1), None);
    assert!(bench.names().is_empty());
    assert_eq!(bench.mirror.free_backends(Family::V4), 64);
    assert_eq!(bench.mirror.services().count(), 0);
    assert!(bench.mirror.steps(frontend(1), None).is_empty());
}

#[test]
fn service_ids_are_promised_ahead_and_never_used_twice() {
    let mut bench = Bench::new(8, 64);
    let mut seen = std::collections::BTreeSet::new();
    for turn in 0..3000 {
        bench.bring(frontend(1), Some(&want(if turn % 2 == 0 { "a" } else { "b" }, [1])));
        let id = bench.element(1).unwrap().owner.id;
        assert!(seen.insert(id), "id {id} twice");
        assert!(id < bench.maps.memory().next_id, "id {id} was not promised");
    }
    assert!(bench.maps.memory().next_id < 3000 + 2048);
}

#[test]
fn a_region_is_used_again_only_after_a_grace_period_that_began_after_the_flip() {
    // Room for one region of four beside the one in use.
    let mut bench = Bench::new(8, 8);
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    let first = bench.element(1).unwrap().region;

    let early = bench.mirror.start_grace();
    assert_eq!(early, None, "nothing was given up yet");
    bench.bring(frontend(1), Some(&want("a", 2..=11)));
    let second = bench.element(1).unwrap().region;
    assert_ne!(first, second);
    let begun = bench.mirror.start_grace().unwrap();

    bench.bring(frontend(1), Some(&want("a", 2..=5)));
    assert_eq!(bench.mirror.free_backends(Family::V4), 0, "neither region may be used yet");
    bench.mirror.release(begun);
    assert_eq!(
        bench.mirror.free_backends(Family::V4),
        4,
        "the second was given up after that grace period began"
    );
    bench.bring(frontend(1), Some(&want("a", 3..=12)));
    assert_eq!(bench.element(1).unwrap().region, first);
}

#[test]
fn a_grace_period_of_maps_that_were_replaced_frees_nothing_in_the_new_ones() {
    let mut old = Bench::new(8, 8);
    old.bring(frontend(1), Some(&want("a", 1..=10)));
    old.bring(frontend(1), Some(&want("a", 2..=11)));
    let running = old.mirror.start_grace().unwrap();

    let mut new = Bench::new(8, 8);
    new.mirror = old.mirror.successor(new.mirror.capacity());
    new.bring(frontend(1), Some(&want("a", 1..=10)));
    new.bring(frontend(1), Some(&want("a", 2..=11)));
    new.mirror.release(running);
    assert_eq!(new.mirror.free_backends(Family::V4), 0, "given up after that grace period began");
    let own = new.mirror.start_grace().unwrap();
    new.mirror.release(own);
    assert_eq!(new.mirror.free_backends(Family::V4), 4);
}

#[test]
fn a_publication_that_fails_gives_its_region_back_and_changes_nothing() {
    let mut bench = Bench::new(8, 8);
    bench.bring(frontend(1), Some(&want("a", [1, 2])));
    for _ in 0..10 {
        for step in bench.mirror.steps(frontend(1), Some(&want("a", 1..=10))) {
            bench.mirror.abort(&step);
        }
    }
    assert_eq!(bench.mirror.free_backends(Family::V4), 8);
    assert_eq!(bench.backends(1), Some(vec![1, 2]));
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    assert_eq!(bench.backends(1), Some((1..=10).collect()));
}

#[test]
fn a_service_is_served_without_its_name_and_without_nothing_else() {
    let mut bench = Bench::new(8, 64);
    for step in bench.mirror.steps(frontend(1), Some(&want("a", 1..=9))) {
        for op in &step.ops {
            assert_eq!(op.is_only_a_name(), kind(op) == "name" || kind(op) == "unname", "{op:?}");
        }
        bench.carry_out(step);
    }
    for step in bench.mirror.steps(frontend(1), None) {
        let names: Vec<bool> = step.ops.iter().map(MapOp::is_only_a_name).collect();
        assert_eq!(names, [false, true]);
    }
}

proptest! {
    /// Two states in turn over many Services: whatever the order, what is wanted is reached, and
    /// every prefix of the writes leaves a state that holds (`carry_out` looks after each write).
    #[test]
    fn the_wanted_state_is_reached_and_nothing_dangles(
        states in prop::collection::vec(prop::collection::vec(0_u16..40, 5), 1..12),
    ) {
        let mut bench = Bench::new(8, 512);
        for (turn, counts) in states.iter().enumerate() {
            for (number, count) in (1_u8..).zip(counts) {
                let from = turn as u16 * 3;
                let wanted = (*count > 0).then(|| want(&format!("s{number}"), from..from + count - 1));
                bench.bring(frontend(number), wanted.as_ref());
            }
            for (number, count) in (1_u8..).zip(counts) {
                let from = turn as u16 * 3;
                let expected = (*count > 0).then(|| (from..from + count - 1).collect::<Vec<_>>());
                prop_assert_eq!(bench.backends(number), expected);
            }
            bench.grace();
        }
        for number in 1..=5 {
            bench.bring(frontend(number), None);
        }
        bench.grace();
        prop_assert_eq!(bench.mirror.free_backends(Family::V4), 512);
        prop_assert!(bench.maps.held().services.is_empty() && bench.maps.held().names.is_empty());
    }
}

fn kind(op: &MapOp) -> &'static str {
    match op {
        MapOp::NextId(_) => "next id",
        MapOp::Name { .. } => "name",
        MapOp::Fill { .. } => "fill",
        MapOp::Admit { .. } => "admit",
        MapOp::Put { .. } => "put",
        MapOp::Remove { .. } => "remove",
        MapOp::Unname { .. } => "unname",
        MapOp::Cell { .. } => "cell",
    }
}
