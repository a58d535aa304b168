//! Who decides first where a connection goes: our programs where the kernel can, and else it is said.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::path::PathBuf;

use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, program, wait_for};
use edgeloop_tests::pins::assert_one_generation;
use edgeloop_tests::strace::{SystemCall, calls, faulty_each, recorded};
use edgeloop_tests::{Ability, Pair, programs};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::WaitsFor;
use lb_common::hook::Hook;
use nix::sys::signal::Signal;

#[test]
#[ignore = "needs root"]
fn programs_that_were_there_before_the_agent_run_after_its_own() {
    if Ability::First.is_missing().unwrap() {
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
    if Ability::First.is_missing().unwrap() {
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
    if Ability::First.is_missing().unwrap() {
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

/// `strace` answers each attempt to attach first as such a kernel does.
#[test]
#[ignore = "needs root and strace"]
fn where_the_kernel_refuses_to_put_programs_first_they_are_attached_all_the_same() {
    if Ability::First.is_missing().unwrap() {
        return;
    }
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let log = pair.site.folder().join("strace.log");
    let mut agent = Agent::spawn_as(node, &mut recorded(node, &program().unwrap(), &log), &[]).unwrap();
    assert_eq!(agent.ready_or_ended().unwrap(), None, "{}", agent.log());
    let firsts: Vec<SystemCall> =
        calls(&log).unwrap().into_iter().filter(SystemCall::attaches_first).collect();
    agent.end_by(Signal::SIGTERM).unwrap();
    assert!(lb_agent_says(node, "cleanup", &[]).unwrap().status.success());
    assert_eq!(firsts.len(), Hook::ALL.len(), "{firsts:?}");

    // The agent tries again without the flag: one call more at each hook.
    let every = (firsts[1].number() - firsts[0].number() + 1, u32::try_from(firsts.len()).unwrap());
    let mut command = faulty_each(node, &program().unwrap(), &firsts[0], ("EINVAL", every), &log);
    let agent = Agent::spawn_as(node, &mut command, &["--require-first"]).unwrap();
    agent.wait_until("it is ready", |view| view.ready).unwrap();

    let refused = calls(&log).unwrap().into_iter().filter(|call| call.text.contains("EINVAL"));
    let refused: Vec<SystemCall> = refused.filter(SystemCall::attaches_first).collect();
    assert_eq!(refused.len(), Hook::ALL.len(), "{refused:?}");
    assert_eq!(ours_are_at(&pair), [0; 8], "no other program is there");
    assert!(pair.is_served().unwrap());
}

/// Either since the kernel has no way to go before others, or since these ask to go before all that do not ask for the same
/// (`BPF_F_PREORDER`).
#[test]
#[ignore = "needs root"]
fn behind_programs_that_it_cannot_go_before_the_agent_serves_and_says_so() {
    let pair = Pair::new().unwrap();
    let attach =
        if Ability::First.is_here().unwrap() { programs::attach_in_preorder } else { programs::attach };
    let others = other_programs(&pair, attach);
    let agent = Agent::spawn(pair.client.node(), &["--require-first"]).unwrap();
    let view =
        agent.wait_until("it waits for being first", |view| view.waits_for == [WaitsFor::First]).unwrap();

    // In which order they are listed says nothing here: these run first from any place.
    let said: Vec<&str> = view.with(Reason::NotFirst).map(|found| found.message.as_str()).collect();
    assert_eq!(said.len(), 1);
    for hook in Hook::ALL {
        assert!(said[0].contains(hook.name()), "{said:?}");
    }
    assert!(pair.is_served().unwrap(), "it serves all the same");
    for path in others {
        programs::detach(&path).unwrap();
    }
    agent.wait_until("it is alone, and so first", |view| view.ready).unwrap();
}

/// What another process does to a link is counted besides.
#[test]
#[ignore = "needs root"]
fn a_link_that_is_detached_is_first_again_when_it_is_repaired() {
    if Ability::First.is_missing().unwrap() {
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
pub(super) fn other_programs(
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
