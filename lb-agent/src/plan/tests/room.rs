//! What happens when a map is full.

use super::super::Starved;
use super::*;

fn short(bench: &Bench, service: &str) -> Option<Starved> {
    bench.mirror.starved().get(&name(service))?.values().next().copied()
}

#[test]
fn a_full_front_end_leaves_the_next_service_untouched_and_says_so() {
    let mut bench = Bench::new(2, 8);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(frontend(2), Some(&want("b", [2])));
    bench.bring(frontend(3), Some(&want("c", [3])));
    assert_eq!(bench.backends(3), None);
    assert_eq!(short(&bench, "c"), Some(Starved::Frontends));
    assert!(bench.mirror.take_retryable().is_empty(), "no room: not worth a try");

    bench.bring(frontend(1), Some(&want("a", [4])));
    assert_eq!(bench.backends(1), Some(vec![4]), "what is there is still kept up");

    bench.bring(frontend(1), None);
    assert_eq!(bench.mirror.take_retryable(), [name("c")], "room: worth a try");
    bench.bring(frontend(3), Some(&want("c", [3])));
    assert_eq!(bench.backends(3), Some(vec![3]));
    assert_eq!(short(&bench, "c"), None);
}

#[test]
fn a_service_with_a_topology_takes_the_place_of_one_without() {
    let mut bench = Bench::new(2, 8);
    bench.bring(frontend(1), Some(&with_topology(want("a", [1]))));
    bench.bring(frontend(2), Some(&want("b", [2])));
    bench.bring(frontend(3), Some(&with_topology(want("c", [3]))));
    assert_eq!(bench.backends(1), Some(vec![1]));
    assert_eq!(bench.backends(2), None, "an untouched Service without a topology leaks nothing");
    assert_eq!(bench.backends(3), Some(vec![3]));
    assert_eq!(short(&bench, "b"), Some(Starved::Frontends));

    bench.bring(frontend(4), Some(&with_topology(want("d", [4]))));
    assert_eq!(bench.backends(4), None, "nobody is left to give way");
    assert_eq!(short(&bench, "d"), Some(Starved::Frontends));
}

#[test]
fn without_a_region_what_is_still_right_of_the_last_set_stays() {
    for (shows, last, wanted, left) in [
        ("all of the last set is right: it stays as it is", 1..=10, 1..=14, (1..=10).collect::<Vec<u16>>()),
        ("some of it", 1..=10, 4..=16, (4..=9).collect()),
        ("as many as fit inline", 1..=10, 2..=14, (2..=7).collect()),
        ("nothing of it: refused", 1..=10, 11..=23, vec![]),
    ] {
        // One region of four, which the Service itself has.
        let mut bench = Bench::new(8, 4);
        bench.bring(frontend(1), Some(&want("a", last)));
        bench.bring(frontend(1), Some(&want("a", wanted.clone())));
        let mut got = bench.backends(1).unwrap();
        if shows == "some of it" {
            // Seven survivors, and six places: the slots decide which.
            assert_eq!(got.len(), 6, "{shows}");
            assert!(got.iter().all(|number| (4..=10).contains(number)), "{shows}: {got:?}");
            got.clone_from(&left);
        }
        if shows == "as many as fit inline" {
            assert_eq!(got.len(), 6, "{shows}");
            assert!(got.iter().all(|number| (2..=10).contains(number)), "{shows}: {got:?}");
            got.clone_from(&left);
        }
        assert_eq!(got, left, "{shows}");
        assert_eq!(short(&bench, "a"), Some(Starved::Backends), "{shows}");
    }
}

#[test]
fn a_new_service_without_a_region_is_refused() {
    let mut bench = Bench::new(8, 4);
    bench.bring(frontend(1), Some(&with_topology(want("a", 1..=10))));
    bench.bring(frontend(2), Some(&with_topology(want("b", 1..=10))));
    assert_eq!(bench.backends(2), Some(vec![]), "never untouched, never another set than its own");
    assert_eq!(short(&bench, "b"), Some(Starved::Backends));

    bench.bring(frontend(1), None);
    assert!(bench.mirror.take_retryable().contains(&name("b")));
    bench.grace();
    bench.bring(frontend(2), Some(&with_topology(want("b", 1..=10))));
    assert_eq!(bench.backends(2), Some((1..=10).collect()));
}

#[test]
fn services_without_a_topology_give_their_regions_to_one_with() {
    let mut bench = Bench::new(8, 4);
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    bench.bring(frontend(2), Some(&with_topology(want("b", 11..=20))));
    assert_eq!(bench.backends(1).unwrap().len(), 6, "it goes on with what is inline");
    assert_eq!(bench.backends(2), Some(vec![]), "the region is not free before the grace period");
    assert_eq!(short(&bench, "a"), Some(Starved::Backends));

    bench.grace();
    assert_eq!(bench.mirror.take_retryable(), [name("a"), name("b")]);
    bench.bring(frontend(2), Some(&with_topology(want("b", 11..=20))));
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    assert_eq!(bench.backends(2), Some((11..=20).collect()));
    assert_eq!(bench.backends(1).unwrap().len(), 6);
    assert_eq!(short(&bench, "b"), None);
}

#[test]
fn a_service_that_lacks_room_and_goes_is_forgotten() {
    let mut bench = Bench::new(1, 4);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(frontend(2), Some(&want("b", [2])));
    assert!(bench.mirror.frontends_of(&name("b")).contains(&frontend(2)));
    bench.bring(frontend(2), None);
    assert_eq!(short(&bench, "b"), None);
    assert!(bench.mirror.frontends_of(&name("b")).is_empty());
}

#[test]
fn no_more_services_give_up_their_regions_than_are_needed() {
    // Two regions of four, each somebody's.
    for (shows, wanted, left) in [
        ("one region of four is enough", 11..=20, [6, 10]),
        ("a region of eight takes both", 11..=24, [6, 6]),
    ] {
        let mut bench = Bench::new(8, 8);
        bench.bring(frontend(1), Some(&want("a", 1..=10)));
        bench.bring(frontend(2), Some(&want("b", 1..=10)));
        bench.bring(frontend(3), Some(&with_topology(want("c", wanted.clone()))));
        assert_eq!([1, 2].map(|number| bench.backends(number).unwrap().len()), left, "{shows}");
        bench.grace();
        bench.bring(frontend(3), Some(&with_topology(want("c", wanted.clone()))));
        assert_eq!(bench.backends(3), Some(wanted.collect()), "{shows}");
    }
}

#[test]
fn what_lacks_room_is_said_with_the_map_and_the_flag() {
    for (short, map, flag) in [
        (Starved::Frontends, "services4", "--max-services"),
        (Starved::Backends, "backends4", "--max-backends"),
    ] {
        let text = short.describe();
        assert!(text.contains(map) && text.contains(flag), "{text}");
    }
}
