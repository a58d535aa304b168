//! Health, metrics and status while many ask at once, and while the writer is stuck.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, wait_for};
use edgeloop_tests::manifests::manifests;
use jiff::Timestamp;
use lb_agent::serve::request::{Reply, Request};
use lb_agent::serve::socket::request;
use lb_agent::view::published::STUCK_AFTER;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::json;

/// More than the agent needs to reply, and far less than a test may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root"]
fn no_request_wakes_the_writer() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let (writer, before) = (thread(&agent, "writer"), agent.view().unwrap());
    let woken = wakes(&agent, writer);
    let began = std::time::Instant::now();
    let socket = pair.client.node().file("agent.sock");

    for _ in 0..250 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(get(doors, path).0, 200, "{path}");
        }
        agent.view().unwrap();
        for asked in [Request::Services, Request::Explain("web".to_owned())] {
            assert!(!matches!(request(&socket, &asked).unwrap(), Reply::Error(_)));
        }
        // One that leaves before the reply.
        TcpStream::connect(doors).unwrap().write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    }

    let (seconds, woken) = (began.elapsed().as_secs(), wakes(&agent, writer) - woken);
    assert!(woken <= 3 * seconds + 20, "{woken} times in {seconds} s, at 1,750 requests");
    assert_eq!(agent.view().unwrap().passes, before.passes);
}

/// As Kubernetes defines it: a slice that differs in its annotation alone is no change, and neither is one from before the start.
#[test]
#[ignore = "needs root"]
fn a_change_of_endpoints_is_measured_from_when_it_came_about() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let count = || metric(doors, "edgeloop_network_programming_duration_seconds_count");
    let put = |address: &str, changed: Timestamp| {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": "web-1", "labels": {"kubernetes.io/service-name": "web"},
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": changed.to_string()},
            },
            "ports": [{"port": 9376}], "endpoints": [{"addresses": [address], "nodeName": "n3"}],
        });
        let service = "service web 10.96.0.11:80\n";
        let text = format!("{}\n---\n{slice}", manifests(service).unwrap());
        pair.folder.put_text("web.yaml", &text).unwrap();
    };
    let leads_to = |address: &str| {
        wait_for("the change is in the kernel", || Ok(pair.holds(Pair::SERVICE)? == address)).unwrap();
    };
    assert!(count() < 0.5, "the first list has no annotation");

    put("10.244.1.4", Timestamp::now());
    leads_to("10.244.1.4:9376");
    wait_for("it is measured", || Ok(count() > 0.5)).unwrap();
    put("10.244.1.4", Timestamp::now());
    put("10.244.1.5", "2020-01-01T00:00:00Z".parse().unwrap());
    leads_to("10.244.1.5:9376");
    let passes = agent.view().unwrap().passes;
    put("10.244.1.6", Timestamp::now());
    leads_to("10.244.1.6:9376");
    wait_for("it is measured", || Ok(count() > 1.5)).unwrap();
    assert!(count() < 2.5 && agent.view().unwrap().passes > passes);
    let seconds = metric(doors, "edgeloop_network_programming_duration_seconds_sum");
    assert!((0.0..20.0).contains(&seconds), "{seconds}");
    assert!(metric(doors, "edgeloop_change_to_kernel_seconds_count") > 2.5);
}

#[test]
#[ignore = "needs root"]
fn metrics_and_status_count_what_the_kernel_does() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let forwarded = || metric(doors, "edgeloop_connections_total{outcome=\"forwarded\"}");
    let before = forwarded();

    for _ in 0..3 {
        assert!(pair.is_served().unwrap());
    }

    assert!((forwarded() - before - 3.0).abs() < 0.1, "{}", get(doors, "/metrics").1);
    let elements = || metric(doors, "edgeloop_map_elements{map=\"services4\"}");
    assert!((elements() - 1.0).abs() < 0.1);
    pair.folder.put("other.yaml", "service other 10.96.0.12:80 topology=rack").unwrap();
    wait_for("another element", || Ok((elements() - 2.0).abs() < 0.1)).unwrap();
    let invalid = metric(doors, "edgeloop_diagnostics{reason=\"invalid-topology\"}");
    assert!((invalid - 1.0).abs() < 0.1, "{:?}", agent.view());
}

/// As when a system call of the kernel never returns.
#[test]
#[ignore = "needs root"]
fn a_stuck_writer_is_found_unhealthy_and_healthy_again_when_it_goes_on() {
    let pair = Pair::new().unwrap();
    let (agent, doors) = agent(&pair);
    let writer = thread(&agent, "writer");
    assert_eq!(get(doors, "/healthz"), (200, "ok\n".to_owned()));

    ptrace::seize(writer, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(writer).unwrap();
    waitpid(writer, Some(WaitPidFlag::__WALL)).unwrap();
    assert_eq!(get(doors, "/healthz").0, 200, "not at once");
    std::thread::sleep(STUCK_AFTER);
    wait_for("it is found", || Ok(get(doors, "/healthz").0 == 503)).unwrap();

    assert_eq!(get(doors, "/healthz").1, "the writer is stuck\n");
    assert_eq!(get(doors, "/readyz").0, 503);
    assert_eq!(get(doors, "/metrics").0, 200, "what is counted goes on");
    assert!(pair.is_served().unwrap(), "and so does the kernel");
    ptrace::detach(writer, None).unwrap();
    wait_for("it goes on", || Ok(get(doors, "/healthz").0 == 200 && get(doors, "/readyz").0 == 200)).unwrap();
}

/// For a Prometheus elsewhere: what probes ask stays where it was.
#[test]
#[ignore = "needs root"]
fn metrics_alone_answer_at_an_address_of_their_own_and_the_log_says_what_is_exposed() {
    let pair = Pair::new().unwrap();
    let [doors, metrics] = [free(Ipv4Addr::LOCALHOST), free(Ipv4Addr::UNSPECIFIED)];
    let agent = pair.agent(&["--http", &doors.to_string(), "--metrics", &metrics.to_string()]).unwrap();
    let answers = |at| ["/metrics", "/healthz", "/readyz"].map(|path| get(at, path).0);
    assert_eq!(answers(doors), [200, 200, 200]);
    assert_eq!(answers((Ipv4Addr::LOCALHOST, metrics.port()).into()), [200, 404, 404]);
    let log = agent.log();
    assert!(log.contains(&format!("address={metrics}")) && log.contains("without asking who it is"), "{log}");
    assert!(!log.contains(&format!("address={doors}")), "loopback is no exposure: {log}");
}

fn free(address: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

/// An agent that is ready, and where its doors are.
pub(super) fn agent(pair: &Pair) -> (Agent, SocketAddr) {
    let free = free(Ipv4Addr::LOCALHOST);
    (pair.agent(&["--http", &free.to_string()]).unwrap(), free)
}

pub(super) fn get(doors: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&doors, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn metric(doors: SocketAddr, name: &str) -> f64 {
    let text = get(doors, "/metrics").1;
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim().parse().unwrap()
}

/// The thread of this name.
pub(super) fn thread(agent: &Agent, name: &str) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let found = tasks.find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == name).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

/// How often a thread has gone to sleep, which is how often it was woken.
fn wakes(agent: &Agent, thread: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/task/{thread}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}
