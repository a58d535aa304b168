//! The agent with the capabilities that it asks for, and nothing else of root's.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::Command;
use std::time::Duration;

use edgeloop_tests::agent::{Agent, in_kernel, program, wait_for};
use edgeloop_tests::pins::{generation, wait_for_one_generation};
use edgeloop_tests::{Ability, Answer, Datagrams, Pair, leave_off};
use nix::sys::signal::Signal;

/// What the chart gives, unless its values say otherwise.
const CHART: &str = "+bpf,+net_admin,+sys_resource,+perfmon";
const TWO: &str = "+bpf,+net_admin";
/// The verifier gives up after a million instructions, twice: once more to say why. An emulated processor is slow.
const REFUSED_WITHIN: Duration = Duration::from_secs(240);

/// Without CAP_SYS_ADMIN much of `bpf(2)` is closed.
#[test]
#[ignore = "needs root"]
fn the_charts_capabilities_serve_refuse_grow_and_take_over() {
    serves_refuses_grows_and_takes_over(CHART);
}

/// Without CAP_PERFMON the verifier is stricter.
#[test]
#[ignore = "needs root"]
fn two_capabilities_serve_refuse_grow_and_take_over() {
    if Ability::Barriers.is_missing().unwrap() {
        return;
    }
    serves_refuses_grows_and_takes_over(TWO);
}

/// The error names what to grant, and so does `lb-agent check`. On an emulated 5.10 it takes seven minutes, so the
/// tier vm leaves it off (docs/testing.md).
#[test]
#[ignore = "needs root"]
fn where_the_verifier_refuses_two_capabilities_it_is_said_what_to_grant() {
    if Ability::Barriers.is_here().unwrap() {
        leave_off("this kernel takes the programs with two capabilities").unwrap();
        return;
    }
    let capabilities = "+bpf,+net_admin,+sys_resource";
    let pair = Pair::new().unwrap();
    let mut agent = Agent::spawn_as(pair.client.node(), &mut limited(&pair, capabilities), &[]).unwrap();
    let ended = agent.ended(REFUSED_WITHIN).unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{}", agent.log());
    let log = agent.log();
    assert!(log.contains("the verifier says: ") && log.contains("without CAP_PERFMON: grant it"), "{log}");
    let mut check = limited(&pair, capabilities);
    let output = check.args(["check", "--pin-root"]).arg(pair.client.node().pin_root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("CAP_PERFMON ")).unwrap();
    assert!(line.starts_with("missing "), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

fn serves_refuses_grows_and_takes_over(capabilities: &str) {
    let pair = Pair::new().unwrap();
    pair.web.serve_datagrams(5353).unwrap();
    pair.folder
        .put("dns.yaml", "service dns 10.96.0.10:53/udp\nslice dns-1 of dns 5353/udp 10.244.1.3@n3")
        .unwrap();
    let small = ["--max-services", "64", "--max-backends", "64", "--tcp-peername"];
    start(&pair, capabilities, &small).end_by(Signal::SIGTERM).unwrap();
    let load = pair.load().unwrap();
    let agent = start(&pair, capabilities, &[]);
    assert!(pair.is_served().unwrap());

    let many: String = (1..=100)
        .map(|number| {
            format!("service many{number} 10.96.1.{number}:80\nslice many{number}-1 of many{number} 9376 10.244.1.3@n3\n")
        })
        .collect();
    pair.folder.put("many.yaml", &many).unwrap();
    wait_for("all are served", || Ok(in_kernel(pair.client.node())?.services.len() == 102))
        .unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
    wait_for_one_generation(pair.client.node()).unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
    assert!(agent.log().contains("changed over to other maps"), "{}", agent.log());
    agent.end_by(Signal::SIGKILL).unwrap();
    // The object with the programs' log passes the verifier in the same way.
    let agent = start(&pair, capabilities, &["--program-log"]);
    assert_eq!(load.stop().unwrap().failed, []);

    let mut socket = Datagrams::open4(&pair.client).unwrap();
    for (call, result) in [
        ("sendto 10.96.0.10:53 q", "ok"),
        ("recvfrom", "web q from 10.96.0.10:53"),
        ("connect 10.96.0.10:53", "ok"),
        ("peer", "10.96.0.10:53"),
    ] {
        assert_eq!(socket.call(call).unwrap(), result, "{call}");
    }

    pair.folder.put("web.yaml", "service web 10.96.0.11:80").unwrap();
    let refused = |answer: &Answer| answer.failed_with("ECONNREFUSED");
    for target in [Pair::SERVICE, "[::ffff:10.96.0.11]:80"] {
        pair.client.wait_until(target, refused, Duration::from_secs(5)).unwrap();
    }
    agent.end_by(Signal::SIGTERM).unwrap();

    let mut command = limited(&pair, capabilities);
    command.args(["cleanup", "--pin-root"]).arg(pair.client.node().pin_root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!pair.client.node().pin_root().join(generation()).exists());
}

fn start(pair: &Pair, capabilities: &str, flags: &[&str]) -> Agent {
    let agent = Agent::spawn_as(pair.client.node(), &mut limited(pair, capabilities), flags).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    agent
}

/// The agent's program, on the client's node.
fn limited(pair: &Pair, capabilities: &str) -> Command {
    let mut command = pair.client.node().command("setpriv");
    command.arg(format!("--bounding-set=-all,{capabilities}")).args(["--inh-caps=-all", "--no-new-privs"]);
    command.arg(program().unwrap());
    command
}
