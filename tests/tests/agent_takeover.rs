//! What an agent does with pins that it finds: its own, older ones, halves, and strangers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, Folder, element, in_kernel};
use edgeloop_tests::{Answer, Load, Pod, Site, bpf};
use lb_common::layout::{MapSpec, NAMES, SERVICES4};
use nix::sys::signal::Signal;

const SERVICE: &str = "10.96.0.11:80";

/// aya would use whatever lies under the name: an agent that did would read and write beyond elements.
#[test]
#[ignore = "needs root"]
fn a_map_of_other_sizes_under_our_name_is_never_used_as_ours() {
    for foreign in [
        MapSpec { value_size: 16, ..SERVICES4 },
        MapSpec { value_size: 256, ..SERVICES4 },
        MapSpec { key_size: 16, ..SERVICES4 },
        MapSpec { flags: 0, ..SERVICES4 },
    ] {
        let world = World::new().unwrap();
        let agent = Agent::start(world.client.node(), &[]).unwrap();
        let (load, used) = (world.load().unwrap(), id(&world));
        agent.end_by(Signal::SIGTERM).unwrap();
        let pin = world.pin("v1/services4");
        fs::remove_file(&pin).unwrap();
        bpf::create(&pin, &foreign, 16).unwrap();
        let theirs = bpf::id(&pin).unwrap();

        let agent = Agent::start(world.client.node(), &[]).unwrap();

        assert_eq!(load.stop().unwrap().failed, [], "{foreign:?}");
        assert_ne!(bpf::id(&pin).unwrap(), theirs, "{}", agent.log());
        assert!(world.is_served(), "{foreign:?}");
        assert!(id(&world) > used, "the id {used} was used in this boot");
        assert_eq!(world.pins(), ["connect4", "connect6", "v1"]);
    }
}

