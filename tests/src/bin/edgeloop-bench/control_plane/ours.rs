//! Our agent.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says};
use lb_agent::view::diagnostic::Severity;
use nix::sys::signal::Signal;
use serde_json::json;

use super::changes::make_one;
use super::contender::{Cold, Contender, Watch};
use super::effect::{Effect, signed_millis};
use super::gate::Gate;
use super::ground::Ground;
use super::population::{
    ENDPOINTS, IN_POOL, MOVER, POOL_LABEL, TOPOLOGY, TOPOLOGY_KEYS, frontend, pool_name, service_path,
};
use super::times::Times;
use super::watch_map::{MapWatch, Until};

const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_secs(20);
/// Changes of an annotation; each of another Service.
const ANNOTATIONS: u32 = 20;
/// There and back, as often.
const MOVES: usize = 3;

/// Where it serves health and metrics, in the control plane's network.
pub(crate) const DOORS: (&str, u16) = ("127.0.0.1", 10_270);

pub(crate) struct Ours {
    agent: Agent,
    gate: Gate,
    cold: Cold,
}

impl Ours {
    /// Starts it, and waits until the kernel has everything.
    pub(crate) fn start(ground: &Ground) -> Result<Self> {
        let gate = Gate::new(&ground.cluster)?;
        let kubeconfig = gate.kubeconfig(&ground.cluster.agent_kubeconfig()?)?;
        let kubeconfig = kubeconfig.to_str().context("a path that is no text")?;
        let log = ground.node.file("agent.log");
        let before = fs::metadata(&log).map_or(0, |log| log.len() as usize);
        let started = SystemTime::now();
        let doors = format!("{}:{}", DOORS.0, DOORS.1);
        let flags = ["--kubeconfig", kubeconfig, "--http", &doors];
        let agent = Agent::follow(&ground.cluster, &ground.node, &flags)?;
        let give_up = Instant::now() + PATIENCE;
        loop {
            let log = agent.log();
            if let Some(cold) = log.get(before..).and_then(|log| cold(log, started)) {
                let view = agent.wait_until("it is ready", |view| view.ready)?;
                let is_bad = view.diagnostics.iter().any(|found| found.severity == Severity::Error);
                ensure!(!is_bad, "not all is well: {:?}", view.diagnostics);
                return Ok(Self { agent, gate, cold });
            }
            ensure!(Instant::now() < give_up, "the agent does not come into sync:\n{log}");
            thread::sleep(PAUSE);
        }
    }

    /// What it said, if something is wrong.
    pub(crate) fn log(&self) -> String {
        self.agent.log()
    }

