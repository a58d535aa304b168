//! System calls that fail, and an agent that is killed at them, while clients dial.
//!
//! A start is recorded with `strace` once. Then the same start is made again for each call that matters, with a
//! fault at that call. No client notices, and the next start finds all in order or puts it in order.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::ExitStatus;
use std::time::Duration;

use edgeloop_tests::agent::{Agent, Folder, element, lb_agent_says, program, wait_for};
use edgeloop_tests::pins::assert_one_generation;
use edgeloop_tests::strace::{Fault, SystemCall, calls, faulty, recorded};
use edgeloop_tests::{Load, LoadReport, Node, Pod, Site, now};
use nix::sys::signal::Signal;

const WEB: &str = "10.96.0.11:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
const KEPT: &str = "10.96.0.12:80";

/// The address of the pod `b`, to which `web` is switched to and fro.
const SERVERS: [&str; 2] = ["10.244.1.3", "10.244.1.4"];

/// Before there is anything, clients are left alone; then they are served. Nothing in between.
#[test]
#[ignore = "needs root and strace"]
fn a_first_start_that_fails_at_any_call_never_refuses_and_the_next_serves() {
    let mut world = World::new();
    let recorded = world.record(&[]);
    let loads = world.loads(&[WEB, MAPPED]);
    let mut report = Report::default();
    for (call, fault) in points(&recorded) {
        let cleaned = lb_agent_says(&world.node, "cleanup", &[]).unwrap();
        assert!(cleaned.status.success(), "{cleaned:?}");
        report.add(&call, fault, world.start_with(&call, fault, &[]));
        world.start_and_look(&call, fault, &[]);
    }
    report.assert_all_served(loads, &["ENETUNREACH"]);
    report.show("a first start");
}

#[test]
#[ignore = "needs root and strace"]
fn a_restart_that_fails_at_any_call_loses_no_connection() {
    let mut world = World::new();
    world.start_and_look_first(&[]);
    let recorded = world.record(&[]);
    let loads = world.loads(&[WEB, MAPPED, KEPT]);
    let mut report = Report::default();
    for (call, fault) in points(&recorded) {
        world.switch();
        report.add(&call, fault, world.start_with(&call, fault, &[]));
        world.start_and_look(&call, fault, &[]);
    }
    report.assert_all_served(loads, &[]);
    report.show("a restart with a change");
}

/// Each start wants other sizes, and so makes other maps.
#[test]
#[ignore = "needs root and strace"]
fn a_change_over_that_fails_at_any_call_loses_no_connection() {
    let mut world = World::new();
    world.start_and_look_first(&["--max-services", "64"]);
    let recorded = world.record(&["--max-services", "65"]);
    let loads = world.loads(&[WEB, MAPPED, KEPT]);
    let mut report = Report::default();
    for (number, (call, fault)) in points(&recorded).into_iter().enumerate() {
        world.switch();
        let size = (66 + number).to_string();
        let flags = ["--max-services", &size];
        report.add(&call, fault, world.start_with(&call, fault, &flags));
        if fault == Fault::Kill {
            // A part of the source is unknown: what was kept for it is there all the same.
            world.folder.put_text("kept.yaml", "apiVersion: v1\nkind: [").unwrap();
            Agent::start(&world.node, &flags).unwrap().end_by(Signal::SIGTERM).unwrap();
            let kept = element(&world.node, KEPT).unwrap();
            assert!(kept.is_some(), "what was kept is lost: killed at {}", call.text);
            world.put_kept();
        }
        world.start_and_look(&call, fault, &flags);
    }
    report.assert_all_served(loads, &[]);
    report.show("a change-over");
}

/// The faults of one start: killed before each call that changes something, and an error from each that does or
/// makes something, and from some of those that only read: there are hundreds.
fn points(calls: &[SystemCall]) -> Vec<(SystemCall, Fault)> {
    let mut points = Vec::new();
    for (number, call) in calls.iter().filter(|call| !call.is_probe()).enumerate() {
        if call.changes_something() {
            points.push((call.clone(), Fault::Kill));
        }
        if call.changes_something() || number % 16 == 0 {
            points.push((call.clone(), Fault::Error("ENOMEM")));
        }
    }
    points
}

/// How starts with a fault ended.
#[derive(Default)]
struct Report {
    killed: usize,
    ended: usize,
    went_on: usize,
    /// When which start had ended or was ready.
    times: Vec<(Duration, String)>,
}

impl Report {
    fn add(&mut self, call: &SystemCall, fault: Fault, ended: Option<ExitStatus>) {
        match (fault, ended) {
            (Fault::Kill, Some(status)) if status.code().is_none() => self.killed += 1,
            (Fault::Kill, ended) => panic!("not killed at {call:?}: {ended:?}"),
            (Fault::Error(_), Some(_)) => self.ended += 1,
            (Fault::Error(_), None) => self.went_on += 1,
        }
        self.times.push((now(), format!("{fault:?} at {}", call.text)));
    }

