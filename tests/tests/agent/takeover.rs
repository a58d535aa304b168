//! What an agent does with pins that it finds: its own, older ones, halves, and strangers.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, element, in_kernel};
use edgeloop_tests::pins::generation;
use edgeloop_tests::{Answer, Pair, bpf};
use lb_common::layout::{MapSpec, NAMES, SERVICES4};
use nix::sys::signal::Signal;

const SERVICE: &str = Pair::SERVICE;
/// All that lies below a pin root while one generation is in use.
fn expected() -> Vec<String> {
    let links = [
        "connect4",
        "connect6",
        "getpeername4",
        "getpeername6",
        "recvmsg4",
        "recvmsg6",
        "sendmsg4",
        "sendmsg6",
    ];
    links.map(str::to_owned).into_iter().chain([generation()]).collect()
}

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
        let pair = Pair::new().unwrap();
        let agent = pair.agent(&[]).unwrap();
        let (load, used) = (pair.load().unwrap(), id(&pair));
        agent.end_by(Signal::SIGTERM).unwrap();
        let pin = of_generation(&pair, "services4");
        fs::remove_file(&pin).unwrap();
        bpf::create(&pin, &foreign, 16).unwrap();
        let theirs = bpf::id(&pin).unwrap();

        let agent = pair.agent(&[]).unwrap();

        assert_eq!(load.stop().unwrap().failed, [], "{foreign:?}");
        assert_ne!(bpf::id(&pin).unwrap(), theirs, "{}", agent.log());
        assert!(pair.is_served().unwrap(), "{foreign:?}");
        assert!(id(&pair) > used, "the id {used} was used in this boot");
        assert_eq!(pins(&pair), expected());
    }
}

#[test]
#[ignore = "needs root"]
fn maps_that_are_not_all_there_are_made_anew() {
    for missing in ["services4", "backends4", "outcomes", "epoch", "names"] {
        let pair = Pair::new().unwrap();
        pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
        let load = pair.load().unwrap();
        fs::remove_file(of_generation(&pair, missing)).unwrap();

        let _agent = pair.agent(&[]).unwrap();

        assert_eq!(load.stop().unwrap().failed, [], "{missing}");
        assert!(pair.is_served().unwrap(), "{missing}");
        assert_eq!(in_kernel(pair.client.node()).unwrap().services.len(), 1, "{missing}");
    }
}

#[test]
#[ignore = "needs root"]
fn an_older_layout_goes_once_ours_serves() {
    let pair = Pair::new().unwrap();
    fs::create_dir_all(pin(&pair, "v0")).unwrap();
    bpf::create(&pin(&pair, "v0/services4"), &MapSpec { value_size: 16, ..SERVICES4 }, 16).unwrap();

    let _agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap());
    assert_eq!(pins(&pair), expected());
}

#[test]
#[ignore = "needs root"]
fn halves_that_a_killed_start_left_are_swept() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    for half in ["new", "old"] {
        let half = pin(&pair, &format!("{}-{half}", generation()));
        fs::create_dir(&half).unwrap();
        bpf::create(&half.join("names"), &NAMES, 16).unwrap();
    }
    let load = pair.load().unwrap();

    let _agent = pair.agent(&[]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert_eq!(pins(&pair), expected());
}

#[test]
#[ignore = "needs root"]
fn other_sizes_mean_other_maps_in_which_service_ids_go_on() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let agent = Agent::start(node, &["--max-services", "64", "--max-backends", "256"]).unwrap();
    assert_eq!(fill_limit(&pair, "services4").unwrap(), 64);
    let before = (bpf::id(&of_generation(&pair, "services4")).unwrap(), id(&pair));
    let load = pair.load().unwrap();
    agent.end_by(Signal::SIGTERM).unwrap();

    let _agent = Agent::start(node, &["--max-services", "128", "--max-backends", "256"]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert_eq!(fill_limit(&pair, "services4").unwrap(), 128);
    assert_ne!(bpf::id(&of_generation(&pair, "services4")).unwrap(), before.0);
    assert_eq!(id(&pair), before.1);
    assert!(pair.is_served().unwrap());
}

/// Each start means other maps, and is killed a little later than the one before.
#[test]
#[ignore = "needs root"]
fn starts_that_are_killed_at_any_moment_lose_no_connection() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let sizes = |number: u64| (64 + number).to_string();
    pair.agent(&["--max-services", &sizes(0)]).unwrap().end_by(Signal::SIGKILL).unwrap();
    let load = pair.load().unwrap();

    for number in 1..=25 {
        let agent = Agent::spawn(node, &["--max-services", &sizes(number)]).unwrap();
        std::thread::sleep(Duration::from_millis(6 * number));
        agent.end_by(Signal::SIGKILL).unwrap();
        assert!(pair.is_served().unwrap(), "killed after {} ms", 6 * number);
    }
    let agent = pair.agent(&["--max-services", &sizes(26)]).unwrap();

    assert_eq!(load.stop().unwrap().failed, [], "{}", agent.log());
    assert_eq!(fill_limit(&pair, "services4").unwrap(), 64 + 26);
    assert_eq!(pins(&pair), expected());
}

#[test]
#[ignore = "needs root"]
fn the_links_follow_the_cgroup() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    Agent::start(node, &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    assert!(pair.is_served().unwrap());
    let other = pair.site.node("n2").unwrap();
    let elsewhere = other.pod("elsewhere", "10.244.1.9").unwrap();
    assert!(elsewhere.dial(SERVICE, 1).unwrap()[0].failed_with("ENETUNREACH"));

    let _agent = Agent::start(node, &["--cgroup", &other.cgroup().display().to_string()]).unwrap();

    assert!(elsewhere.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    wait_until_untouched(&pair);
}

#[test]
#[ignore = "needs root"]
fn a_link_that_somebody_took_away_is_made_again() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    fs::remove_file(pin(&pair, "connect4")).unwrap();
    wait_until_untouched(&pair);

    let _agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap());
}

fn id(pair: &Pair) -> u32 {
    element(pair.client.node(), SERVICE).unwrap().unwrap().id
}

fn fill_limit(pair: &Pair, map: &str) -> Result<u64> {
    let view = in_kernel(pair.client.node())?;
    let fill = view.maps.iter().find(|fill| fill.map == map);
    fill.map(|fill| fill.max_entries).context("no such map")
}

/// A link goes a moment after its last pin.
fn wait_until_untouched(pair: &Pair) {
    let untouched = |answer: &Answer| answer.failed_with("ENETUNREACH");
    pair.client.wait_until(SERVICE, untouched, Duration::from_secs(5)).unwrap();
}

fn of_generation(pair: &Pair, name: &str) -> PathBuf {
    pin(pair, &generation()).join(name)
}

fn pin(pair: &Pair, name: &str) -> PathBuf {
    pair.client.node().pin_root().join(name)
}

/// What lies in the pin root.
fn pins(pair: &Pair) -> Vec<String> {
    let entries = fs::read_dir(pair.client.node().pin_root()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
