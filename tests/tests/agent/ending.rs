//! Whatever hangs, the agent ends soon after it is asked to.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, program, wait_for};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde_json::json;

use super::doors::thread;

/// From a signal to the end.
const ENDS: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs root"]
fn an_agent_whose_writer_hangs_in_the_kernel_ends() {
    let pair = Pair::new().unwrap();
    let mut agent = pair.agent(&[]).unwrap();
    let writer = thread(&agent, "writer");
    ptrace::seize(writer, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(writer).unwrap();
    waitpid(writer, Some(WaitPidFlag::__WALL)).unwrap();

    let start = Instant::now();
    agent.signal(Signal::SIGTERM).unwrap();
    // The process ends when this, who stopped the thread, has seen the end of it.
    while !matches!(waitpid(writer, Some(WaitPidFlag::__WALL)).unwrap(), WaitStatus::Exited(..)) {}
    let ended = agent.ready_or_ended().unwrap().unwrap();

    assert!(start.elapsed() < ENDS, "{:?}", start.elapsed());
    assert_eq!(ended.code(), Some(0));
    assert!(agent.log().contains("did not end in time"), "{}", agent.log());
    assert!(pair.is_served().unwrap());
}

/// A name server that gives no reply: the look-up goes on for a minute.
#[test]
#[ignore = "needs root"]
fn an_agent_that_waits_for_a_name_ends() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let silent = UdpSocket::bind("127.0.0.77:53").unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let resolver = node.file("resolv.conf");
    fs::write(&resolver, "nameserver 127.0.0.77\noptions timeout:30 attempts:2\n").unwrap();
    let config = kubeconfig(&pair, &json!({}));
    let mut command = node.command("unshare");
    let script = "mount --bind \"$1\" /etc/resolv.conf; shift; exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&resolver).arg(program().unwrap());

    let agent = Agent::from_program(node, &mut command, &["--kubeconfig", &config]).unwrap();

    silent.recv(&mut [0; 512]).unwrap();
    ends(agent);
}

#[test]
#[ignore = "needs root"]
fn an_agent_that_waits_for_a_plugin_ends_and_so_does_the_plugin() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let (plugin, running) = (node.file("plugin"), node.file("running"));
    fs::write(&plugin, format!("#!/bin/sh\necho $$ > {}\nexec sleep 100\n", running.display())).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": plugin,
    });
    let config = kubeconfig(&pair, &json!({"exec": exec}));
    let agent =
        Agent::from_program(node, &mut node.command(program().unwrap()), &["--kubeconfig", &config]).unwrap();
    let pid = || fs::read_to_string(&running).unwrap_or_default().trim().to_owned();
    wait_for("the plugin runs", || Ok(!pid().is_empty())).unwrap();

    ends(agent);

    let running = || fs::read_to_string(format!("/proc/{}/comm", pid())).unwrap_or_default();
    wait_for("it ends", || Ok(running() != "sleep\n")).unwrap();
}

/// The server of the kubeconfig has a name that nothing knows.
fn kubeconfig(pair: &Pair, user: &serde_json::Value) -> String {
    let config = json!({
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    let file = pair.client.node().file("kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    file.display().to_string()
}

fn ends(agent: Agent) {
    let start = Instant::now();
    assert_eq!(agent.end_by(Signal::SIGTERM).unwrap(), Some(0));
    assert!(start.elapsed() < ENDS, "{:?}", start.elapsed());
}
