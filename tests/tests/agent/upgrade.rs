//! Upgrades and downgrades between layout versions under load, also killed at any moment.
//!
//! Nothing is behind the programs: a connection that is not rewritten goes nowhere.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, PerCpuArray};
use edgeloop_tests::agent::{Agent, Folder, lb_agent_says, program, wait_for};
use edgeloop_tests::bpf::Pinned;
use edgeloop_tests::builds::next_layout_agent;
use edgeloop_tests::kernel::key;
use edgeloop_tests::pins::{assert_generation_of, folder_of};
use edgeloop_tests::strace::{Fault, SystemCall, calls, faulty, recorded};
use edgeloop_tests::{Answer, Load, Node, Pod, Site};
use lb_common::hook::Hook;
use lb_common::layout::{Backend4, Frontend4, LAYOUT_VERSION, OUTCOMES, Outcomes, SERVICES4, Service4};
use lb_common::outcome::{Counter, Outcome};
use nix::sys::signal::Signal;

const WEB: &str = "10.96.0.11:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
/// Its backends are in an order that no agent would choose: they came one after the other.
const SLOTS: &str = "10.96.0.12:80";

/// The pods `a` and `b`, to which `web` is switched to and fro.
const SERVERS: [&str; 2] = ["10.244.1.3", "10.244.1.4"];

/// New connections a second, by both hooks together.
const RATE: u32 = 1_000;

/// Layout version 1 counted in other maps.
const COUNTERS_GO_ON: u32 = 2;

/// Changes over without a kill.
const CHANGE_OVERS: usize = 10;

/// An agent's program, and the layout version of its maps.
#[derive(Clone)]
struct Build {
    program: PathBuf,
    version: u32,
}

impl Build {
    fn this() -> Self {
        Self { program: program().unwrap(), version: LAYOUT_VERSION }
    }

    fn next() -> Self {
        Self { program: next_layout_agent().unwrap(), version: LAYOUT_VERSION + 1 }
    }
}

#[test]
#[ignore = "needs root, strace and `cargo xtask`"]
fn upgrades_and_downgrades_lose_no_connection_killed_or_not() {
    let mut world = World::new();
    let builds = [Build::this(), Build::next()];
    world.assert_nothing_behind();
    world.give_slots(&builds[0]);
    let slots = world.element(&builds[0], SLOTS).inline;
    world.start_and_look(&builds[0]);
    let (loads, began) = (world.loads(), Instant::now());

    for number in 1..=CHANGE_OVERS {
        let build = &builds[number % 2];
        world.start_and_look(build);
        assert_eq!(world.element(build, SLOTS).inline, slots, "slots keep their order");
    }
    // An even number of them: this build serves again.
    let killed = world.kill_each(&builds, &slots);

    let connections = assert_all_answered(loads);
    let rate = connections as f64 / began.elapsed().as_secs_f64();
    world.assert_nothing_behind();
    say(&format!(
        "between layout {LAYOUT_VERSION} and {}: {} change-overs, {killed} killed ones, {connections} connections \
         ({rate:.0} a second), none failed, none astray",
        builds[1].version, world.change_overs,
    ));
}

mod previous {
    use edgeloop_tests::builds::previous_agent;

    use super::*;

    /// The layout version of the build that `tests/previous-build` names.
    const VERSION: u32 = 7;

    /// Of the calls that change something, every so many.
    const EVERY: usize = 3;

    #[test]
    #[ignore = "needs root, strace and `cargo xtask`"]
    fn an_upgrade_from_the_last_landed_version_loses_no_connection_killed_or_not() {
        let mut world = World::new();
        let (last, this) = (Build { program: previous_agent().unwrap(), version: VERSION }, Build::this());
        world.start_and_look(&last);
        let recorded = world.record(&this);
        let points = recorded.iter().filter(|call| call.changes_something());
        let links = points.clone().filter(|call| call.text.contains("LINK"));
        let points: Vec<&SystemCall> = points.step_by(EVERY).chain(links).collect();
        let (mut connections, mut killed) = (0, 0);
        for call in [None].into_iter().chain(points.into_iter().map(Some)) {
            world.clean();
            world.start_and_look(&last);
            let loads = world.loads();

            if let Some(call) = call {
                world.killed_at(&this, call);
                killed += 1;
            }
            world.start_and_look(&this);

            connections += assert_all_answered(loads);
        }
        say(&format!(
            "from layout {VERSION} to {}: {} upgrades, {killed} of them killed, {connections} connections, none \
             failed, none astray",
            this.version,
            killed + 1,
        ));
    }
}

