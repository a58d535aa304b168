//! The loop as the programs count it: each Service at a place of its own, while there are any.

use std::collections::BTreeSet;

use aya::maps::{HashMap, Map, MapData};
use edgeloop_tests::Site;
use edgeloop_tests::kernel::Kernel;
use lb_agent::datapath::maps::bpf::Bpf;
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::plan::cells::{Cell, Within};
use lb_agent::plan::{MapOp, Maps as _};
use lb_common::layout::{CELL_REFUSED, MOST_CELLS, MOST_PLACES, PLACES, Place};
use lb_common::outcome::Event;

const FIRST: &str = "10.96.0.11:80";
const LATE: &str = "10.96.0.12:80";
const NONE: &str = "10.96.0.13:80";

#[test]
#[ignore = "needs root"]
fn without_a_place_a_connection_is_counted_in_sum_and_a_free_place_is_found_again() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let client = node.pod("client", "10.244.1.2").unwrap();
    let backend = site.node("n3").unwrap().pod("web", "10.244.1.3").unwrap();
    let at = backend.serve_name(9376).unwrap();
    let mut kernel = Kernel::attach(&node).unwrap();
    kernel.publish(FIRST, &[at]).unwrap();
    let dial = |target: &str, times: usize| {
        assert!(client.dial(target, times).unwrap().iter().all(|answer| answer.is_from("web")), "{target}");
    };
    let pins = folder(&node.pin_root());
    let counted = |service: u32| {
        let all = PinnedMaps::open(&pins).unwrap().counted().unwrap();
        all.into_iter().filter(|(key, _)| key.service == service).map(|(_, times)| times).sum::<u64>()
    };
    let uncounted = |kernel: &Kernel| kernel.events(Event::UncountedConnection).unwrap();

    // The ids are in the order in which the Services are published.
    dial(FIRST, 3);
    assert_eq!((counted(1), counted(0), uncounted(&kernel)), (3, 0, 0));

    // Every other place is given to Services that this agent does not know, and the agent starts anew.
    let map = Map::HashMap(MapData::from_pin(pins.join(PLACES.pin)).unwrap());
    let mut map: HashMap<_, u32, [u8; 16]> = map.try_into().unwrap();
    for number in MOST_CELLS + 1..MOST_PLACES {
        let place = Place { service: 1_000_000 + number, cell: 0, zero: 0, base: 0 };
        map.insert(number, bytemuck::cast::<Place, [u8; 16]>(place), 0).unwrap();
    }
    kernel.maps = Bpf::open(&pins).unwrap();
    kernel.publish(LATE, &[at]).unwrap();
    kernel.publish(NONE, &[]).unwrap();

    // A cell that comes now is named all the same.
    let own = Cell { client_pool: Some("p1".into()), backend_pool: Some("p1".into()), within: Within::Pool };
    kernel.maps.write(&MapOp::Cell { number: 9, cell: own.clone() }).unwrap();
    assert_eq!(PinnedMaps::open(&pins).unwrap().cells().unwrap().get(&9), Some(&own));

    dial(LATE, 4);
    dial(FIRST, 2);
    client.dial(NONE, 2).unwrap();
    assert_eq!((counted(1), counted(2), counted(3)), (5, 0, 0));
    assert_eq!((counted(0), uncounted(&kernel)), (6, 6), "the sum is right");
    let all = PinnedMaps::open(&pins).unwrap().counted().unwrap();
    let refused = all.iter().find(|(key, _)| key.cell == CELL_REFUSED);
    assert_eq!(refused.map(|(_, times)| *times), Some(2));

    // They are gone. A place is free at the second time that its Service is not in use, and what it counted stays.
    let in_use = BTreeSet::from([1, 2, 3]);
    kernel.maps.sum_up_all_but(&in_use).unwrap();
    let again = |kernel: &mut Kernel| {
        kernel.publish(LATE, &[]).unwrap();
        kernel.publish(LATE, &[at]).unwrap();
    };
    again(&mut kernel);
    dial(LATE, 1);
    assert_eq!((counted(2), counted(0)), (0, 7), "not yet");
    kernel.maps.sum_up_all_but(&in_use).unwrap();
    again(&mut kernel);
    dial(LATE, 5);
    assert_eq!((counted(1), counted(2), counted(0), uncounted(&kernel)), (5, 5, 7, 7));
    assert_eq!(map.keys().count(), 3, "what goes to FIRST and to LATE, and what LATE refused");

    kernel.maps.sum_up_all_but(&BTreeSet::from([2, 3])).unwrap();
    kernel.maps.sum_up_all_but(&BTreeSet::from([2, 3])).unwrap();
    assert_eq!((counted(1), counted(2), counted(0)), (0, 5, 12), "what is gone is in the sum");
}

/// As maps do that were to take the place of these, where that failed.
#[test]
#[ignore = "needs root"]
fn a_place_that_other_maps_gave_out_counts_what_it_was_given_out_for() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let client = node.pod("client", "10.244.1.2").unwrap();
    let backend = site.node("n3").unwrap().pod("web", "10.244.1.3").unwrap();
    let at = backend.serve_name(9376).unwrap();
    let mut kernel = Kernel::attach(&node).unwrap();
    let pins = folder(&node.pin_root());
    let map = Map::HashMap(MapData::from_pin(pins.join(PLACES.pin)).unwrap());
    let mut map: HashMap<_, u32, [u8; 16]> = map.try_into().unwrap();
    for (number, service) in [(MOST_CELLS, 77), (MOST_CELLS + 1, 1)] {
        let place = Place { service, cell: 0, zero: 0, base: u64::MAX };
        map.insert(number, bytemuck::cast::<Place, [u8; 16]>(place), 0).unwrap();
    }

    kernel.publish(FIRST, &[at]).unwrap();
    client.dial(FIRST, 3).unwrap();

    // A base of one below zero adds one to what is counted.
    let mut counted: Vec<(u32, u64)> = PinnedMaps::open(&pins)
        .unwrap()
        .counted()
        .unwrap()
        .iter()
        .map(|(key, times)| (key.service, *times))
        .collect();
    counted.sort_unstable();
    assert_eq!(counted, [(1, 4), (77, 1)], "of another nothing is counted, and what this one had is kept");
}
