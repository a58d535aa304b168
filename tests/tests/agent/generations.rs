//! Generations of maps: which one is in use, what goes on in the next, and what waits.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use edgeloop_tests::agent::{Agent, element, in_kernel, lb_agent_says, program, wait_for};
use edgeloop_tests::pins::{assert_one_generation, wait_for_one_generation};
use edgeloop_tests::strace::{Fault, calls, faulty_and_recorded, recorded};
use edgeloop_tests::{Pair, bpf};
use lb_common::hook::Hook;
use lb_common::layout::{CONTROL, EPOCH, Epoch, LAYOUT_VERSION};
use nix::sys::signal::Signal;

const SERVICE: &str = Pair::SERVICE;
const KEPT: &str = "10.96.0.12:80";

/// Makes what another version left below a pin root.
type Make = fn(&Path);

/// The names a kill in the middle of a change-over can leave: in every case the links use the maps that are
/// now called `v2-new`, with or without those that they took the place of.
#[test]
#[ignore = "needs root"]
fn a_change_over_that_was_killed_between_its_renames_loses_nothing_though_a_part_is_unknown() {
    for has_old in [false, true] {
        let pair = Pair::new().unwrap();
        let node = pair.client.node();
        put_kept(&pair);
        pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
        let before = [SERVICE, KEPT].map(|address| element(node, address).unwrap());
        fs::rename(pin(&pair, &current()), pin(&pair, &format!("{}-new", current()))).unwrap();
        if has_old {
            fs::create_dir(pin(&pair, &format!("{}-old", current()))).unwrap();
        }
        // From now on it is not known whether there is such a Service.
        pair.folder.put_text("kept.yaml", "kind: [").unwrap();
        let load = pair.client.dial_continuously(KEPT, 200, 2).unwrap();

        let status = lb_agent_says(node, "status", &[]).unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        assert!(String::from_utf8_lossy(&status.stdout).contains(KEPT), "what serves is shown");
        let agent = pair.agent(&[]).unwrap();

        let after = [SERVICE, KEPT].map(|address| element(node, address).unwrap());
        assert_eq!(after, before, "{}", agent.log());
        assert_eq!(load.stop().unwrap().failed, []);
        assert_one_generation(node).unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn counters_go_on_over_restarts_and_when_maps_grow() {
    let pair = Pair::new().unwrap();
    let small = ["--max-services", "64", "--max-backends", "64"];
    let agent = pair.agent(&small).unwrap();
    assert!(pair.is_served().unwrap());
    let first = forwarded(&pair);
    assert!(first > 0);
    agent.end_by(Signal::SIGTERM).unwrap();

    let _agent = pair.agent(&[]).unwrap();
    assert_eq!(forwarded(&pair), first, "over a restart");
    let maps = bpf::id(&pin(&pair, &format!("{}/services4", current()))).unwrap();
    let services: String = (1..=200).map(service).collect();
    pair.folder.put("many.yaml", &services).unwrap();
    wait_for("maps have grown", || Ok(in_kernel(pair.client.node())?.services.len() == 201)).unwrap();
    wait_for_one_generation(pair.client.node()).unwrap();
    assert_ne!(bpf::id(&pin(&pair, &format!("{}/services4", current()))).unwrap(), maps);
    assert_eq!(forwarded(&pair), first, "over a change-over");

    assert!(pair.is_served().unwrap());
    assert_eq!(forwarded(&pair), first + 1);
}

/// The agent holds everything: it pins it again.
#[test]
#[ignore = "needs root"]
fn a_pin_root_that_is_taken_away_comes_back_and_no_connection_is_lost() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let agent = pair.agent(&[]).unwrap();
    let before = (in_kernel(node).unwrap(), mode(&node.pin_root()));
    let load = pair.load().unwrap();

    fs::remove_dir_all(node.pin_root()).unwrap();
    wait_for("it is back", || Ok(in_kernel(node).is_ok_and(|now| now.hooks == before.0.hooks))).unwrap();
    wait_for_one_generation(node).unwrap();

    let now = in_kernel(node).unwrap();
    assert_eq!((now.services, now.held_by), (before.0.services, before.0.held_by), "{}", agent.log());
    assert_eq!((before.1, mode(&node.pin_root())), (0o700, 0o700));
    pair.folder.put("new.yaml", "service new 10.96.0.13:80\nslice new-1 of new 9376 10.244.1.3").unwrap();
    wait_for("it goes on", || Ok(pair.dial("10.96.0.13:80")?.is_from("web"))).unwrap();
    agent.wait_until("it is ready", |view| view.ready).unwrap();
    agent.end_by(Signal::SIGKILL).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(load.stop().unwrap().failed, []);
    assert!(pair.is_served().unwrap(), "also without the agent");
}

#[test]
#[ignore = "needs root"]
fn pins_of_maps_and_programs_that_are_removed_come_back() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    for name in ["services4", "control", "prog_connect4"] {
        let pin = pin(&pair, &format!("{}/{name}", current()));
        fs::remove_file(&pin).unwrap();
        wait_for(name, || Ok(pin.exists())).unwrap();
    }
    assert_one_generation(pair.client.node()).unwrap();
    assert!(agent.log().contains("pins of maps or programs"), "{}", agent.log());
}

