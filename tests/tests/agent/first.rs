//! Who decides first where a connection goes: our programs where the kernel can, and else it is said.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::path::PathBuf;

use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, wait_for};
use edgeloop_tests::pins::assert_one_generation;
use edgeloop_tests::{Pair, programs};
use lb_agent::datapath::probe::can_be_first;
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::WaitsFor;
use lb_common::hook::Hook;
use nix::sys::signal::Signal;

#[test]
#[ignore = "needs root"]
fn programs_that_were_there_before_the_agent_run_after_its_own() {
    if !can_be_first().unwrap() {
        return;
    }
    let pair = Pair::new().unwrap();
    let others = other_programs(&pair, programs::attach);
    let agent = pair.agent(&["--require-first"]).unwrap();
    assert_eq!(ours_are_at(&pair), [0; 8]);
    assert_eq!(agent.view().unwrap().with(Reason::NotFirst).count(), 0);
    drop((agent, others));
}

/// As behind programs that came later, and put themselves first.
#[test]
#[ignore = "needs root"]
fn a_program_that_comes_first_later_is_named_and_a_restart_goes_before_it_without_a_lost_connection() {
    if !can_be_first().unwrap() {
        return;
    }
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    let others = other_programs(&pair, programs::attach_first);
    let view = agent.wait_until("it is said", |view| view.with(Reason::NotFirst).count() == 1).unwrap();
    let said = &view.with(Reason::NotFirst).next().unwrap().message;
    for hook in Hook::ALL {
        assert!(said.contains(hook.name()), "{said}");
    }
    assert!(view.ready, "it is not required");
    assert_eq!(ours_are_at(&pair), [1; 8]);
    let cgroup = pair.client.node().cgroup().display().to_string();
    let status = lb_agent_says(pair.client.node(), "status", &["--cgroup", &cgroup]).unwrap();
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("BEFORE IT RUN"), "{status}");

    let load = pair.load().unwrap();
    agent.end_by(Signal::SIGKILL).unwrap();
    let agent = pair.agent(&["--require-first"]).unwrap();
    assert_eq!(ours_are_at(&pair), [0; 8], "{}", agent.log());
    assert_eq!(load.stop().unwrap().failed, []);
    assert_one_generation(pair.client.node()).unwrap();
    for path in &others {
        programs::detach(path).unwrap();
    }
    assert!(pair.is_served().unwrap());
}

#[test]
#[ignore = "needs root"]
fn where_it_is_required_to_be_first_the_agent_is_not_ready_behind_another() {
    if !can_be_first().unwrap() {
        return;
    }
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&["--require-first"]).unwrap();
    let others = other_programs(&pair, programs::attach_first);
    agent.wait_until("it is not ready", |view| view.waits_for == [WaitsFor::First]).unwrap();
    assert!(pair.is_served().unwrap(), "it serves all the same");
    for path in others {
        programs::detach(&path).unwrap();
    }
    agent.wait_until("it is ready again", |view| view.ready).unwrap();
}

/// What another process does to a link is counted besides.
#[test]
#[ignore = "needs root"]
fn a_link_that_is_detached_is_first_again_when_it_is_repaired() {
    if !can_be_first().unwrap() {
        return;
    }
    let pair = Pair::new().unwrap();
    let others = other_programs(&pair, programs::attach);
    let agent: Agent = pair.agent(&[]).unwrap();
    programs::detach(&pair.client.node().pin_root().join(Hook::Connect4.name())).unwrap();
    wait_for("it is repaired", || Ok(agent.log().contains("repaired what is attached"))).unwrap();
    assert_eq!(ours_are_at(&pair), [0; 8]);
    drop(others);
}

/// Programs of another process at every hook, which let all pass.
fn other_programs(
    pair: &Pair,
    attach: fn(&std::path::Path, u32, &std::path::Path) -> anyhow::Result<()>,
) -> Vec<PathBuf> {
    let node = pair.client.node();
    let paths = Hook::ALL.map(|hook| {
        let path = node.pin_root().with_file_name(format!("other-{}", hook.name()));
        attach(node.cgroup(), hook.attach_type(), &path).unwrap();
        path
    });
    paths.to_vec()
}

/// How many programs run before ours, by hook.
fn ours_are_at(pair: &Pair) -> Vec<usize> {
    let node = pair.client.node();
    let place = |hook: &Hook| {
        let ours =
            in_kernel(node).unwrap().hooks.into_iter().find(|found| found.hook == hook.name()).unwrap();
        let running = programs::running(node.cgroup(), hook.attach_type()).unwrap();
        running.iter().position(|id| *id == ours.program_id).unwrap()
    };
    Hook::ALL.iter().map(place).collect()
}