struct World {
    folder: Folder,
    client: Pod,
    node: Node,
    site: Site,
    turn: usize,
    change_overs: usize,
    /// The highest service id of this boot.
    last_id: u32,
    /// Connections that the maps had counted.
    forwarded: u64,
    _servers: [Pod; 2],
}

impl World {
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
        let mut world = Self {
            folder,
            client,
            node,
            site,
            turn: 0,
            change_overs: 0,
            last_id: 0,
            forwarded: 0,
            _servers: servers,
        };
        world.switch();
        world
    }

    /// Gives `web` the other server, and replaces the newest Service by a newer one. Gives its address.
    fn switch(&mut self) -> String {
        self.turn = 1 - self.turn;
        let number = self.change_overs % 250 + 1;
        let address = format!("10.96.1.{number}:80");
        let lines = format!(
            "service web {WEB}\nslice web-1 of web 9376 {}\nservice new{} {address}",
            SERVERS[self.turn], self.change_overs
        );
        self.folder.put("web.yaml", &lines).unwrap();
        address
    }

    /// A Service whose set was changed one by one.
    fn give_slots(&self, build: &Build) {
        let agent = self.start(build);
        for endpoints in
            ["10.244.2.20 10.244.2.30", "10.244.2.30 10.244.2.40", "10.244.2.30 10.244.2.40 10.244.2.10"]
        {
            let lines = format!("service slots {SLOTS}\nslice slots-1 of slots 9376 {endpoints}");
            self.folder.put("slots.yaml", &lines).unwrap();
            let count = endpoints.split(' ').count();
            wait_for(endpoints, || {
                let element = self.read(build, SLOTS);
                Ok(element.is_some_and(|element| {
                    usize::from(element.count) == count
                        && element.inline.iter().take(count).all(|backend| {
                            endpoints.split(' ').any(|at| at == Ipv4Addr::from(backend.address).to_string())
                        })
                }))
            })
            .unwrap();
        }
        agent.end_by(Signal::SIGTERM).unwrap();
    }

    fn loads(&self) -> Vec<Load> {
        [WEB, MAPPED].map(|target| self.client.dial_continuously(target, RATE / 2, 4).unwrap()).into()
    }

    /// Without the programs the clients reach nothing.
    fn assert_nothing_behind(&mut self) {
        self.clean();
        for target in [WEB, MAPPED] {
            let answer = self.client.dial(target, 1).unwrap().remove(0);
            assert!(answer.failed_with("ENETUNREACH"), "{target}: {answer:?}");
        }
    }

    /// As after a boot: nothing is left that knows of earlier ids and connections.
    fn clean(&mut self) {
        (self.last_id, self.forwarded) = (0, 0);
        let cleaned = lb_agent_says(&self.node, "cleanup", &[]).unwrap();
        assert!(cleaned.status.success(), "{cleaned:?}");
    }

    /// Starts this build's agent over what there is, and waits until it serves.
    fn start(&self, build: &Build) -> Agent {
        let agent = Agent::spawn_as(&self.node, &mut self.node.command(&build.program), &[]).unwrap();
        let server = SERVERS[self.turn].parse::<Ipv4Addr>().unwrap().octets();
        let serves = || {
            let element = self.read(build, WEB).filter(|element| element.inline[0].address == server);
            Ok(element.is_some() && assert_generation_of(&self.node, build.version).is_ok())
        };
        wait_for("the agent serves", serves).unwrap_or_else(|error| {
            let pinned = assert_generation_of(&self.node, build.version);
            panic!("{error}: {pinned:?}\n{}", agent.log())
        });
        agent
    }

    /// The same, then a change that shows through both hooks, and the end of the agent. Service ids and counters
    /// have gone on.
    fn start_and_look(&mut self, build: &Build) {
        let agent = self.start(build);
        self.change_overs += 1;
        let newest = self.switch();
        let server = ["a", "b"][self.turn];
        for target in [WEB, MAPPED] {
            let is_new = |answer: &Answer| answer.is_from(server);
            self.client
                .wait_until(target, is_new, Duration::from_secs(10))
                .unwrap_or_else(|error| panic!("{target}: {error:#}\n{}", agent.log()));
        }
        wait_for("the newest Service", || Ok(self.read(build, &newest).is_some())).unwrap();
        let id = self.element(build, &newest).id;
        assert!(id > self.last_id, "the id {id} was used in this boot: {} was the last", self.last_id);
        self.last_id = id.max(self.element(build, WEB).id);
        if build.version >= COUNTERS_GO_ON {
            let forwarded = self.forwarded(build);
            assert!(forwarded >= self.forwarded, "{forwarded} connections, {} before", self.forwarded);
            self.forwarded = forwarded;
        }
        agent.end_by(Signal::SIGTERM).unwrap();
    }

    /// The calls of a change-over to this build.
    fn record(&mut self, build: &Build) -> Vec<SystemCall> {
        let log = self.site.folder().join("strace.log");
        let mut agent =
            Agent::spawn_as(&self.node, &mut recorded(&self.node, &build.program, &log), &[]).unwrap();
        assert_eq!(agent.ready_or_ended().unwrap(), None, "{}", agent.log());
        agent.end_by(Signal::SIGTERM).unwrap();
        calls(&log).unwrap()
    }

    /// A change-over to this build that ends before this call.
    fn killed_at(&self, build: &Build, call: &SystemCall) {
        let mut command = faulty(&self.node, &build.program, call, Fault::Kill);
        let mut agent = Agent::spawn_as(&self.node, &mut command, &[]).unwrap();
        let ended = agent.ready_or_ended().unwrap();
        assert!(
            ended.is_some_and(|status| status.code().is_none()),
            "{ended:?}: not killed at {}",
            call.text
        );
    }

    /// Ends a change-over before each call that changes something, in both directions; the next start, of either
    /// version, goes on. Gives how many were killed.
    fn kill_each(&mut self, builds: &[Build; 2], slots: &[Backend4]) -> usize {
        // The calls that are still to be killed at, by the build that is started.
        let upgrade = self.record(&builds[1]);
        let downgrade = self.record(&builds[0]);
        let mut pending = [downgrade, upgrade]
            .map(|calls| calls.into_iter().filter(SystemCall::changes_something).collect::<VecDeque<_>>());
        let (mut serves, mut killed) = (0, 0);
        while pending.iter().any(|calls| !calls.is_empty()) {
            let target = 1 - serves;
            let call = pending[target].pop_front();
            if let Some(call) = &call {
                self.killed_at(&builds[target], call);
                killed += 1;
            }
            if call.is_none() || killed % 2 == 0 {
                serves = target;
            }
            self.start_and_look(&builds[serves]);
            assert_eq!(self.element(&builds[serves], SLOTS).inline, slots, "killed at {call:?}");
        }
        killed
    }

    fn element(&self, build: &Build, address: &str) -> Service4 {
        self.read(build, address).unwrap()
    }

    /// What the maps of this build hold for an address.
    fn read(&self, build: &Build, address: &str) -> Option<Service4> {
        let map = folder_of(&self.node, build.version).join(SERVICES4.pin);
        let map = Pinned::<Frontend4, Service4>::open(&map).ok()?;
        map.read(&key(address).unwrap()).unwrap()
    }

    /// How many connections the maps of this build have counted, since the first of this boot.
    fn forwarded(&self, build: &Build) -> u64 {
        let path = folder_of(&self.node, build.version).join(OUTCOMES.pin);
        let map = Map::from_map_data(MapData::from_pin(path).unwrap()).unwrap();
        let map: PerCpuArray<_, Outcomes> = map.try_into().unwrap();
        let copies = map.get(&0, 0).unwrap();
        let hooks = [Hook::Connect4, Hook::Connect6].map(|hook| Counter::Run(hook, Outcome::Forwarded));
        copies.iter().map(|copy| hooks.iter().map(|counter| counter.read(copy)).sum::<u64>()).sum()
    }
}

/// No connection failed or went astray; gives how many there were.
fn assert_all_answered(loads: Vec<Load>) -> u64 {
    let mut connections = 0;
    for load in loads {
        let report = load.stop().unwrap();
        assert_eq!(report.failed, []);
        assert!(report.answered.keys().all(|name| name == "a" || name == "b"), "{:?}", report.answered);
        connections += report.dialled();
    }
    connections
}

/// Past the test runner, which would keep it to itself.
fn say(line: &str) {
    io::stderr().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}
