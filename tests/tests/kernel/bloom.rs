//! The Bloom filter in front of the front end.

use anyhow::Result;
use aya::maps::{Array, Map, MapData};
use edgeloop_tests::kernel::{Kernel, key};
use edgeloop_tests::{Node, Site};
use lb_agent::datapath::maps::pinned;
use lb_agent::plan::Maps;
use lb_common::bloom::place;
use lb_common::family::V4;
use lb_common::layout::{BLOOM4, BloomWord};

const SERVICE: &str = "10.96.0.10:80";

/// Without its bits a Service is not seen by the programs, which shows that they ask for them; an
/// audit sets them again, and clears those of a Service that is gone.
#[test]
#[ignore = "needs root"]
fn bits_that_another_program_clears_come_back_and_those_of_a_gone_service_go() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let web = node.pod("web", "10.244.0.3").unwrap();
    let backend = web.serve_name(8080).unwrap();
    let client = node.pod("client", "10.244.0.2").unwrap();
    let dial = || client.dial(SERVICE, 1).unwrap().remove(0);

    let mut kernel = Kernel::attach(&node).unwrap();
    kernel.publish(SERVICE, &[backend]).unwrap();
    assert!(dial().is_from("web"));

    let (word, bits) = place::<V4>(&key(SERVICE).unwrap());
    let mut bits_held: Array<_, BloomWord> = Array::try_from(open_filter(&node).unwrap()).unwrap();
    assert_eq!(bits_held.get(&word, 0).unwrap().bits, bits);
    bits_held.set(word, BloomWord::default(), 0).unwrap();
    assert!(dial().failed_with("ENETUNREACH"));

    let observed = kernel.maps.dump().unwrap();
    kernel.maps.repair(&observed).unwrap();
    assert!(dial().is_from("web"));

    kernel.unpublish(SERVICE).unwrap();
    assert_eq!(bits_held.get(&word, 0).unwrap().bits, bits, "they cost nothing but time");
    let observed = kernel.maps.dump().unwrap();
    kernel.maps.repair(&observed).unwrap();
    assert_eq!(bits_held.get(&word, 0).unwrap().bits, 0);
}

fn open_filter(node: &Node) -> Result<Map> {
    let path = pinned::folder(&node.pin_root()).join(BLOOM4.pin);
    Ok(Map::from_map_data(MapData::from_pin(path)?)?)
}
