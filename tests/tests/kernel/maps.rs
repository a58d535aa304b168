//! What the maps in memory (`plan/fake.rs`) were taught about the real ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use bytemuck::Pod;
use edgeloop_tests::kernel::{Kernel, frontend, key};
use edgeloop_tests::{Site, bpf};
use lb_agent::datapath::maps::pinned;
use lb_agent::datapath::programs::load::Features;
use lb_agent::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::cells::{Cell, Within};
use lb_agent::plan::fake::Fake;
use lb_agent::plan::{Backend, Capacity, Element, MapOp, Maps, Owner, Proof, WriteError};
use lb_common::layout::{
    self, BACKENDS4, BACKENDS6, BLOOM_WORDS, BLOOM4, BLOOM6, BloomWord, CELLS, EPOCH, Epoch, Frontend6,
    MOST_PLACES, MapSpec, NAMES, PLACES, Place, RegionEntry4, RegionEntry6, SERVICES4, SERVICES6, Service4,
    Service6, ServiceName,
};

/// So small that the kernel counts exactly (it does near the limit in larger ones, too).
const CAPACITY: Capacity = Capacity::of(4, 8);

/// Each case runs on the real maps and on the fake, and both agree.
type Case = fn(&mut dyn Maps);

#[test]
#[ignore = "needs root"]
fn a_full_hash_refuses_a_new_key() {
    on_both(CAPACITY, |maps| {
        fill(maps, CAPACITY.frontends);
        assert!(is_full(maps.write(&put(4, 1)), SERVICES4.pin));
        assert!(is_full(maps.write(&named(4)), NAMES.pin));
    });
}

/// The count that the kernel keeps for each CPU is exact there as well.
#[test]
#[ignore = "needs root"]
fn a_full_hash_of_many_elements_refuses_a_new_key() {
    const CAPACITY: Capacity = Capacity::of(1000, 8);
    on_both(CAPACITY, |maps| {
        fill(maps, CAPACITY.frontends);
        assert!(is_full(maps.write(&put(1000, 1)), SERVICES4.pin));
        assert!(is_full(maps.write(&named(1000)), NAMES.pin));
    });
}

#[test]
#[ignore = "needs root"]
fn a_full_hash_takes_another_value_for_a_key_that_it_has() {
    on_both(CAPACITY, |maps| {
        fill(maps, CAPACITY.frontends);
        maps.write(&put(2, 77)).unwrap();
        maps.write(&named(2)).unwrap();
        let held = maps.dump().unwrap();
        assert_eq!(held.services[&frontend("10.96.0.2:80").unwrap()].element.owner.id, 77);
    });
}

/// At once: the kernel frees the element later, but counts it no more.
#[test]
#[ignore = "needs root"]
fn a_key_that_is_removed_makes_room_for_another() {
    on_both(CAPACITY, |maps| {
        fill(maps, CAPACITY.frontends);
        for number in 4..500 {
            maps.write(&MapOp::Remove { frontend: at(number - 1) }).unwrap();
            maps.write(&put(number, 1)).unwrap();
            maps.write(&MapOp::Unname { id: number - 1 }).unwrap();
            maps.write(&named(number)).unwrap();
        }
    });
}

#[test]
#[ignore = "needs root"]
fn an_array_has_no_place_past_its_end() {
    on_both(CAPACITY, |maps| {
        maps.write(&region(0, 8)).unwrap();
        maps.write(&region(7, 1)).unwrap();
        assert!(is_full(maps.write(&region(8, 1)), BACKENDS4.pin));
        assert!(is_full(maps.write(&region(100, 4)), BACKENDS4.pin));
        assert!(is_full(maps.write(&region(6, 4)), BACKENDS4.pin), "one that ends past it");
    });
}

#[test]
#[ignore = "needs root"]
fn removing_what_is_not_there_is_no_error() {
    on_both(CAPACITY, |maps| {
        maps.write(&MapOp::Remove { frontend: at(3) }).unwrap();
        maps.write(&MapOp::Unname { id: 3 }).unwrap();
    });
}