    /// Ends it, and takes away what it leaves in the kernel.
    pub(crate) fn end(self, ground: &Ground) -> Result<()> {
        self.agent.end_by(Signal::SIGTERM)?;
        let output = lb_agent_says(&ground.node, "cleanup", &[])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// From an annotation to the kernel, and from the label of a node with endpoints of many Services.
    pub(crate) fn topology(&self, ground: &Ground) -> Result<(Effect, Effect)> {
        let annotations = annotations(ground)?;
        let moves = moves(ground)?;
        check(ground)?;
        Ok((annotations, moves))
    }
}

impl Contender for Ours {
    fn pid(&self) -> u32 {
        self.agent.pid()
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn cold(&self) -> Cold {
        self.cold
    }

    fn watch(&self, ground: &Ground, times: Times) -> Result<Box<dyn Watch>> {
        Ok(Box::new(MapWatch::start(&ground.node, times)?))
    }
}

/// What the log tells, once it has told everything.
fn cold(log: &str, started: SystemTime) -> Option<Cold> {
    let started = started.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() % DAY;
    let since = |line: &str| Some((time_of_day(line)? - started).rem_euclid(DAY));
    let in_sync: Vec<(f64, bool)> = log
        .lines()
        .filter(|line| line.contains("in sync with the API server"))
        .filter_map(|line| Some((since(line)?, line.contains("kind=\"Node\""))))
        .collect();
    let attached = log.lines().find(|line| line.contains(": attached ")).and_then(since)?;
    let listed = in_sync.iter().filter(|(_, is_node)| !is_node).map(|(at, _)| *at).max_by(f64::total_cmp)?;
    let last = in_sync.iter().map(|(at, _)| *at).fold(attached, f64::max);
    let completing = Some((attached - listed) * 1e3);
    (in_sync.len() >= 3).then_some(Cold { in_sync: last, completing })
}

const DAY: f64 = 86_400.0;

/// Seconds, of a line that begins with a time as in `2026-01-02T03:04:05.678901Z`.
fn time_of_day(line: &str) -> Option<f64> {
    let time = line.split_once('T')?.1.split_once('Z')?.0;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut part = || parts.next()?.ok();
    Some((part()? * 60.0 + part()?) * 60.0 + part()?)
}

fn annotations(ground: &Ground) -> Result<Effect> {
    let effective = Times::new(0, ANNOTATIONS);
    let watch = MapWatch::start(&ground.node, effective.clone())?;
    let mut times = Vec::new();
    for (number, service) in (0..).zip(ground.population.plain(ANNOTATIONS)) {
        watch.announce(number, frontend(service), Until::Backends(IN_POOL))?;
        let patch = json!({"metadata": {"annotations": {TOPOLOGY_KEYS: TOPOLOGY}}});
        let answered = make_one(ground.cluster.api(), service_path(service), patch)?;
        let seen = wait_for(&effective, number)?;
        times.push(signed_millis(answered, seen));
    }
    Box::new(watch).end()?;
    Ok(Effect::of(times))
}

/// Each until the last Service is right.
fn moves(ground: &Ground) -> Result<Effect> {
    let mut times = Vec::new();
    for (pool, backends) in [(0, IN_POOL + 1), (1, IN_POOL)].repeat(MOVES) {
        let effective = Times::new(0, 1);
        let watch = MapWatch::start(&ground.node, effective.clone())?;
        for service in ground.population.on_mover() {
            watch.announce(0, frontend(service), Until::Backends(backends))?;
        }
        let patch = json!({"metadata": {"labels": {POOL_LABEL: pool_name(pool)}}});
        let answered = make_one(ground.cluster.api(), format!("/api/v1/nodes/{MOVER}"), patch)?;
        let seen = wait_for(&effective, 0)?;
        times.push(signed_millis(answered, seen));
        Box::new(watch).end()?;
    }
    Ok(Effect::of(times))
}

fn wait_for(times: &Times, number: u32) -> Result<Instant> {
    let give_up = Instant::now() + QUIET;
    loop {
        match times.at(number) {
            Some(at) => return Ok(at),
            None if Instant::now() > give_up => bail!("change {number} of a topology never took effect"),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Whether the kernel has what it should after all changes.
fn check(ground: &Ground) -> Result<()> {
    let kernel = in_kernel(&ground.node)?;
    let services: Vec<_> =
        kernel.services.iter().filter(|service| service.service.starts_with("service-")).collect();
    ensure!(services.len() == ground.population.services as usize, "{} Services", services.len());
    for service in services {
        let expected = if service.topology { IN_POOL.into() } else { ENDPOINTS as usize };
        let is_right = service.outcome == "forward" && service.backends.len() == expected;
        ensure!(is_right, "not what it should be: {service:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_it_came_up() {
        let log = "\
2026-11-24T23:59:59.500000Z  INFO lb_agent::source::kube::sink: in sync with the API server kind=\"Node\" server=\"x\"
2026-11-24T23:59:59.750000Z  INFO lb_agent::source::kube::sink: in sync with the API server kind=\"Service\" server=\"x\"
2026-11-25T00:00:00.250000Z  INFO lb_agent::source::kube::sink: in sync with the API server kind=\"EndpointSlice\" server=\"x\"
2026-11-25T00:00:00.500000Z  INFO lb_agent::writer: maps are open services=1
2026-11-25T00:00:00.750000Z  INFO lb_agent::writer: attached cgroup=/x
";
        let started = UNIX_EPOCH + Duration::from_secs(86_399);
        let cold_of_it = cold(log, started).unwrap();
        assert!((cold_of_it.in_sync - 1.75).abs() < 1e-6, "{cold_of_it:?}");
        assert!((cold_of_it.completing.unwrap() - 500.0).abs() < 1e-3, "{cold_of_it:?}");
        assert!(cold(&log[..300], started).is_none());
    }
}
