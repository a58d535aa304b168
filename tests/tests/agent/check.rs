//! `lb-agent check` and `lb-agent init`: what a machine has, and what is mounted.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use edgeloop_tests::agent::{in_kernel, lb_agent, program};
use edgeloop_tests::{Pair, Site};
use serde_json::Value;

/// Longer than any address that is asked and says nothing.
const AT_MOST: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root"]
fn a_check_finds_a_node_able_and_changes_nothing() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    let before = in_kernel(pair.client.node()).unwrap();

    let found = check(&pair, &[]);

    assert_eq!(state(&found, "bpf file system"), "ok");
    assert_eq!(state(&found, "cgroup2"), "degraded", "only a part of this machine");
    for what in [
        "hook connect4",
        "hook connect6",
        "helper bpf_set_retval",
        "the agent's programs",
        "CAP_BPF",
        "ending UDP sockets",
    ] {
        assert_eq!(state(&found, what), "ok", "{what}");
    }
    // Ours are there, and are no others.
    assert_eq!(of(&found, "other programs at connect4")["found"], "none");
    let after = in_kernel(pair.client.node()).unwrap();
    assert_eq!((after.services, after.hooks), (before.services, before.hooks));
    drop(agent);
}

#[test]
#[ignore = "needs root"]
fn what_is_missing_is_said_with_what_to_do_and_the_exit_status() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let run = |flags: &[&str]| {
        let mut command = lb_agent(&node, "check").unwrap();
        command.args(["--source", "file:/", "-o", "json", "--cgroup"]).arg(node.cgroup()).args(flags);
        command
    };
    // No cgroup of its own is the root: degraded. Nothing else is.
    assert_eq!(run(&[]).output().unwrap().status.code(), Some(1));

    let elsewhere = run(&["--pin-root", "/proc"]).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2), "a flag that is given twice is a wrong flag");

    // Without a capability that it could get back, not even as root.
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(program().unwrap())
        .args(["check", "--source", "file:/", "-o", "json", "--cgroup"])
        .arg(node.cgroup())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for what in ["CAP_BPF", "CAP_NET_ADMIN", "the agent's programs", "hook connect4"] {
        assert_eq!(state(&found, what), "missing", "{what}");
        assert!(of(&found, what)["todo"].is_string() && of(&found, what)["follows"].is_string(), "{what}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_server_that_says_nothing_holds_no_check_up() {
    let pair = Pair::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    let mut command = Command::new(program().unwrap());
    let output = command
        .args(["check", "-o", "json", "--api-server", &address, "--cgroup"])
        .arg(pair.client.node().cgroup())
        .arg("--pin-root")
        .arg(pair.client.node().pin_root())
        .output()
        .unwrap();
    assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(state(&found, "API server"), "degraded");
}

/// In mount namespaces of their own, which go with the processes in them.
#[test]
#[ignore = "needs root"]
fn init_mounts_what_is_missing_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (pins, cgroups) = (at("bpf"), at("cgroup"));
    let init = format!("{} init --bpffs {pins} --cgroup-mount {cgroups}", program().unwrap().display());
    let hidden = "mount -t tmpfs none /sys/fs/cgroup";
    let look = format!("stat -f -c %T {pins}; stat -c %i {cgroups}; stat -c %a {pins}");
    let output = within_mounts(&format!("{hidden} && {init} && echo again && {init} && {look}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..5],
        [
            format!("a bpf file system was mounted at {pins}"),
            format!("the root of cgroup2 was mounted at {cgroups}"),
            "again".to_owned(),
            format!("a bpf file system is at {pins}"),
            format!("the root of cgroup2 is at {cgroups}"),
        ],
        "{said}"
    );
    // The kernel adds the sticky bit.
    assert_eq!(lines[5..], ["bpf_fs", "1", "1700"], "{said}");
}

/// Where the agent looks by itself, a check finds what `init` mounted.
#[test]
#[ignore = "needs root"]
fn what_init_mounts_by_default_is_found_by_default() {
    let program = program().unwrap();
    let script = format!(
        "mount -t tmpfs none /sys/fs/cgroup && mount -t tmpfs none /run && {0} init >/dev/null && \
         {0} check --source file:/ -o json --pin-root /sys/fs/bpf/edgeloop-test-of-init || true",
        program.display()
    );
    let output = within_mounts(&script);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        of(&found, "cgroup2")["found"],
        "/run/edgeloop/cgroup is the root: every socket of this machine"
    );
    assert_eq!(state(&found, "cgroup2"), "ok");
    assert_eq!(state(&found, "bpf file system"), "ok");
}

fn within_mounts(script: &str) -> Output {
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", script])
        .output()
        .unwrap()
}

/// What a check of the pair's node says.
fn check(pair: &Pair, flags: &[&str]) -> Value {
    let mut command = lb_agent(pair.client.node(), "check").unwrap();
    command
        .args(["--source", "file:/", "-o", "json", "--cgroup"])
        .arg(pair.client.node().cgroup())
        .args(flags);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The finding whose name begins so.
fn of<'a>(found: &'a Value, what: &str) -> &'a Value {
    let findings = found.as_array().into_iter().flatten();
    let mut named =
        findings.filter(|finding| finding["what"].as_str().is_some_and(|name| name.starts_with(what)));
    named.next().unwrap_or(&Value::Null)
}

fn state<'a>(found: &'a Value, what: &str) -> &'a str {
    of(found, what)["state"].as_str().unwrap_or("not said")
}
