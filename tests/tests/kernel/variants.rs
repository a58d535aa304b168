//! The variants of the programs that other machines run, on this one.

use std::net::SocketAddr;

use anyhow::Result;
use aya::maps::{HashMap, Map};
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::pins::private_map;
use edgeloop_tests::{Call, Pod, Site, tally};
use lb_agent::datapath::programs::load::Features;
use lb_agent::plan::Capacity;
use lb_common::outcome::{Event, Outcome};

const SERVICE: &str = "10.96.0.11:80";
const EMPTY: &str = "10.96.0.12:80";
const GONE: &str = "10.96.0.99:80";
const CAPACITY: Capacity = Capacity::of(64, 1024);

/// Before Linux 5.18.
const OLD_KERNEL: Features = Features { may_set_errno: false, ..Features::THIS };
const ARM64: Features = Features { loads_reorder: true, ..Features::THIS };

#[test]
#[ignore = "needs root"]
fn without_bpf_set_retval_services_are_reached_all_the_same() {
    let world = World::new(OLD_KERNEL).unwrap();

    let all = [Call::Tcp, Call::FastOpen, Call::FastOpenConnect, Call::Mptcp, Call::BoundToDevice];
    let ways = Call::of_this_kernel(&all).unwrap();
    for how in ways.iter().copied() {
        let answer = world.client.call(how, SERVICE).unwrap();
        assert!(answer.is_from("web"), "{how:?}: {answer:?}");
        assert_eq!(answer.peer, Some(world.backend));
    }
    assert!(world.client.dial("[::ffff:10.96.0.11]:80", 1).unwrap()[0].is_from("web"));
    assert_eq!(world.kernel.count(Outcome::Forwarded).unwrap(), ways.len() as u64 + 1);
}

/// Loopback port 0 is answered with a reset by the client's own kernel, whatever listens there.
#[test]
#[ignore = "needs root"]
fn without_bpf_set_retval_an_empty_set_refuses_by_loopback_port_0() {
    let world = World::new(OLD_KERNEL).unwrap();

    for target in [EMPTY, "[::ffff:10.96.0.12]:80"] {
        let answer = world.client.dial(target, 1).unwrap().remove(0);
        assert!(answer.failed_with("ECONNREFUSED"), "{target}: {answer:?}");
        println!("{target} refused after {:?}", answer.took);
    }
    let ways = Call::of_this_kernel(&[Call::FastOpen, Call::Mptcp]).unwrap();
    for how in ways.iter().copied() {
        let answer = world.client.call(how, EMPTY).unwrap();
        assert!(answer.failed_with("ECONNREFUSED"), "{how:?}: {answer:?}");
    }
    assert_eq!(world.kernel.count(Outcome::NoBackends).unwrap(), ways.len() as u64 + 2);
}

/// It would wait for an answer from the device that never comes.
#[test]
#[ignore = "needs root"]
fn without_bpf_set_retval_a_socket_bound_to_a_device_gets_eperm() {
    let world = World::new(OLD_KERNEL).unwrap();

    for target in [EMPTY, "[::ffff:10.96.0.12]:80"] {
        let answer = world.client.call(Call::BoundToDevice, target).unwrap();
        assert!(answer.failed_with("EPERM"), "{target}: {answer:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn with_load_fences_every_way_out_is_the_same() {
    let mut world = World::new(ARM64).unwrap();
    // Its bits in the filter stay, so that the front end itself is asked.
    world.kernel.publish(GONE, &[]).unwrap();
    world.kernel.unpublish(GONE).unwrap();

    assert_eq!(tally(&world.client.dial(SERVICE, 50).unwrap()), [("web".to_owned(), 50)].into());
    assert_eq!(tally(&world.client.dial(EMPTY, 50).unwrap()), [("ECONNREFUSED".to_owned(), 50)].into());
    let missed = world.client.dial(GONE, 50).unwrap();
    assert_eq!(tally(&missed), [("ENETUNREACH".to_owned(), 50)].into());
    let lookup_retries = world.kernel.maps.counters().unwrap().event(Event::LookupRetry);
    assert_eq!(lookup_retries, 100 / 2, "a miss is looked at twice, because the first proves nothing");
}

/// A fence deletes a key that is not there, and fails where the kernel says anything else. That the key was there stands in
/// for a lock that it did not get.
#[test]
#[ignore = "needs root"]
fn what_is_read_around_a_fence_that_failed_proves_no_miss() {
    let mut world = World::new(ARM64).unwrap();
    world.kernel.publish(GONE, &[]).unwrap();
    world.kernel.unpublish(GONE).unwrap();
    let fences = private_map(world.client.node(), "FENCES").unwrap();
    let mut fences = HashMap::<_, u32, u32>::try_from(Map::HashMap(fences)).unwrap();
    for cpu in 0..64 {
        fences.insert(cpu, 0, 0).unwrap();
    }

    let retries = || {
        assert!(world.client.dial(GONE, 1).unwrap()[0].failed_with("ENETUNREACH"));
        world.kernel.events(Event::LookupRetry).unwrap()
    };
    assert_eq!(retries(), 2, "the counter after the first look proves nothing, nor that before the second");
    for cpu in 0..64 {
        fences.remove(&cpu).ok();
    }
    assert_eq!(retries(), 2 + 1, "with fences that hold, as ever");
}

#[test]
#[ignore = "needs root"]
fn with_load_fences_and_without_bpf_set_retval_it_loads_too() {
    let world = World::new(Features { loads_reorder: true, may_set_errno: false, ..Features::THIS }).unwrap();

    assert!(world.client.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    assert!(world.client.dial(EMPTY, 1).unwrap()[0].failed_with("ECONNREFUSED"));
}

struct World {
    kernel: Kernel,
    backend: SocketAddr,
    client: Pod,
    _web: Pod,
}

impl World {
    fn new(machine: Features) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        let backend = web.serve_name(9376)?;
        let mut kernel = Kernel::attach_on(&node, machine, CAPACITY)?;
        kernel.publish(SERVICE, &[backend])?;
        kernel.publish(EMPTY, &[])?;
        Ok(Self { kernel, backend, client, _web: web })
    }
}
