//! Maps are charged to the agent's memory cgroup: what happens when that has too little.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::Command;

use edgeloop_tests::agent::{Agent, element, in_kernel, program, wait_for};
use edgeloop_tests::pins::generation;
use edgeloop_tests::{MemoryGroup, Pair};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

const MEGABYTE: u64 = 1 << 20;
/// Backends maps of 64 and 128 MiB.
const LARGE: [&str; 2] = ["--max-backends", "4194304"];

#[test]
#[ignore = "needs root"]
fn a_first_start_without_memory_for_its_maps_says_how_much_they_take() {
    let pair = Pair::new().unwrap();
    let group = MemoryGroup::new(pair.client.node()).unwrap();
    group.set_limit(64 * MEGABYTE).unwrap();
    let mut command = group.command(&program().unwrap());
    let mut agent = Agent::spawn_as(pair.client.node(), &mut command, &LARGE).unwrap();

    let status = agent.ready_or_ended().unwrap().expect("it cannot start");

    assert_eq!(status.code(), Some(1), "{}", agent.log());
    for part in [
        "no memory for the maps",
        // 205.7 MB, and 0.1 for each CPU.
        "maps for 16384 service ports, 4194304 backends of IPv4 and 4194304 of IPv6 take 20",
        " MB when they are made",
        "left under the memory limit of 67.1 MB",
        "raise the memory limit of the agent, or lower --max-services and --max-backends",
    ] {
        assert!(agent.log().contains(part), "{part}: {}", agent.log());
    }
    assert!(!pair.client.node().pin_root().join(generation()).exists(), "nothing is left");
}

#[test]
#[ignore = "needs root"]
fn without_memory_for_larger_maps_those_in_use_go_on_until_there_is() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let group = MemoryGroup::new(node).unwrap();
    group.set_limit(64 * MEGABYTE).unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let load = pair.load().unwrap();

    let agent = start(&pair, group.command(&program().unwrap()), &LARGE);
    let view = agent.wait_until("it is said", |view| view.with(Reason::Kernel).count() == 1).unwrap();

    assert!(view.ready, "{view:?}");
    let said = &view.with(Reason::Kernel).next().unwrap().message;
    let begins = "could not change over to other maps; those in use go on: no memory for the maps";
    assert!(said.starts_with(begins) && said.contains("memory limit of 67.1 MB"), "{said}");
    pair.folder.put("more.yaml", &services(1..=1)).unwrap();
    wait_for("what changes is written", || Ok(in_kernel(node)?.services.len() == 2)).unwrap();

    group.set_limit(512 * MEGABYTE).unwrap();
    agent.wait_until("it is tried again", |view| view.with(Reason::Kernel).count() == 0).unwrap();
    let room = in_kernel(node).unwrap().maps.iter().find(|fill| fill.map == "backends4").unwrap().max_entries;
    assert_eq!(room, 4_194_304);
    assert_eq!(load.stop().unwrap().failed, []);
}

/// The maps are charged to the cgroup of an agent before, which has no room for more: the kernel refuses elements.
#[test]
#[ignore = "needs root"]
fn services_that_the_kernel_has_no_memory_for_wait_and_all_others_go_on() {
    let pair = Pair::new().unwrap();
    let group = MemoryGroup::new(pair.client.node()).unwrap();
    start(&pair, group.command(&program().unwrap()), &[]).end_by(Signal::SIGTERM).unwrap();
    group.set_limit(group.squeezed().unwrap() + MEGABYTE / 2).unwrap();
    let agent = pair.agent(&[]).unwrap();
    waits_for_memory(&pair, &agent, &group, 8000);
}

/// The agent leaves some memory to itself: else its next page would be its end.
#[test]
#[ignore = "needs root"]
fn an_agent_at_its_limit_writes_no_more_elements_and_lives() {
    let pair = Pair::new().unwrap();
    let group = MemoryGroup::new(pair.client.node()).unwrap();
    // A look at sockets takes memory for a moment, which would be measured along.
    let agent = start(&pair, group.command(&program().unwrap()), &["--end-udp-sockets", "off"]);
    // The 4 MiB that it keeps for itself, and a few elements: to know of the Services takes some of it.
    group.set_limit(group.usage().unwrap() + 4 * MEGABYTE + 100_000).unwrap();
    waits_for_memory(&pair, &agent, &group, 1000);
}

fn waits_for_memory(pair: &Pair, agent: &Agent, group: &MemoryGroup, many: u32) {
    let held = || in_kernel(pair.client.node()).unwrap().services.len();
    // Any Service without a topology may give way.
    let web = "service web 10.96.0.11:80 topology=*\nslice web-1 of web 9376 10.244.1.3@n3";
    pair.folder.put("web.yaml", web).unwrap();
    wait_for("it has a topology", || {
        Ok(element(pair.client.node(), Pair::SERVICE)?.is_some_and(|web| web.topology))
    })
    .unwrap();
    let load = pair.load().unwrap();
    pair.folder.put("many.yaml", &services(1..=many)).unwrap();
    let view = agent.wait_until("some wait", |view| view.with(Reason::NoRoom).count() > 100).unwrap();

    assert!(view.ready && pair.is_served().unwrap(), "{view:?}");
    let short = view.with(Reason::NoRoom).next().unwrap();
    assert!(short.message.contains("no memory for another service port"), "{short:?}");
    assert_eq!(view.with(Reason::WriteFailed).count(), 0);
    let kernel = view.with(Reason::Kernel).next().expect("what to do is said");
    assert!(kernel.message.contains("raise the memory limit") && kernel.message.contains("MB"), "{kernel:?}");
    let near =
        "service near 10.97.0.1:80 topology=openyurt.io/nodepool\nslice near-1 of near 9376 10.244.1.3@n3";
    pair.folder.put("near.yaml", near).unwrap();
    wait_for("one with a topology gets room", || Ok(pair.holds("10.97.0.1:80")? == "refused")).unwrap();
    assert!(held() < 2 + many as usize, "{}", held());

    group.set_limit(512 * MEGABYTE).unwrap();
    let is_well = |view: &AgentView| view.diagnostics.iter().all(|found| found.reason != Reason::NoRoom);
    agent.wait_until("all are served once there is memory", is_well).unwrap();
    assert_eq!(held(), 2 + many as usize);
    let view = agent.view().unwrap();
    assert_eq!(view.with(Reason::Kernel).next(), None);
    assert_eq!(load.stop().unwrap().failed, []);
}

fn start(pair: &Pair, mut command: Command, flags: &[&str]) -> Agent {
    let agent = Agent::spawn_as(pair.client.node(), &mut command, flags).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    agent
}

fn services(numbers: std::ops::RangeInclusive<u32>) -> String {
    let service = |number: u32| {
        let (high, low) = (number / 250 + 1, number % 250 + 1);
        format!(
            "service s{number} 10.98.{high}.{low}:80\nslice s{number}-1 of s{number} 9376 10.244.1.3@n3\n"
        )
    };
    numbers.map(service).collect()
}