#[test]
#[ignore = "needs root"]
fn what_was_written_is_read_back() {
    on_both(CAPACITY, |maps| {
        maps.write(&MapOp::NextId(1025)).unwrap();
        maps.write(&named(7)).unwrap();
        let element = Element {
            owner: Owner { id: 7, revision: 3 },
            has_topology: true,
            affinity: Some(60),
            backends: (0..9).map(backend).collect(),
            region: 2,
        };
        let put = MapOp::Put { frontend: at(1), element: element.clone() };
        maps.write(&put).unwrap();
        assert_eq!(maps.dump().unwrap().services[&at(1)].proof, Proof::Unproven, "its region is not its own");
        maps.write(&MapOp::Fill { at: 2, owner: element.owner, backends: (6..9).map(backend).collect() })
            .unwrap();
        let held = maps.dump().unwrap();
        assert_eq!((held.next_id, held.services.len(), held.names.len()), (1025, 1, 1));
        assert_eq!(held.services[&at(1)].element, element);
        assert_eq!(held.services[&at(1)].proof, Proof::Proven);
        assert_eq!(&*held.key(7).unwrap().service.name, "web");
    });
}

/// Of every map that an audit reads, and of `control`: it is not repeated before the digest is another one.
#[test]
#[ignore = "needs root"]
fn a_digest_is_another_one_while_a_byte_of_what_an_audit_reads_is() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let mut kernel = Kernel::open(&node, Features::THIS, CAPACITY).unwrap();
    let (maps, folder) = (&mut kernel.maps, pinned::folder(&node.pin_root()));
    let cell = Cell { client_pool: Some("p1".into()), backend_pool: None, within: Within::Pool };
    maps.write(&MapOp::Cell { number: 1, cell }).unwrap();
    maps.write(&named(7)).unwrap();
    let owner = Owner { id: 7, revision: 1 };
    for (at, to) in [("10.96.0.1:80", "10.244.0.1:9376"), ("[fd00:96::1]:80", "[fd00:244::1]:9376")] {
        let backends = [Backend::from(to.parse::<SocketAddr>().unwrap()); 9];
        let element = Element { owner, backends: backends.into_iter().collect(), ..Element::default() };
        maps.write(&MapOp::Fill { at: 0, owner, backends: backends[6..].to_vec() }).unwrap();
        maps.write(&MapOp::Put { frontend: frontend(at).unwrap(), element }).unwrap();
    }
    let whole = maps.digest().unwrap();
    assert_eq!(maps.digest().unwrap(), whole, "nothing changed");

    let key6 = Frontend6 {
        address: "fd00:96::1".parse::<Ipv6Addr>().unwrap().octets(),
        port: 80_u16.to_be_bytes(),
        protocol: 6,
        zero: [0; 5],
    };
    let mut differs = |map: &str| assert_ne!(maps.digest().unwrap(), whole, "{map}");
    while_a_byte_differs::<_, Service4>(&folder, &SERVICES4, &key("10.96.0.1:80").unwrap(), &mut differs);
    while_a_byte_differs::<_, Service6>(&folder, &SERVICES6, &key6, &mut differs);
    while_a_byte_differs::<_, RegionEntry4>(&folder, &BACKENDS4, &2_u32, &mut differs);
    while_a_byte_differs::<_, RegionEntry6>(&folder, &BACKENDS6, &2_u32, &mut differs);
    while_a_byte_differs::<_, BloomWord>(&folder, &BLOOM4, &(BLOOM_WORDS - 1), &mut differs);
    while_a_byte_differs::<_, BloomWord>(&folder, &BLOOM6, &0_u32, &mut differs);
    while_a_byte_differs::<_, ServiceName>(&folder, &NAMES, &7_u32, &mut differs);
    while_a_byte_differs::<_, layout::Cell>(&folder, &CELLS, &1_u32, &mut differs);
    while_a_byte_differs::<_, Place>(&folder, &PLACES, &(MOST_PLACES - 1), &mut differs);
    assert_eq!(maps.digest().unwrap(), whole, "all is as it was");

    maps.write(&MapOp::NextId(8)).unwrap();
    let promised = maps.digest().unwrap();
    assert_ne!(promised, whole, "the next service id");
    maps.write(&MapOp::Admit { frontend: frontend("0.0.0.0:30080").unwrap() }).unwrap();
    assert_ne!(maps.digest().unwrap(), promised, "the range of node ports");
}

