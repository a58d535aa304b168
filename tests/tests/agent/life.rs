//! An agent starts, ends, is killed, comes back, and is taken away.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::agent::{Agent, element, in_kernel, lb_agent_says, wait_for};
use edgeloop_tests::pins::generation;
use edgeloop_tests::{Child, Pair, Talk, bpf};
use lb_common::hook::Hook;
use lb_common::layout::CATALOGUE;
use nix::sys::signal::Signal;

const SERVICE: &str = Pair::SERVICE;

#[test]
#[ignore = "needs root"]
fn a_folder_of_manifests_becomes_connections() {
    let pair = Pair::new().unwrap();

    let agent = pair.agent(&[]).unwrap();

    assert!(pair.is_served().unwrap());
    let view = agent.view().unwrap();
    assert_eq!((view.ready, &*view.diagnostics), (true, &[][..]), "{view:?}");
}

#[test]
#[ignore = "needs root"]
fn a_second_agent_is_refused_with_the_process_that_holds_the_pin_root() {
    let pair = Pair::new().unwrap();
    let first = pair.agent(&[]).unwrap();

    let second =
        lb_agent_says(pair.client.node(), "run", &["--source", "file:/tmp", "--node", "n1"]).unwrap();

    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("is held by process {}", first.pid())), "{said}");
    assert!(said.contains("lb-agent run"), "its command line: {said}");
    assert!(pair.is_served().unwrap());
    assert!(first.view().unwrap().ready, "the first answers at its socket as before");
}

#[test]
#[ignore = "needs root"]
fn an_agent_that_is_told_to_leave_leaves_the_kernel_serving() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let pair = Pair::new().unwrap();
        let agent = pair.agent(&[]).unwrap();
        let before = in_kernel(pair.client.node()).unwrap();

        assert_eq!(agent.end_by(signal).unwrap(), Some(0), "{signal}");

        assert!(pair.is_served().unwrap());
        let after = in_kernel(pair.client.node()).unwrap();
        assert_eq!((after.hooks, after.services), (before.hooks, before.services));
        assert_eq!(after.held_by, None);
        assert!(!pair.client.node().file("agent.sock").exists(), "its socket is gone");
    }
}

/// Killed, away, and back: the maps, the links and the service ids are the ones there were.
#[test]
#[ignore = "needs root"]
fn a_killed_agent_comes_back_without_one_failed_connection() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let agent = Agent::start(node, &[]).unwrap();
    let before = (ids(&pair).unwrap(), element(node, SERVICE).unwrap());
    let load = pair.client.dial_continuously(SERVICE, 1000, 4).unwrap();

    std::thread::sleep(Duration::from_millis(200));
    agent.end_by(Signal::SIGKILL).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let agent = Agent::start(node, &[]).unwrap();
    std::thread::sleep(Duration::from_millis(200));

    let report = load.stop().unwrap();
    assert_eq!(report.failed, []);
    assert_eq!(report.answered.keys().collect::<Vec<_>>(), ["web"]);
    assert!(report.dialled() > 200, "{}", report.dialled());
    assert_eq!((ids(&pair).unwrap(), element(node, SERVICE).unwrap()), before, "{}", agent.log());
}

#[test]
#[ignore = "needs root"]
fn what_changed_while_no_agent_ran_is_caught_up_with() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.folder.put("old.yaml", "service old 10.96.0.12:80\nslice old-1 of old 9376 10.244.1.3").unwrap();
    let agent = Agent::start(node, &[]).unwrap();
    assert!(pair.dial("10.96.0.12:80").unwrap().is_from("web"));
    agent.end_by(Signal::SIGKILL).unwrap();

    pair.folder.remove("old.yaml").unwrap();
    pair.folder.put("new.yaml", "service new 10.96.0.13:80\nslice new-1 of new 9376 10.244.1.3").unwrap();
    let _agent = Agent::start(node, &[]).unwrap();

    assert!(pair.dial("10.96.0.12:80").unwrap().failed_with("ENETUNREACH"));
    assert!(pair.dial("10.96.0.13:80").unwrap().is_from("web"));
}

#[test]
#[ignore = "needs root"]
fn cleanup_refuses_while_an_agent_runs() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();

    let output = lb_agent_says(pair.client.node(), "cleanup", &[]).unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", agent.pid())) && said.contains("--stop"), "{said}");
    assert!(pair.is_served().unwrap());
}

