//! `--max-stale`: an agent whose source is in sync keeps the programs going, and no other does.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::time::Duration;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, wait_for};
use edgeloop_tests::builds::{has_previous, previous_agent};
use lb_agent::view::diagnostic::Reason;
use nix::sys::signal::Signal;

/// Nothing is behind the programs: what is left as it is dialled goes nowhere.
const UNTOUCHED: &str = "ENETUNREACH";

/// The shortest.
const FLAG: [&str; 2] = ["--max-stale", "5s"];
const LONGER: Duration = Duration::from_millis(5500);

#[test]
#[ignore = "needs root"]
fn without_an_agent_everything_is_left_as_it_is_dialled_once_it_is_too_old() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&FLAG).unwrap();
    std::thread::sleep(LONGER);
    assert!(pair.is_served().unwrap(), "while the agent runs");

    agent.end_by(Signal::SIGKILL).unwrap();
    assert!(pair.is_served().unwrap(), "at first");
    std::thread::sleep(LONGER);
    assert!(is_untouched(&pair));
    let said = lb_agent_says(pair.client.node(), "status", &[]).unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("EVERY CONNECTION IS LEFT AS IT IS DIALLED"), "{said}");

    let agent = pair.agent(&FLAG).unwrap();
    assert!(pair.is_served().unwrap(), "with the next one");
    drop(agent);
}

/// The operator takes the flag away for lack of a source: it holds before there is one.
#[test]
#[ignore = "needs root"]
fn the_flag_counts_from_the_start_on_without_a_source() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGKILL).unwrap();
    std::thread::sleep(LONGER);
    let node = pair.client.node();
    let nowhere = ["--source", "file:/nowhere/at/all"];
    let agent = Agent::spawn(node, &[nowhere, FLAG].concat()).unwrap();
    wait_for("it is too old", || Ok(is_untouched(&pair))).unwrap();
    drop(agent);

    let agent = Agent::spawn(node, &nowhere).unwrap();
    wait_for("the flag is gone", || pair.is_served()).unwrap();
    assert_eq!(in_kernel(node).unwrap().age.unwrap().max_seconds, None);
    drop(agent);
}

/// A folder that cannot be read is not in sync: the agent says so, and serves again when it is.
#[test]
#[ignore = "needs root"]
fn an_agent_whose_source_is_gone_lets_it_become_too_old_and_says_so() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&FLAG).unwrap();
    let (folder, away) = (pair.folder.path(), pair.folder.path().with_extension("away"));
    std::fs::rename(folder, &away).unwrap();
    agent.wait_until("it says so", |view| view.with(Reason::Stale).count() == 1).unwrap();
    assert!(is_untouched(&pair));
    std::fs::rename(&away, folder).unwrap();
    agent.wait_until("it is well again", |view| view.with(Reason::Stale).count() == 0).unwrap();
    wait_for("it is served", || pair.is_served()).unwrap();
}

/// An older agent that is not given the flag takes it away, and says all the same that its source is in sync: the age goes on
/// from there, and is over when no agent has run for as long.
#[test]
#[ignore = "needs root"]
fn after_a_downgrade_nothing_becomes_too_old_and_after_an_upgrade_its_age_goes_on() {
    if !has_previous() {
        return;
    }
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&FLAG).unwrap().end_by(Signal::SIGKILL).unwrap();
    let older = Agent::spawn_as(node, &mut node.command(previous_agent().unwrap()), &of(&pair)).unwrap();
    older.wait_until("it is ready", |view| view.ready).unwrap();
    std::thread::sleep(LONGER);
    let load = pair.load().unwrap();
    older.end_by(Signal::SIGKILL).unwrap();
    // What the older agent left must not be too old by the time that this one is in sync, on a busy machine, too.
    let agent = pair.agent(&["--max-stale", "60s"]).unwrap();
    assert_eq!(load.stop().unwrap().failed, [], "the older agent was in sync until now");

    agent.end_by(Signal::SIGKILL).unwrap();
    let older = Agent::spawn_as(node, &mut node.command(previous_agent().unwrap()), &of(&pair)).unwrap();
    older.wait_until("it is ready", |view| view.ready).unwrap();
    older.end_by(Signal::SIGKILL).unwrap();
    std::thread::sleep(LONGER);
    assert!(pair.is_served().unwrap(), "of any age without the flag");
    let agent = pair.agent(&FLAG).unwrap();
    assert!(pair.is_served().unwrap(), "in sync again");
    drop(agent);
}

fn of(pair: &Pair) -> Vec<&'static str> {
    let folder = format!("file:{}", pair.folder.path().display());
    vec!["--source", folder.leak()]
}

fn is_untouched(pair: &Pair) -> bool {
    pair.dial(Pair::SERVICE).unwrap().failed_with(UNTOUCHED)
}
