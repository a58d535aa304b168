//! Connected UDP sockets whose backend is gone end within a second, and no other socket does.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

mod capabilities;
mod planted;
mod world;

use std::thread;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::Agent;
use edgeloop_tests::{Ability, Talk};
use nix::sys::signal::Signal;

use world::{BOTH, GONE, ITERATOR, SOCK_DIAG, Set, World, assert_all_end, assert_all_live, is_ended};

/// A port of the Service `dns`, with the same backend.
const TCP: &str = "10.96.0.10:53";

/// How many the agent says that it has ended.
fn ended(agent: &Agent) -> u64 {
    agent.view().unwrap().peers.ended.total()
}

#[test]
#[ignore = "needs root"]
fn sockets_of_a_backend_that_is_gone_end_within_a_second_and_no_others() {
    assert_those_that_are_gone_end(SOCK_DIAG);
}

#[test]
#[ignore = "needs root"]
fn sockets_that_an_iterator_finds_end_within_a_second_and_no_others() {
    if !Ability::Iterators.is_missing().unwrap() {
        assert_those_that_are_gone_end(ITERATOR);
    }
}

fn assert_those_that_are_gone_end(by: &[&str]) {
    let world = World::new();
    // So that sockets of TCP remember a Service as well.
    let agent = Agent::start(world.node(), &[by, &["--tcp-peername"]].concat()).unwrap();
    agent
        .wait_until("a pod is skipped", |view| view.skipped_pods.iter().any(|pod| pod.cgroup.is_some()))
        .unwrap();
    let (mut dialled, mut others) = (world.dialled(), world.others());
    let mut talks = world.clients.each_ref().map(|pod| Talk::start(pod, TCP.parse().unwrap()).unwrap());
    thread::sleep(Duration::from_millis(300));
    assert_all_live(&mut dialled);

    world.publish(GONE, "");
    assert_all_end(&mut dialled, Instant::now());
    thread::sleep(Duration::from_millis(2_300));
    assert_all_live(&mut dialled);
    assert_all_live(&mut others);
    for talk in &mut talks {
        assert_eq!(talk.say("still here").unwrap(), "still here", "TCP");
    }
    agent
        .wait_until("it says what it ended", |view| {
            view.peers.ended.backend == 6 && view.peers.left.total() == 0
        })
        .unwrap();
}

#[test]
#[ignore = "needs root"]
fn hints_and_traffic_policies_end_nothing_and_what_does_not_serve_does() {
    let world = World::new();
    let both = Set { dns: &[(3, BOTH), (4, BOTH)], log: &[3] };
    world.publish(Set { dns: &[(3, BOTH)], ..both }, "");
    let agent = Agent::start(world.node(), &[]).unwrap();
    let mut dialled = world.dialled();
    let hints = |zone: &'static str| -> &'static str {
        match zone {
            "here" => "conditions: {ready: true, serving: true}, hints: {forNodes: [{name: n1}]}",
            _ => "conditions: {ready: true, serving: true}, hints: {forNodes: [{name: n9}]}",
        }
    };
    let away: &'static [(u8, &str)] = Box::leak(Box::new([(3, hints("away")), (4, hints("here"))]));
    for (shows, set, more) in [
        ("another backend besides", both, ""),
        ("hinted to other nodes", Set { dns: away, ..both }, ""),
        ("local traffic alone, and none is here", both, ", internalTrafficPolicy: Local"),
        (
            "terminating while another is ready",
            Set {
                dns: &[(3, "conditions: {ready: false, serving: true, terminating: true}"), (4, BOTH)],
                ..both
            },
            "",
        ),
    ] {
        world.publish(set, more);
        thread::sleep(Duration::from_millis(700));
        for (dialled, socket) in &mut dialled {
            assert!(!is_ended(socket), "{shows}: {dialled}");
        }
        assert_eq!(ended(&agent), 0, "{shows}");
    }
    let unready: Set = Set { dns: &[(3, "conditions: {ready: false, serving: false}"), (4, BOTH)], ..both };
    world.publish(unready, "");
    assert_all_end(&mut dialled, Instant::now());
}

#[test]
#[ignore = "needs root"]
fn backends_that_went_while_the_agent_was_dead_are_noticed_by_the_next() {
    let world = World::new();
    let agent = Agent::start(world.node(), &[]).unwrap();
    let (mut dialled, mut others) = (world.dialled(), world.others());
    agent.end_by(Signal::SIGKILL).unwrap();
    world.publish(GONE, "");
    thread::sleep(Duration::from_millis(300));
    assert_all_live(&mut dialled);
    let _agent = Agent::start(world.node(), &[]).unwrap();
    assert_all_end(&mut dialled, Instant::now());
    assert_all_live(&mut others);
}