/// Also those that a version to come promised, and also where the maps are made while there is no Service.
#[test]
#[ignore = "needs root"]
fn service_ids_go_on_past_those_of_every_layout_version() {
    let others: [(&str, Make); 3] = [
        ("layout 1", |pins| {
            let epoch = pins.join("v1/epoch");
            fs::create_dir_all(pins.join("v1")).unwrap();
            bpf::create(&epoch, &EPOCH, 1).unwrap();
            bpf::update(&epoch, &0_u32, &Epoch { writes: 8, zero: 9000 }).unwrap();
        }),
        ("a layout to come, half made", |pins| {
            let control = pins.join("v7-new/control");
            fs::create_dir_all(pins.join("v7-new")).unwrap();
            let spec = lb_common::layout::MapSpec { value_size: 128, ..CONTROL };
            bpf::create(&control, &spec, 1).unwrap();
            let mut words = [0_u32; 32];
            words[0] = 9000;
            bpf::update(&control, &0_u32, &words).unwrap();
        }),
        ("ours, put aside", |pins| {
            let control = pins.join(format!("{}-old/control", current()));
            fs::create_dir_all(control.parent().unwrap()).unwrap();
            bpf::create(&control, &CONTROL, 1).unwrap();
            let mut words = [0_u32; 16];
            words[0] = 9000;
            bpf::update(&control, &0_u32, &words).unwrap();
        }),
    ];
    for (shows, make) in others {
        let pair = Pair::new().unwrap();
        let node = pair.client.node();
        pair.folder.remove("web.yaml").unwrap();
        fs::create_dir_all(node.pin_root()).unwrap();
        make(&node.pin_root());

        let agent = pair.agent(&[]).unwrap();
        assert_eq!(in_kernel(node).unwrap().services.len(), 0, "{shows}");
        assert_one_generation(node).unwrap();
        agent.end_by(Signal::SIGKILL).unwrap();
        let _agent = pair.agent(&[]).unwrap();
        pair.folder.put("web.yaml", "service web 10.96.0.11:80\nslice web-1 of web 9376 10.244.1.3").unwrap();

        wait_for("it is served", || Ok(element(node, SERVICE)?.is_some())).unwrap();
        let id = element(node, SERVICE).unwrap().unwrap().id;
        assert!((9000..10_000).contains(&id), "{shows}: {id}");
    }
}

/// Its maps are not ours to write, and may hold what the source does not say yet.
#[test]
#[ignore = "needs root"]
fn programs_of_another_layout_version_go_on_until_everything_is_known() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    put_kept(&pair);
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let before = [SERVICE, KEPT].map(|address| element(node, address).unwrap().unwrap());
    let hooks = in_kernel(node).unwrap().hooks;
    fs::rename(pin(&pair, &current()), pin(&pair, "v777")).unwrap();
    pair.folder.put_text("kept.yaml", "kind: [").unwrap();
    let loads = [SERVICE, KEPT].map(|target| pair.client.dial_continuously(target, 200, 2).unwrap());

    let agent = Agent::spawn(node, &[]).unwrap();
    let waits = || Ok(agent.log().contains("v777"));
    wait_for("it says what it waits for", waits).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let view = agent.view().unwrap();
    assert!(!view.ready && !view.is_attached(), "{view:?}");
    assert!(view.diagnostics.iter().any(|found| found.message.contains("v777")), "{view:?}");
    let shown = in_kernel(node).unwrap();
    assert_eq!((shown.layout, shown.hooks), (777, hooks), "what serves is shown");
    assert!(shown.unreadable.is_some_and(|why| why.contains("v777")));
    assert!(pair.dial(KEPT).unwrap().is_from("web"));

    put_kept(&pair);
    agent.wait_until("it is ready", |view| view.ready).unwrap();
    let after = [SERVICE, KEPT].map(|address| element(node, address).unwrap().unwrap());
    assert_eq!(
        after.map(|one| (one.id, one.backends)),
        before.map(|one| (one.id, one.backends)),
        "ids go on"
    );
    assert_one_generation(node).unwrap();
    for load in loads {
        assert_eq!(load.stop().unwrap().failed, []);
    }
}

