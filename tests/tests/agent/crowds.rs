//! Clients that do nothing, leave, or come in crowds: nothing else waits for them.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, program, wait_for};
use nix::sys::signal::Signal;

use super::doors::{agent, get};

/// From a signal to the end.
const ENDS: Duration = Duration::from_secs(2);
/// What a probe of the kubelet waits for by default.
const PROBE: Duration = Duration::from_secs(1);
/// No crowd needs more, in KiB.
const MEMORY: u64 = 100 << 10;
/// Of maps, links, files, threads and all clients that are admitted.
const DESCRIPTORS: usize = 200;

#[test]
#[ignore = "needs root"]
fn idle_connections_keep_no_probe_out_and_no_change_back() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let idle: Vec<TcpStream> = (0..1500).map(|_| TcpStream::connect(doors).unwrap()).collect();
    let half: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(doors).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").unwrap();
            stream
        })
        .collect();

    for path in ["/healthz", "/readyz", "/metrics"] {
        let start = Instant::now();
        assert_eq!(get(doors, path).0, 200, "{path}");
        assert!(start.elapsed() < PROBE, "{path} took {:?}", start.elapsed());
    }

    check(&pair, agent);
    drop((idle, half));
}

/// As in a pod that may not raise its limit.
#[test]
#[ignore = "needs root"]
fn with_few_descriptors_clients_take_none_that_the_agent_needs() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let doors = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut command = node.command("prlimit");
    command.args(["--nofile=128:128", "setpriv", "--bounding-set", "-sys_resource"]).arg(program().unwrap());
    let agent = Agent::spawn_as(node, &mut command, &["--http", &doors.to_string()]).unwrap();
    agent.wait_until("it is ready", |view| view.ready).unwrap();
    assert!(agent.log().contains("few descriptors"), "{}", agent.log());

    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(doors).unwrap()).collect();
    let socket = node.file("agent.sock");
    let asking: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(&socket).unwrap()).collect();

    assert_eq!(get(doors, "/readyz").0, 200);
    check(&pair, agent);
    drop((idle, asking));
}

/// The head is refused at a limit, and what follows a head is not read.
#[test]
#[ignore = "needs root"]
fn a_client_that_sends_without_end_is_left() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    for begins in [
        "GET /healthz HTTP/1.1\r\nX: ",
        "GET /",
        "POST /metrics HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(doors).unwrap();
        stream.write_all(begins.as_bytes()).unwrap();
        let sent = (0..4096).take_while(|_| stream.write_all(&[b'x'; 65536]).is_ok()).count();
        assert!(sent < 1024, "{begins:?}: {} MiB were taken", sent / 16);
    }
    check(&pair, agent);
}

#[test]
#[ignore = "needs root"]
fn probes_that_leave_before_the_answer_cost_nothing() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    for _ in 0..2000 {
        for path in ["/healthz", "/metrics"] {
            let mut stream = TcpStream::connect(doors).unwrap();
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        }
    }
    check(&pair, agent);
}

/// Answers that are asked for and not read fill the buffers of the kernel, and nothing else.
#[test]
#[ignore = "needs root"]
fn clients_that_ask_and_never_read_are_left() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let many = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let asking: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(doors).unwrap();
            stream.set_nonblocking(true).unwrap();
            // As much of it as fits.
            drop(stream.write(many.as_bytes()));
            stream
        })
        .collect();
    check(&pair, agent);
    drop(asking);
}

#[test]
#[ignore = "needs root"]
fn clients_of_the_socket_that_never_read_hold_nothing() {
    let pair = Pair::new().unwrap();
    // A status of some megabytes, which no socket buffer takes.
    let many = (0..8000).map(|number| {
        let address = format!("10.97.{}.{}:80", number / 250, number % 250 + 1);
        format!("service s{number} {address} topology=a-key-that-is-not-known-{number}")
    });
    pair.folder.put("many.yaml", &many.collect::<Vec<_>>().join("\n")).unwrap();
    let (agent, _) = agent(&pair);
    agent.wait_until("all is said", |view| view.diagnostics.len() >= 8000).unwrap();
    let alone = memory(&agent);

    let socket = pair.client.node().file("agent.sock");
    let clients: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    agent.wait_until("one that reads is answered", |view| view.ready).unwrap();

    let more = memory(&agent).saturating_sub(alone);
    assert!(more < MEMORY, "{more} KiB more than without them");
    check(&pair, agent);
    drop(clients);
}

/// Any user who can reach the socket: its mode may have been changed.
#[test]
#[ignore = "needs root"]
fn another_user_is_told_nothing_at_the_socket() {
    let pair = Pair::new().unwrap();
    let (agent, _) = agent(&pair);
    let socket = pair.client.node().file("agent.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();

    let another = std::thread::spawn(move || {
        // SAFETY: the call takes three numbers. It changes the user of this thread alone, which ends with it.
        let changed = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(changed, 0);
        let mut text = Vec::new();
        UnixStream::connect(&socket).unwrap().read_to_end(&mut text).unwrap();
        text
    });

    assert_eq!(another.join().unwrap(), b"");
    assert!(agent.view().unwrap().ready, "and root is answered as before");
}

/// A change arrives, memory and descriptors are bounded, and the agent ends when it is asked to.
fn check(pair: &Pair, agent: Agent) {
    let start = Instant::now();
    pair.folder.put("new.yaml", "service new 10.96.0.13:80\nslice new-1 of new 9376 10.244.1.3").unwrap();
    wait_for("a change arrives", || Ok(pair.holds("10.96.0.13:80")? == "10.244.1.3:9376")).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "a change took {:?}", start.elapsed());
    assert!(memory(&agent) < 2 * MEMORY, "{} KiB", memory(&agent));
    let descriptors = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    assert!(descriptors < DESCRIPTORS, "{descriptors}");
    let start = Instant::now();
    assert_eq!(agent.end_by(Signal::SIGTERM).unwrap(), Some(0));
    assert!(start.elapsed() < ENDS, "its end took {:?}", start.elapsed());
}

/// What it holds in memory, in KiB.
fn memory(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
