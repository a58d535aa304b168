//! What happens when a map is full.

use super::super::Starved;
use super::*;

fn short(bench: &Bench, service: &str) -> Option<Starved> {
    bench.mirror.shortages().of(&name(service)).next().map(|(_, why)| why)
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
    assert_eq!(bench.backends(4), None, "no element is left to give way");
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
    for (short, family, map, flag) in [
        (Starved::Frontends, Family::V4, "maps", "--max-services"),
        (Starved::Backends, Family::V4, "backends4", "--max-backends"),
        (Starved::Backends, Family::V6, "backends6", "--max-backends"),
    ] {
        let text = short.describe(family).unwrap();
        assert!(text.contains(map) && text.contains(flag), "{text}");
    }
}

/// A pass over one Service after the other, as often as room is given back.
fn settle(bench: &mut Bench, all: &[(u8, &Desired)]) {
    for _ in 0..2 {
        for (number, desired) in all {
            bench.bring(frontend(*number), Some(desired));
        }
        bench.grace();
    }
}

#[test]
fn a_shortage_at_an_address_ends_when_another_service_is_published_there() {
    let mut bench = Bench::new(1, 8);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(frontend(2), Some(&want("late", [2])));
    assert_eq!(short(&bench, "late"), Some(Starved::Frontends));
    bench.bring(frontend(1), None);
    bench.bring(frontend(2), Some(&want("heir", [3])));

    assert_eq!(short(&bench, "late"), None);
    assert_eq!(bench.mirror.frontends_of(&name("late")).len(), 0, "nothing of heir's is late's to take back");
    assert_eq!(bench.backends(2), Some(vec![3]));
}

/// Its own old element is in the way of the room that it asks for.
#[test]
fn a_service_that_gets_a_topology_while_the_map_is_full_does_not_give_way_to_itself() {
    let mut bench = Bench::new(8, 4);
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    let wanted = with_topology(want("a", 11..=20));
    let steps = bench.mirror.steps(frontend(1), Some(&wanted));
    assert_eq!(steps.len(), 1, "one step for one address");
    for step in steps {
        bench.carry_out(step);
    }
    assert_eq!(bench.backends(1), Some(vec![]), "never a backend of the set before");
    bench.grace();
    bench.bring(frontend(1), Some(&wanted));
    assert_eq!(bench.backends(1), Some((11..=20).collect()));
}

#[test]
fn a_service_that_loses_its_topology_gives_way_to_one_that_lacks_room() {
    let mut bench = Bench::new(1, 8);
    bench.bring(frontend(1), Some(&with_topology(want("a", [1]))));
    bench.bring(frontend(2), Some(&with_topology(want("b", [2]))));
    assert_eq!(short(&bench, "b"), Some(Starved::Frontends));
    bench.mirror.take_retryable();

    bench.bring(frontend(1), Some(&want("a", [1])));
    assert_eq!(bench.mirror.take_retryable(), [name("b")]);
    bench.bring(frontend(2), Some(&with_topology(want("b", [2]))));
    assert_eq!((bench.backends(1), bench.backends(2)), (None, Some(vec![2])));
}

/// A map that is nearly empty, but for regions that wait for a grace period.
#[test]
fn room_that_a_grace_period_gives_back_is_no_shortage() {
    let mut bench = Bench::new(8, 32);
    bench.bring(frontend(1), Some(&want("a", 1..=14)));
    for turn in 2..40 {
        bench.bring(frontend(1), Some(&want("a", 1..=13 + turn % 2)));
        let left = bench.backends(1).unwrap();
        assert!(left.len() >= 13, "{} of 13, in turn {turn}", left.len());
        assert_ne!(short(&bench, "a"), Some(Starved::Backends));
        if turn % 4 == 0 {
            bench.grace();
        }
    }
    settle(&mut bench, &[(1, &want("a", 1..=14))]);
    assert_eq!((bench.backends(1), short(&bench, "a")), (Some((1..=14).collect()), None));
}