#[test]
#[ignore = "needs root"]
fn what_no_link_uses_goes_and_everything_else_goes_on() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let before = element(node, SERVICE).unwrap();
    for name in ["v0", "v1", "v777", "v777-new"] {
        fs::create_dir_all(pin(&pair, name).join("a-folder/in-it")).unwrap();
        bpf::create(&pin(&pair, name).join("services4"), &EPOCH, 1).unwrap();
    }

    let _agent = pair.agent(&[]).unwrap();

    assert_eq!(element(node, SERVICE).unwrap(), before);
    assert_one_generation(node).unwrap();
}

/// Programs use maps, not pins: an agent that cannot have the maps makes others and changes over.
#[test]
#[ignore = "needs root"]
fn without_any_pin_but_those_of_the_links_nothing_is_lost() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let load = pair.load().unwrap();
    fs::remove_dir_all(pin(&pair, &current())).unwrap();
    assert_eq!(in_kernel(node).unwrap().hooks.len(), Hook::ALL.len(), "what serves is shown");

    let _agent = pair.agent(&[]).unwrap();

    assert_eq!(load.stop().unwrap().failed, []);
    assert_one_generation(node).unwrap();
}

/// The kernel has hardly a reason to refuse one, so one is refused in its place.
#[test]
#[ignore = "needs root and strace"]
fn a_link_that_cannot_be_moved_puts_the_others_back_and_the_maps_in_use_go_on() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&["--max-services", "64"]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let log = pair.site.folder().join("strace.log");
    let start = |command: &mut Command, size: &str| {
        let mut agent = Agent::spawn_as(node, command, &["--max-services", size]).unwrap();
        assert_eq!(agent.ready_or_ended().unwrap(), None, "{}", agent.log());
        agent
    };
    start(&mut recorded(node, &program().unwrap(), &log), "65").end_by(Signal::SIGTERM).unwrap();
    let mut calls = calls(&log).unwrap().into_iter().filter(|call| call.text.contains("BPF_LINK_UPDATE"));
    let last = calls.next_back().unwrap();
    let load = pair.load().unwrap();

    let agent =
        start(&mut faulty_and_recorded(node, &program().unwrap(), &last, Fault::Error("ENOMEM"), &log), "66");

    assert!(agent.log().contains("could not change over"), "{}", agent.log());
    let text = fs::read_to_string(&log).unwrap();
    let updates: Vec<&str> = text.lines().filter(|line| line.contains("BPF_LINK_UPDATE")).collect();
    let links: Vec<&str> = updates.iter().map(|update| field(update, "link_fd=")).collect();
    let programs: Vec<&str> = updates.iter().map(|update| field(update, "new_prog_fd=")).collect();
    let hooks = Hook::ALL.len();
    assert!(updates[hooks - 1].contains("INJECTED"), "{text}");
    // Those that had moved run their earlier programs again, the last one first; then all get those over the maps in use.
    let (moved, rest) = links.split_at(hooks);
    let (back, again) = rest.split_at(hooks - 1);
    assert_eq!(back, moved[..hooks - 1].iter().rev().copied().collect::<Vec<_>>(), "{updates:#?}");
    assert_eq!(&again[..hooks], moved, "{updates:#?}");
    let (earlier, later) = programs[hooks..].split_at(hooks - 1);
    assert!(earlier.iter().all(|program| !programs[..hooks].contains(program)), "{updates:#?}");
    assert_ne!(earlier[hooks - 2], later[0], "{updates:#?}");
    wait_for("it is tried again", || Ok(agent.log().contains("changed over to other maps"))).unwrap();
    wait_for_one_generation(node).unwrap();
    assert_eq!(load.stop().unwrap().failed, []);
}

/// The value of a field in a call as `strace` shows it.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let (_, after) = text.split_once(name).unwrap();
    after.split([',', '}']).next().unwrap()
}

fn put_kept(pair: &Pair) {
    pair.folder.put("kept.yaml", "service kept 10.96.0.12:80\nslice kept-1 of kept 9376 10.244.1.3").unwrap();
}

fn service(number: u32) -> String {
    format!("service s{number} 10.96.1.{number}:80\nslice s{number}-1 of s{number} 9376 10.244.1.3@n3\n")
}

fn forwarded(pair: &Pair) -> u64 {
    let view = in_kernel(pair.client.node()).unwrap();
    view.outcomes.iter().find(|outcome| outcome.outcome == "forwarded").unwrap().times
}

/// The name of the generation in use.
fn current() -> String {
    format!("v{LAYOUT_VERSION}")
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode() & 0o777
}

fn pin(pair: &Pair, name: &str) -> PathBuf {
    pair.client.node().pin_root().join(name)
}