    /// No connection went astray, and none failed but by one of `but`.
    fn assert_all_served(&self, loads: Vec<Load>, but: &[&str]) {
        for load in loads {
            let LoadReport { answered, failed, .. } = load.stop().unwrap();
            let before = |began| self.times.iter().find(|(until, _)| *until >= began);
            let failed = failed.iter().filter(|one| !but.contains(&one.errno.as_str()));
            let failed: Vec<_> = failed.map(|one| (&one.errno, before(one.began))).collect();
            assert!(failed.is_empty(), "{} failed: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
            assert!(answered.keys().all(|name| name == "a" || name == "b"), "{answered:?}");
        }
    }

    fn show(&self, what: &str) {
        let Self { killed, ended, went_on, .. } = self;
        eprintln!("{what}: killed at {killed} calls; after an error {ended} ended and {went_on} went on");
    }
}

struct World {
    folder: Folder,
    client: Pod,
    node: Node,
    site: Site,
    /// The server of the Service `web`.
    turn: usize,
    _servers: [Pod; 2],
}

impl World {
    /// The Service `web`, and `kept`, which has a file of its own.
    fn new() -> Self {
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let client = node.pod("client", "10.244.1.2").unwrap();
        let servers = [("a", SERVERS[0]), ("b", SERVERS[1])].map(|(name, at)| node.pod(name, at).unwrap());
        for server in &servers {
            server.serve_name(9376).unwrap();
        }
        let folder = Folder::of(&node).unwrap();
        folder.put("nodes.yaml", "node n1 pool=p1").unwrap();
        let mut world = Self { folder, client, node, site, turn: 0, _servers: servers };
        world.put_kept();
        world.switch();
        world
    }

    fn put_kept(&self) {
        let lines = format!("service kept {KEPT}\nslice kept-1 of kept 9376 {}", SERVERS[0]);
        self.folder.put("kept.yaml", &lines).unwrap();
    }

    /// Gives `web` the other server.
    fn switch(&mut self) {
        self.turn = 1 - self.turn;
        let lines = format!("service web {WEB}\nslice web-1 of web 9376 {}", SERVERS[self.turn]);
        self.folder.put("web.yaml", &lines).unwrap();
    }

    fn loads(&self, targets: &[&str]) -> Vec<Load> {
        targets.iter().map(|target| self.client.dial_continuously(target, 100, 1).unwrap()).collect()
    }

    /// The calls of a start in good order, up to its being ready. It changes something, too.
    fn record(&mut self, flags: &[&str]) -> Vec<SystemCall> {
        self.switch();
        let log = self.site.folder().join("strace.log");
        let mut command = recorded(&self.node, &program().unwrap(), &log);
        let mut agent = Agent::spawn_as(&self.node, &mut command, flags).unwrap();
        assert_eq!(agent.ready_or_ended().unwrap(), None, "{}", agent.log());
        let recorded = calls(&log).unwrap();
        agent.end_by(Signal::SIGTERM).unwrap();
        recorded
    }

    /// A start with a fault, up to its end or its being ready.
    fn start_with(&self, call: &SystemCall, fault: Fault, flags: &[&str]) -> Option<ExitStatus> {
        let mut command = faulty(&self.node, &program().unwrap(), call, fault);
        let mut agent = Agent::spawn_as(&self.node, &mut command, flags).unwrap();
        let ended = agent.ready_or_ended().unwrap();
        if ended.is_none() {
            agent.end_by(Signal::SIGKILL).unwrap();
        }
        ended
    }

    fn start_and_look_first(&self, flags: &[&str]) {
        Agent::start(&self.node, flags).unwrap().end_by(Signal::SIGTERM).unwrap();
        assert_one_generation(&self.node).unwrap();
    }

    /// The start after one with a fault: all is as it should be.
    fn start_and_look(&self, call: &SystemCall, fault: Fault, flags: &[&str]) {
        let agent = Agent::start(&self.node, flags).unwrap();
        let after = || format!("{fault:?} at {}\n{}", call.text, agent.log());
        let wanted = format!("{}:9376", SERVERS[self.turn]);
        wait_for("the Service has its server", || {
            Ok(element(&self.node, WEB)?.is_some_and(|element| element.backends == [wanted.as_str()]))
        })
        .unwrap_or_else(|error| panic!("{error}: {}", after()));
        assert_one_generation(&self.node).unwrap_or_else(|error| panic!("{error}: {}", after()));
        let server = ["a", "b"][self.turn];
        for target in [WEB, MAPPED] {
            let answer = self.client.dial(target, 1).unwrap().remove(0);
            assert!(answer.is_from(server), "{target}: {answer:?}: {}", after());
        }
        agent.end_by(Signal::SIGTERM).unwrap();
    }
}