/// Connections that exist go on; new ones go where they would have gone without Edgeloop.
#[test]
#[ignore = "needs root"]
fn cleanup_with_stop_asks_the_agent_to_leave_and_removes_everything() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.web.echo(7).unwrap();
    pair.folder.put("echo.yaml", "service echo 10.96.0.12:7\nslice echo-1 of echo 7 10.244.1.3").unwrap();
    let agent = Agent::start(node, &[]).unwrap();
    let mut talk = Talk::start(&pair.client, "10.96.0.12:7".parse().unwrap()).unwrap();

    let output = lb_agent_says(node, "cleanup", &["--stop"]).unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let maps = ["services4", "names"].map(|map| format!("{}/{map}", generation()));
    for gone in ["connect4", "connect6"].map(str::to_owned).into_iter().chain(maps) {
        assert!(said.contains(&format!("removed {}", node.pin_root().join(gone).display())), "{said}");
    }
    assert!(!node.pin_root().exists());
    assert!(agent.view().is_err(), "the agent has left");
    assert!(pair.dial(SERVICE).unwrap().failed_with("ENETUNREACH"));
    assert_eq!(talk.say("still here").unwrap(), "still here");
}

/// A process that took the lock by itself, with whatever rights.
#[test]
#[ignore = "needs root"]
fn cleanup_with_stop_ends_no_process_that_is_no_agent() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let mut command = std::process::Command::new("flock");
    command.arg("--no-fork").arg(node.pin_root()).args(["sleep", "100"]);
    let mut stranger = Child::spawn("flock", &mut command).unwrap();
    wait_for("it holds the lock", || Ok(in_kernel(node)?.held_by.is_some())).unwrap();

    let output = lb_agent_says(node, "cleanup", &["--stop"]).unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {} (sleep 100) holds", stranger.pid())), "{said}");
    assert!(stranger.wait(Duration::from_millis(100)).unwrap().is_none(), "it goes on");
    assert!(pair.is_served().unwrap(), "nothing was removed");
}

/// On a bpf file system that all can write to, another user may have been there first.
#[test]
#[ignore = "needs root"]
fn a_pin_root_of_another_user_is_refused_and_ours_is_for_no_other() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    std::fs::create_dir(node.pin_root()).unwrap();
    std::os::unix::fs::chown(node.pin_root(), Some(65534), None).unwrap();
    let cgroup = node.cgroup().display().to_string();
    let run = ["--source", "file:/tmp", "--node", "n1", "--cgroup", &cgroup];
    for (verb, flags) in [("run", &run[..]), ("cleanup", &[]), ("cleanup", &["--stop"])] {
        let output = lb_agent_says(node, verb, flags).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{verb}: {said}");
        assert!(said.contains("belongs to user 65534"), "{verb}: {said}");
    }

    std::fs::remove_dir(node.pin_root()).unwrap();
    let _agent = pair.agent(&[]).unwrap();
    let pins = std::fs::metadata(node.pin_root()).unwrap();
    assert_eq!((pins.uid(), pins.mode() & 0o777), (0, 0o700));
}

#[test]
#[ignore = "needs root"]
fn cleanup_after_a_killed_agent_removes_everything() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    Agent::start(node, &[]).unwrap().end_by(Signal::SIGKILL).unwrap();

    let socket = node.file("agent.sock");
    assert!(socket.exists(), "it is left behind");

    let output = lb_agent_says(node, "cleanup", &["--socket", &socket.display().to_string()]).unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!node.pin_root().exists());
    assert!(!socket.exists());
    assert!(pair.dial(SERVICE).unwrap().failed_with("ENETUNREACH"));
}

/// bpftool, or another process, may hold on to a link: without the pin alone it would go on.
#[test]
#[ignore = "needs root"]
fn cleanup_detaches_also_what_somebody_else_holds() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    Agent::start(node, &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let kept = node.pin_root().with_file_name("kept");
    bpf::keep(&node.pin_root().join("connect4"), &kept).unwrap();

    let output = lb_agent_says(node, "cleanup", &[]).unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bpf::id(&kept).is_ok());
    assert!(pair.dial(SERVICE).unwrap().failed_with("ENETUNREACH"));
}

#[test]
#[ignore = "needs root"]
fn cleanup_where_nothing_is_says_so() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();

    let output = lb_agent_says(node, "cleanup", &[]).unwrap();

    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("nothing of Edgeloop is pinned at {}\n", node.pin_root().display()));
}

#[test]
#[ignore = "needs root"]
fn cleanup_leaves_what_is_not_ours() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    Agent::start(node, &[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    let theirs = node.pin_root().join("somebody-elses");
    bpf::create(&theirs, &lb_common::layout::NAMES, 4).unwrap();

    let output = lb_agent_says(node, "cleanup", &[]).unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> =
        std::fs::read_dir(node.pin_root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [theirs]);
}

/// Of everything that is pinned.
fn ids(pair: &Pair) -> Result<Vec<u32>> {
    let maps = CATALOGUE.iter().map(|map| format!("{}/{}", generation(), map.pin));
    let pins = maps.chain(Hook::ALL.into_iter().map(|hook| hook.name().to_owned()));
    pins.map(|pin| bpf::id(&pair.client.node().pin_root().join(pin))).collect()
}