#[test]
#[ignore = "needs root"]
fn maps_that_are_not_all_there_are_made_anew() {
    for missing in ["services4", "backends4", "outcomes", "epoch", "names"] {
        let world = World::new().unwrap();
        Agent::start(world.client.node(), &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
        let load = world.load().unwrap();
        fs::remove_file(world.pin("v1").join(missing)).unwrap();

        let _agent = Agent::start(world.client.node(), &[]).unwrap();

        assert_eq!(load.stop().unwrap().failed, [], "{missing}");
        assert!(world.is_served(), "{missing}");
        assert_eq!(in_kernel(world.client.node()).unwrap().services.len(), 1, "{missing}");
    }
}

#[test]
#[ignore = "needs root"]
fn an_older_layout_goes_once_ours_serves() {
    let world = World::new().unwrap();
    fs::create_dir_all(world.pin("v0")).unwrap();
    bpf::create(&world.pin("v0/services4"), &MapSpec { value_size: 16, ..SERVICES4 }, 16).unwrap();

    let _agent = Agent::start(world.client.node(), &[]).unwrap();

    assert!(world.is_served());
    assert_eq!(world.pins(), ["connect4", "connect6", "v1"]);
}

#[test]
#[ignore = "needs root"]
fn halves_that_a_killed_start_left_are_swept() {
    let world = World::new().unwrap();
    Agent::start(world.client.node(), &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    for half in ["v1-new", "v1-old"] {
        fs::create_dir(world.pin(half)).unwrap();
        bpf::create(&world.pin(half).join("names"), &NAMES, 16).unwrap();
    }
    let load = world.load().unwrap();

    let _agent = Agent::start(world.client.node(), &[]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert_eq!(world.pins(), ["connect4", "connect6", "v1"]);
}

/// Killed between its two renames, a start leaves `v1-old` and `v1-new` and no `v1`: the programs run on
/// maps that have no name of use.
#[test]
#[ignore = "needs root"]
fn a_start_that_was_killed_between_its_renames_is_finished_by_the_next() {
    let world = World::new().unwrap();
    Agent::start(world.client.node(), &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let used = id(&world);
    fs::rename(world.pin("v1"), world.pin("v1-new")).unwrap();
    let load = world.load().unwrap();

    let _agent = Agent::start(world.client.node(), &[]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert!(world.is_served());
    assert!(id(&world) > used, "the id {used} was used in this boot");
    assert_eq!(world.pins(), ["connect4", "connect6", "v1"]);
}

#[test]
#[ignore = "needs root"]
fn other_sizes_mean_other_maps_and_no_service_id_is_used_again() {
    let world = World::new().unwrap();
    let node = world.client.node();
    let agent = Agent::start(node, &["--max-services", "64", "--max-backends", "256"]).unwrap();
    assert_eq!(fill_limit(&world, "services4").unwrap(), 64);
    let before = (bpf::id(&world.pin("v1/services4")).unwrap(), id(&world));
    let load = world.load().unwrap();
    agent.end_by(Signal::SIGTERM).unwrap();

    let _agent = Agent::start(node, &["--max-services", "128", "--max-backends", "256"]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert_eq!(fill_limit(&world, "services4").unwrap(), 128);
    assert_ne!(bpf::id(&world.pin("v1/services4")).unwrap(), before.0);
    assert!(id(&world) > before.1, "the id {} was used in this boot", before.1);
    assert!(world.is_served());
}

#[test]
#[ignore = "needs root"]
fn the_links_follow_the_cgroup() {
    let world = World::new().unwrap();
    let node = world.client.node();
    Agent::start(node, &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    assert!(world.is_served());
    let other = world.site.node("n2").unwrap();
    let elsewhere = other.pod("elsewhere", "10.244.1.9").unwrap();
    assert!(elsewhere.dial(SERVICE, 1).unwrap()[0].failed_with("ENETUNREACH"));

    let _agent = Agent::start(node, &["--cgroup", &other.cgroup().display().to_string()]).unwrap();

    assert!(elsewhere.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    world.wait_until_untouched();
}

#[test]
#[ignore = "needs root"]
fn a_link_that_somebody_took_away_is_made_again() {
    let world = World::new().unwrap();
    Agent::start(world.client.node(), &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    fs::remove_file(world.pin("connect4")).unwrap();
    world.wait_until_untouched();

    let _agent = Agent::start(world.client.node(), &[]).unwrap();

    assert!(world.is_served());
}

fn id(world: &World) -> u32 {
    element(world.client.node(), SERVICE).unwrap().unwrap().id
}

fn fill_limit(world: &World, map: &str) -> Result<u64> {
    let view = in_kernel(world.client.node())?;
    let fill = view.maps.iter().find(|fill| fill.map == map);
    fill.map(|fill| fill.max_entries).context("no such map")
}

struct World {
    client: Pod,
    _web: Pod,
    site: Site,
}

impl World {
    /// One Service with one backend, on another node.
    fn new() -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        web.serve_name(9376)?;
        let lines = format!("node n1\nnode n3\nservice web {SERVICE}\nslice web-1 of web 9376 10.244.1.3@n3");
        Folder::of(&node)?.put("all.yaml", &lines)?;
        Ok(Self { client, _web: web, site })
    }

    fn load(&self) -> Result<Load> {
        self.client.dial_continuously(SERVICE, 500, 2)
    }

    fn is_served(&self) -> bool {
        self.client.dial(SERVICE, 1).unwrap()[0].is_from("web")
    }

    /// A link goes a moment after its last pin.
    fn wait_until_untouched(&self) {
        let untouched = |answer: &Answer| answer.failed_with("ENETUNREACH");
        self.client.wait_until(SERVICE, untouched, Duration::from_secs(5)).unwrap();
    }

    fn pin(&self, name: &str) -> PathBuf {
        self.client.node().pin_root().join(name)
    }

    /// What lies in the pin root.
    fn pins(&self) -> Vec<String> {
        let entries = fs::read_dir(self.client.node().pin_root()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
