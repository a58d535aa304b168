//! The agent dials itself as a process of the node would, and is ready only while that works.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;

use edgeloop_tests::agent::{Agent, element, in_kernel, lb_agent_says, program};
use edgeloop_tests::{Node, Pair, programs};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::WaitsFor;
use lb_agent::view::status::AgentView;
use lb_common::hook::Hook;

#[test]
#[ignore = "needs root"]
fn a_connection_of_the_agents_own_arrives_before_it_is_ready_and_is_shown_nowhere_as_a_service() {
    let pair = Pair::new().unwrap();
    let agent = agent(&pair, &[]);
    assert!(passes(&agent.view().unwrap()));
    let node = pair.client.node();
    let said = lb_agent_says(node, "status", &["--socket", &socket(node)]).unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("self-test") && said.contains("passed "), "{said}");
    assert_eq!(element(node, "192.0.2.1:1").unwrap(), None);
    // Two addresses, and nothing of the client's.
    let counted = in_kernel(node).unwrap().outcomes;
    let forwarded = counted.iter().find(|count| count.outcome == "forwarded").unwrap();
    assert!(forwarded.times >= 2, "{counted:?}");
    let other = node.pod("other", "10.244.1.9").unwrap();
    let dialled = other.dial("192.0.2.1:1", 1).unwrap().remove(0);
    assert!(dialled.failed_with("ECONNREFUSED"), "a pod reaches its own loopback: {dialled:?}");
    drop(agent);
}

/// As a firewall of another vendor may, which is attached besides.
#[test]
#[ignore = "needs root"]
fn while_a_program_of_others_refuses_connections_the_agent_is_not_ready() {
    let pair = Pair::new().unwrap();
    let agent = agent(&pair, &[]);
    let other = programs::refuse(pair.client.node().cgroup(), Hook::Connect6.attach_type()).unwrap();
    let fails =
        |view: &AgentView| view.waits_for == [WaitsFor::SelfTest] && view.with(Reason::SelfTest).count() == 1;
    let view = agent.wait_until("it fails", fails).unwrap();
    let said = &view.with(Reason::SelfTest).next().unwrap().message;
    assert!(said.contains("[2001:db8::1]:1 over IPv6"), "{said}");
    assert!(view.self_test.unwrap().starts_with("fails; passed "));
    assert!(pair.is_served().unwrap(), "IPv4 is served all the same");
    drop(other);
    agent.wait_until("it is ready again", |view| view.ready && passes(view)).unwrap();
}

#[test]
#[ignore = "needs root"]
fn an_agent_outside_of_the_cgroup_is_not_tested_and_ready_all_the_same() {
    let pair = Pair::new().unwrap();
    let inner = pair.client.node().cgroup().join("inner");
    fs::create_dir(&inner).unwrap();
    let agent = agent(&pair, &["--cgroup", inner.to_str().unwrap()]);
    let said = agent.view().unwrap().self_test.unwrap();
    assert!(said.starts_with("not tested: the agent itself runs outside of "), "{said}");
    drop(agent);
    fs::remove_dir(&inner).unwrap();
}

/// Networks for documentation are in use in test clusters.
#[test]
#[ignore = "needs root"]
fn a_machine_that_has_the_address_itself_is_not_tested_there() {
    let pair = Pair::new().unwrap();
    let agent = agent(&pair, &[]);
    let ip = |words: &[&str]| {
        assert!(pair.client.command("ip").args(words).status().unwrap().success(), "{words:?}")
    };
    ip(&["address", "add", "192.0.2.1/32", "dev", "lo"]);
    ip(&["address", "add", "2001:db8::1/128", "dev", "lo", "nodad"]);
    let is_left = |view: &AgentView| {
        view.ready
            && view.self_test.as_ref().is_some_and(|said| said.contains("the maps do not hold its addresses"))
    };
    agent.wait_until("it is not tested", is_left).unwrap();
    ip(&["address", "del", "2001:db8::1/128", "dev", "lo"]);
    agent.wait_until("IPv6 is tested", |view| view.ready && passes(view)).unwrap();
}

/// The programs leave everything as it is dialled then, as the operator asked.
#[test]
#[ignore = "needs root"]
fn what_is_too_old_is_not_tested_until_the_source_is_back() {
    let pair = Pair::new().unwrap();
    let agent = agent(&pair, &["--max-stale", "5s"]);
    let (folder, away) = (pair.folder.path(), pair.folder.path().with_extension("away"));
    fs::rename(folder, &away).unwrap();
    let is_left = |view: &AgentView| {
        view.self_test.as_ref().is_some_and(|said| said.contains("older than --max-stale"))
    };
    let view = agent.wait_until("it is not tested", is_left).unwrap();
    assert_eq!(view.with(Reason::SelfTest).count(), 0);
    fs::rename(&away, folder).unwrap();
    agent.wait_until("it is tested again", |view| view.ready && passes(view)).unwrap();
}

#[test]
#[ignore = "needs root"]
fn without_it_nothing_is_dialled() {
    let pair = Pair::new().unwrap();
    let agent = agent(&pair, &["--self-test", "off"]);
    assert_eq!(agent.view().unwrap().self_test, None);
    let counted = in_kernel(pair.client.node()).unwrap().outcomes;
    assert!(counted.iter().all(|count| count.outcome != "forwarded" || count.times == 0), "{counted:?}");
}

/// In the client's network: that is the host of these tests.
fn agent(pair: &Pair, flags: &[&str]) -> Agent {
    let flags = if flags.contains(&"--self-test") {
        flags.to_vec()
    } else {
        [&["--self-test", "on"], flags].concat()
    };
    let mut command = pair.client.command(program().unwrap());
    let agent = Agent::spawn_as(pair.client.node(), &mut command, &flags).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    agent
}

fn passes(view: &AgentView) -> bool {
    view.self_test.as_ref().is_some_and(|said| said.starts_with("passed "))
}

fn socket(node: &Node) -> String {
    node.file("agent.sock").display().to_string()
}