#[test]
fn what_grows_leaves_the_last_free_region_to_what_shrinks() {
    let mut bench = Bench::new(8, 16);
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    for last in 11..=13 {
        bench.bring(frontend(1), Some(&want("a", 1..=last)));
    }
    // One backend is gone: the set without it needs a region at once.
    bench.bring(frontend(1), Some(&want("a", 2..=10)));
    assert_eq!(bench.backends(1), Some((2..=10).collect()));
}

#[test]
fn an_element_counts_up_to_65535_backends_and_says_that_there_are_more() {
    let all = |count: u32| -> Desired {
        let backend = |number: u32| Backend {
            ip: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(),
            port: 80,
            cell: 0,
        };
        Desired { backends: (1..=count.min(65_535)).map(backend).collect(), ..want("a", []) }
    };
    let mut bench = Bench::new(2, 1 << 18);
    bench.bring(frontend(1), Some(&all(65_535)));
    assert_eq!((bench.element(1).unwrap().backends.len(), short(&bench, "a")), (65_535, None));
    bench.grace();
    bench.bring(frontend(1), Some(&Desired { excess: 1, ..all(65_536) }));
    assert_eq!(
        (bench.element(1).unwrap().backends.len(), short(&bench, "a")),
        (65_535, Some(Starved::Excess))
    );
}

/// Whose it was must not come back: the region that it gives up is not taken from it twice.
#[test]
fn an_address_that_changes_hands_while_the_map_is_full_is_not_written_for_the_one_before() {
    let mut bench = Bench::new(8, 4);
    bench.bring(frontend(1), Some(&want("a", 1..=7)));
    let steps = bench.mirror.steps(frontend(1), Some(&with_topology(want("b", 11..=21))));
    assert_eq!(steps.len(), 1, "one step for one address");
    for step in steps {
        bench.carry_out(step);
    }
    assert_eq!(bench.backends(1), Some(vec![]), "never a backend of a");
}

#[test]
fn a_topology_that_comes_or_goes_counts_at_once_even_without_room_for_more_backends() {
    for (shows, before, after) in [("comes", false, true), ("goes", true, false)] {
        let mut bench = Bench::new(1, 4);
        bench.bring(frontend(1), Some(&Desired { has_topology: before, ..want("a", 1..=10) }));
        bench.bring(frontend(1), Some(&Desired { has_topology: after, ..want("a", 1..=14) }));
        assert_eq!(bench.element(1).unwrap().has_topology, after, "{shows}");
        assert_eq!(bench.backends(1), Some((1..=10).collect()), "{shows}: all that was right is still there");

        bench.grace();
        bench.bring(frontend(2), Some(&with_topology(want("b", [1]))));
        assert_eq!(bench.backends(1).is_some(), after, "{shows}: who gives way");
        assert_eq!(bench.backends(2).is_some(), !after, "{shows}: who gives way");
    }
}

/// Without kube-proxy: what only refuses gives way to every service port, and comes back with the room.
#[test]
fn what_refuses_other_ports_gives_way_to_any_service_port() {
    let others = Frontend::other_ports([10, 96, 0, 1].into());
    let mut bench = Bench::new(2, 8);
    bench.bring(frontend(1), Some(&want("a", [1])));
    bench.bring(others, Some(&want("a", [])));
    bench.bring(frontend(2), Some(&want("b", [2])));
    assert_eq!((bench.backends(1), bench.backends(2)), (Some(vec![1]), Some(vec![2])));
    assert!(!bench.mirror.holds_any_at(&others));
    assert_eq!(short(&bench, "a"), Some(Starved::Frontends));

    bench.bring(others, Some(&want("a", [])));
    assert_eq!(
        (bench.backends(1), bench.backends(2)),
        (Some(vec![1]), Some(vec![2])),
        "nothing gives way to it"
    );
    bench.bring(frontend(2), None);
    assert_eq!(bench.mirror.take_retryable(), [name("a")]);
    bench.bring(others, Some(&want("a", [])));
    assert!(bench.mirror.holds_any_at(&others) && short(&bench, "a").is_none());
}
