//! Another process writes into the maps: the audit finds and repairs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::Ipv4Addr;
use std::path::PathBuf;

use edgeloop_tests::agent::{Agent, element, in_kernel, lb_agent_says, wait_for};
use edgeloop_tests::kernel::{frontend, key};
use edgeloop_tests::{Pair, bpf};
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::plan::{Element, Observed};
use lb_common::element::check;
use lb_common::family::V4;
use lb_common::layout::{
    Backend4, HOST_ADDRESSES, HostAddress, HostKey, RegionEntry4, Service4, ServiceName,
};
use nix::sys::signal::Signal;

const LARGE: &str = "10.96.0.12:80";

/// What another process does to the maps.
type Tamper = fn(&World);

#[test]
#[ignore = "needs root"]
fn what_another_process_changed_is_repaired_within_the_audit_interval() {
    let tampers: [(&str, Tamper); 9] = [
        ("an element is deleted", |world| {
            bpf::delete(&world.map("services4"), &key(Pair::SERVICE).unwrap()).unwrap()
        }),
        ("an element points elsewhere, and proves itself", |world| {
            world.change(|value| value.inline[0].address = [10, 66, 66, 66]);
        }),
        ("an element does not prove itself", |world| world.change_unproven(|value| value.check ^= 1)),
        ("an element refuses", |world| world.change(|value| value.count = 0)),
        ("an element of no Service", |world| {
            let key = key("10.96.66.66:80").unwrap();
            let mut value = Service4 { id: 66_666, revision: 1, count: 1, ..Service4::default() };
            value.inline[0] = Backend4 { address: [10, 66, 66, 66], port: [0, 80], place: 0 };
            value.check = check::<V4>(&key, &value);
            bpf::update(&world.map("services4"), &key, &value).unwrap();
        }),
        ("a region entry points elsewhere", |world| {
            let large = world.large();
            let backend = Backend4 { address: [10, 66, 66, 66], port: [0, 80], place: 0 };
            let entry = RegionEntry4 { id: large.owner.id, revision: large.owner.revision, backend };
            bpf::update(&world.map("backends4"), &large.region, &entry).unwrap();
        }),
        ("a region is of another", |world| {
            let large = world.large();
            bpf::update(&world.map("backends4"), &large.region, &RegionEntry4::default()).unwrap();
        }),
        ("a name is deleted", |world| {
            let id = element(world.pair.client.node(), LARGE).unwrap().unwrap().id;
            bpf::delete(&world.map("names"), &id).unwrap();
        }),
        ("a name of no Service", |world| {
            let name: ServiceName = bytemuck::Zeroable::zeroed();
            bpf::update(&world.map("names"), &66_666_u32, &name).unwrap();
        }),
    ];
    let mut world = World::new();
    // Each twice: also what was found before is found again.
    for (shows, tamper) in tampers.into_iter().flat_map(|tamper| [tamper; 2]) {
        let before = world.meaning();
        // So that it does not repair before we have looked.
        world.agent.signal(Signal::SIGSTOP).unwrap();
        tamper(&world);
        assert_ne!(world.meaning(), before, "{shows}");
        world.agent.signal(Signal::SIGCONT).unwrap();
        wait_for(shows, || Ok(world.meaning() == before)).unwrap();
    }
    assert!(world.agent.log().contains("the maps were not as they were written"), "{}", world.agent.log());
    assert!(world.pair.is_served().unwrap());
}

/// Without them node ports are not served. They are no Service's: an audit that finds nothing looks at them too.
#[test]
#[ignore = "needs root"]
fn addresses_of_the_host_that_another_process_takes_away_come_back() {
    let pair = Pair::new().unwrap();
    let _agent = pair.agent(&["--audit-interval", "1", "--nodeport-localhost"]).unwrap();
    let path = folder(&pair.client.node().pin_root()).join(HOST_ADDRESSES.pin);
    let map: bpf::Pinned<HostKey, HostAddress> = bpf::Pinned::open(&path).unwrap();
    let key = HostKey { address: Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets() };
    let is_there = || Ok(map.read(&key)?.is_some());
    wait_for("the address is there", is_there).unwrap();
    for shows in ["it is there again", "and once more"] {
        bpf::delete(&path, &key).unwrap();
        wait_for(shows, is_there).unwrap();
    }
}

/// `status` reads what is there, whatever it is.
#[test]
#[ignore = "needs root"]
fn status_shows_an_element_that_does_not_prove_itself() {
    let world = World::new();
    drop(world.agent);
    let map = folder(&world.pair.client.node().pin_root()).join("services4");
    let key = key(Pair::SERVICE).unwrap();
    bpf::update(&map, &key, &Service4 { id: 7, count: 1, ..Service4::default() }).unwrap();

    let shown = element(world.pair.client.node(), Pair::SERVICE).unwrap().unwrap();

    assert_eq!(shown.outcome, "unproven");
    assert!(world.pair.dial(Pair::SERVICE).unwrap().failed_with("ECONNREFUSED"), "never let through");
    let output = lb_agent_says(world.pair.client.node(), "status", &[]).unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("unproven"));
}

struct World {
    agent: Agent,
    pair: Pair,
}

impl World {
    /// Beside the Service `web` one with a region.
    fn new() -> Self {
        let pair = Pair::new().unwrap();
        let lines = "service large 10.96.0.12:80\nslice large-1 of large 9376 10.244.1.3 10.245.0.1..9";
        pair.folder.put("large.yaml", lines).unwrap();
        let agent = pair.agent(&["--audit-interval", "1"]).unwrap();
        Self { agent, pair }
    }

    fn map(&self, name: &str) -> PathBuf {
        folder(&self.pair.client.node().pin_root()).join(name)
    }

    fn held(&self) -> Observed {
        PinnedMaps::open(&folder(&self.pair.client.node().pin_root())).unwrap().dump().unwrap()
    }

    fn large(&self) -> Element {
        self.held().services[&frontend(LARGE).unwrap()].element.clone()
    }

    /// What is in the kernel for whom, whatever its revision and place.
    fn meaning(&self) -> Vec<(String, String, String, Vec<String>, usize)> {
        let names = self.held().names.len();
        let services = in_kernel(self.pair.client.node()).unwrap().services.into_iter();
        services.map(|view| (view.address, view.service, view.outcome, view.backends, names)).collect()
    }

    fn change(&self, change: impl FnOnce(&mut Service4)) {
        self.change_unproven(|value| {
            change(value);
            value.check = check::<V4>(&key(Pair::SERVICE).unwrap(), value);
        });
    }

    fn change_unproven(&self, change: impl FnOnce(&mut Service4)) {
        let key = key(Pair::SERVICE).unwrap();
        let mut value: Service4 =
            bpf::Pinned::open(&self.map("services4")).unwrap().read(&key).unwrap().unwrap();
        change(&mut value);
        bpf::update(&self.map("services4"), &key, &value).unwrap();
    }
}
