//! The loop as the programs count it, where the map has no place left.

use aya::maps::{Map, MapData, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use edgeloop_tests::Site;
use edgeloop_tests::kernel::Kernel;
use lb_agent::datapath::maps::bpf::Bpf;
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::plan::cells::{Cell, Within};
use lb_agent::plan::{MapOp, Maps as _};
use lb_common::layout::{CELL_REFUSED, Counted, LOOP, MOST_COUNTED};
use lb_common::outcome::Event;

const FIRST: &str = "10.96.0.11:80";
const LATE: &str = "10.96.0.12:80";

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
    kernel.publish(LATE, &[at]).unwrap();
    let dial = |target: &str, times: usize| {
        assert!(client.dial(target, times).unwrap().iter().all(|answer| answer.is_from("web")), "{target}");
    };
    let place = folder(&node.pin_root());
    let counted = |service: u32| {
        let all = PinnedMaps::open(&place).unwrap().counted().unwrap();
        all.into_iter().filter(|(key, _)| key.service == service).map(|(_, times)| times).sum::<u64>()
    };
    let uncounted = |kernel: &Kernel| kernel.events(Event::UncountedConnection).unwrap();

    // The ids of the two, in the order in which they were published.
    dial(FIRST, 3);
    assert_eq!((counted(1), counted(2), counted(0), uncounted(&kernel)), (3, 0, 0, 0));

    let map = Map::PerCpuHashMap(MapData::from_pin(place.join(LOOP.pin)).unwrap());
    let mut map: PerCpuHashMap<_, [u8; 8], u64> = map.try_into().unwrap();
    let key = |number: u32| -> [u8; 8] {
        bytemuck::cast(Counted { service: 1_000_000 + number, cell: 0, zero: 0 })
    };
    let zeros = || PerCpuValues::try_from(vec![0_u64; nr_cpus().unwrap()]).unwrap();
    let filled = (0..MOST_COUNTED).take_while(|number| map.insert(key(*number), zeros(), 0).is_ok()).count();
    assert!(filled + 10 > MOST_COUNTED as usize, "{filled}");

    // A cell that comes now is named, and an agent that starts now goes on, both without a place for a sum.
    let own = Cell { client_pool: Some("p1".into()), backend_pool: Some("p1".into()), within: Within::Pool };
    kernel.maps.write(&MapOp::Cell { number: 9, cell: own.clone() }).unwrap();
    assert_eq!(PinnedMaps::open(&place).unwrap().cells().unwrap().get(&9), Some(&own));
    let refused: [u8; 8] = bytemuck::cast(Counted { service: 0, cell: CELL_REFUSED, zero: 0 });
    map.remove(&refused).unwrap();
    map.insert(key(MOST_COUNTED), zeros(), 0).unwrap();
    Bpf::open(&place).unwrap();

    dial(LATE, 4);
    dial(FIRST, 2);
    assert_eq!((counted(1), counted(2), counted(0), uncounted(&kernel)), (5, 0, 4, 4), "the sum is right");

    let fillers = (0..filled as u32).chain([MOST_COUNTED]);
    fillers.for_each(|number| map.remove(&key(number)).unwrap());
    dial(LATE, 5_000);
    let (own, sum) = (counted(2), counted(0));
    println!("{own} of 5,000 counted for the Service, {sum} in sum alone");
    assert!(own > 0 && own + sum == 5_004, "{own} and {sum}");
}
