//! A cleanup that stays, as a pod of a DaemonSet has to.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use edgeloop_tests::agent::{lb_agent, lb_agent_says, wait_for};
use edgeloop_tests::{Child, Pair};
use nix::sys::signal::Signal;

use super::doors::get;

#[test]
#[ignore = "needs root"]
fn a_cleanup_that_holds_is_ready_once_all_is_removed_and_so_is_the_next_one() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    let doors = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    // The second finds nothing, as after a restart of its container.
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut holding = hold(&pair, &["--http", &doors.to_string()]);
        wait_for("it answers", || Ok(TcpStream::connect(doors).is_ok())).unwrap();
        assert!(!pair.client.node().pin_root().exists(), "answered before all was removed");
        for path in ["/healthz", "/readyz"] {
            assert_eq!(get(doors, path), (200, "ok\n".to_owned()), "{path}");
        }
        assert_eq!(get(doors, "/metrics").0, 404);
        holding.signal(signal).unwrap();
        let status = holding.wait(Duration::from_secs(5)).unwrap().expect("it ends when it is asked to");
        assert_eq!(status.code(), Some(0), "{signal}");
    }
    assert!(agent.view().is_err(), "the agent has left");
}

#[test]
#[ignore = "needs root"]
fn a_cleanup_that_holds_opens_no_port_unasked_and_fails_like_any_other() {
    let pair = Pair::new().unwrap();
    let mut holding = hold(&pair, &[]);
    assert!(holding.wait(Duration::from_millis(500)).unwrap().is_none(), "it stays");
    assert_eq!(listening(holding.pid()), 0);
    drop(holding);

    let _agent = pair.agent(&[]).unwrap();
    let refused = lb_agent_says(pair.client.node(), "cleanup", &["--hold"]).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("--stop"), "{said}");
    let taken: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _listener = TcpListener::bind(taken).unwrap();
    let flags = ["--stop", "--hold", "--http", &taken.to_string()];
    let failed = lb_agent_says(pair.client.node(), "cleanup", &flags).unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("everything is removed: could not listen at"), "{said}");
    assert!(!pair.client.node().pin_root().exists());
}

fn hold(pair: &Pair, flags: &[&str]) -> Child {
    let mut command = lb_agent(pair.client.node(), "cleanup").unwrap();
    command.arg("--socket").arg(pair.client.node().file("agent.sock"));
    Child::spawn("lb-agent cleanup", command.args(["--stop", "--hold"]).args(flags)).unwrap()
}

/// How many TCP sockets this process listens with.
fn listening(pid: u32) -> usize {
    let of_process = |folder: &str| std::fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap();
    let own: Vec<String> = of_process("fd")
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let lines = tables.iter().flat_map(|table| table.as_ref().unwrap().lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|of| of[3] == "0A" && own.contains(&format!("socket:[{}]", of[9]))).count()
}