/// Changes the last byte of an element, or adds one that there is not, looks, and takes that back.
fn while_a_byte_differs<K: Pod, V: Pod>(folder: &Path, spec: &MapSpec, key: &K, look: &mut impl FnMut(&str)) {
    let path = folder.join(spec.pin);
    let map = bpf::Pinned::<K, V>::open(&path).unwrap();
    let held = map.read(key).unwrap();
    let mut other = held.unwrap_or_else(V::zeroed);
    *bytemuck::bytes_of_mut(&mut other).last_mut().unwrap() ^= 1;
    map.write(key, &other).unwrap();
    look(spec.pin);
    match held {
        Some(held) => map.write(key, &held).unwrap(),
        None => bpf::delete(&path, key).unwrap(),
    }
}

/// Odd only while a write is under way.
#[test]
#[ignore = "needs root"]
fn the_epoch_moves_with_every_front_end_write_and_ends_even() {
    let (_site, mut kernel) = kernel(CAPACITY).unwrap();
    let mut last = kernel.maps.sequence();
    for op in [put(1, 1), put(1, 2), put(2, 1), MapOp::Remove { frontend: at(1) }] {
        kernel.maps.write(&op).unwrap();
        let now = kernel.maps.sequence();
        assert_eq!(now, last + 2);
        assert_eq!(now % 2, 0);
        last = now;
    }
}

/// Lookups that find nothing would be repeated until the next write, which may be hours away.
#[test]
#[ignore = "needs root"]
fn an_epoch_that_a_killed_agent_left_odd_is_even_once_the_maps_are_opened_again() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    drop(Kernel::attach_on(&node, Features::THIS, CAPACITY).unwrap());
    let path = pinned::folder(&node.pin_root()).join(EPOCH.pin);
    bpf::update(&path, &0_u32, &Epoch { writes: 7, zero: 0 }).unwrap();

    let kernel = Kernel::adopt(&node).unwrap();

    assert_eq!(kernel.maps.sequence(), 8);
}

fn on_both(capacity: Capacity, case: Case) {
    let (_site, mut kernel) = kernel(capacity).unwrap();
    case(&mut kernel.maps);
    case(&mut Fake::new(capacity));
}

fn kernel(capacity: Capacity) -> Result<(Site, Kernel)> {
    let site = Site::new()?;
    let kernel = Kernel::open(&site.node("n1")?, Features::THIS, capacity)?;
    Ok((site, kernel))
}

fn fill(maps: &mut dyn Maps, elements: u32) {
    for number in 0..elements {
        maps.write(&put(number, number)).unwrap();
        maps.write(&named(number)).unwrap();
    }
}

fn is_full(result: Result<(), WriteError>, of: &str) -> bool {
    matches!(result, Err(WriteError::Full { map }) if map == of)
}

fn put(number: u32, id: u32) -> MapOp {
    let owner = Owner { id, revision: 1 };
    MapOp::Put { frontend: at(number), element: Element { owner, ..Element::default() } }
}

fn at(number: u32) -> Frontend {
    frontend(&format!("10.96.{}.{}:80", number / 256, number % 256)).unwrap()
}

fn backend(number: u8) -> Backend {
    Backend { ip: [10, 244, 0, number].into(), port: 9376, cell: 0 }
}

fn named(id: u32) -> MapOp {
    let key = ServicePortKey {
        service: ObjectName::new("default", "web"),
        port_name: "".into(),
        protocol: Protocol::Tcp,
        family: Family::V4,
    };
    MapOp::Name { id, key }
}

fn region(from: u32, entries: u8) -> MapOp {
    let owner = Owner { id: 9, revision: 1 };
    MapOp::Fill { at: from, owner, backends: (0..entries).map(backend).collect() }
}
