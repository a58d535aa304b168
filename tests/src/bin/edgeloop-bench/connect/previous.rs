//! The last landed version, as a user has it: its own agent fills its maps from manifests, and its own `status`
//! says what is attached and what was counted. Nothing here knows its layout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::manifests::manifests;
use edgeloop_tests::{Child, Node, builds};
use lb_agent::model::Protocol;
use lb_common::outcome::Outcome;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::calls::Population;
use super::ours::Programs;

/// For 50,000 Services, by an agent that was not built for speed.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(200);
/// What versions call a connection that goes to a backend.
const FORWARDED: [&str; 2] = ["forwarded", "translated"];
/// Services in one file.
const FILE: u32 = 1_000;

pub(crate) struct Previous {
    agent: PathBuf,
    /// What each verb of its agent is called with.
    places: Vec<String>,
    pub(crate) programs: Programs,
}

/// Publishes `services` services of `each` backends, attaches at the node's cgroup, and ends the agent.
pub(crate) fn set_up(node: &Node, population: Population, services: u32, each: u32) -> Result<Previous> {
    let folder = node.file("manifests");
    write(&folder, population, services, each)?;
    let shown = |path: &Path| path.display().to_string();
    let (pins, cgroup, socket) =
        (shown(&node.pin_root()), shown(node.cgroup()), shown(&node.file("agent.sock")));
    let places = ["--pin-root", &pins, "--cgroup", &cgroup, "--socket", &socket].map(str::to_owned);
    let mut previous =
        Previous { agent: builds::previous_agent()?, places: places.to_vec(), programs: Vec::new() };

    let mut command = previous.command("run");
    command.args(["--node", "bench", "--source", &format!("file:{}", folder.display())]);
    let log = fs::File::create(node.file("agent.log")).context("could not make a log")?;
    let mut agent = Child::spawn("the previous agent", command.stderr(log))?;
    let give_up = Instant::now() + PATIENCE;
    while !previous.status().is_ok_and(|status| status["agent"]["ready"] == true) {
        ensure!(
            agent.wait(PAUSE)?.is_none(),
            "the previous agent ended: see {}",
            shown(&node.file("agent.log"))
        );
        ensure!(Instant::now() < give_up, "the previous agent is not ready after {PATIENCE:?}");
        thread::sleep(PAUSE);
    }
    agent.signal(Signal::SIGTERM)?;
    agent.wait(PATIENCE)?.context("the previous agent does not end")?;

    let status = previous.status()?;
    previous.programs = programs(&status)?;
    let held = status["kernel"]["services"].as_array().map_or(0, Vec::len);
    ensure!(held == services as usize, "the previous agent published {held} of {services} services");
    Ok(previous)
}

impl Previous {
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.agent);
        command.arg(verb).args(&self.places);
        command
    }

    fn status(&self) -> Result<Value> {
        let output =
            self.command("status").args(["-o", "json"]).output().context("could not ask for its status")?;
        ensure!(output.status.success(), "no status: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// How often its programs ended so: only what the bench dials, a service or none.
    pub(crate) fn counted(&self, outcome: Outcome) -> Result<u64> {
        let own = [outcome.label()];
        let names = if outcome == Outcome::Forwarded { &FORWARDED[..] } else { &own };
        let status = self.status()?;
        let counts = status["kernel"]["outcomes"].as_array().context("its status has no outcomes")?;
        let named = counts.iter().filter(|count| names.iter().any(|name| count["outcome"] == *name));
        let times: Option<Vec<u64>> = named.map(|count| count["times"].as_u64()).collect();
        Ok(times.filter(|times| !times.is_empty()).context("its status lacks an outcome")?.iter().sum())
    }
}

fn programs(status: &Value) -> Result<Programs> {
    let hooks = status["kernel"]["hooks"].as_array().context("its status has no hooks")?.iter();
    let attached = hooks.filter_map(|found| {
        Some((found["hook"].as_str()?.to_owned(), u32::try_from(found["programId"].as_u64()?).ok()?))
    });
    Ok(attached.collect())
}

fn write(folder: &Path, population: Population, services: u32, each: u32) -> Result<()> {
    fs::create_dir(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let protocol = if population.protocol() == Protocol::Udp { "/udp" } else { "" };
    let sticky = population.affinity().map_or_else(String::new, |seconds| format!(" sticky={seconds}"));
    for first in (0..services).step_by(FILE as usize) {
        let lines = (first..services.min(first + FILE)).map(|index| {
            let backends: Vec<_> = (0..each).map(|slot| population.backend(index, slot, each)).collect();
            let port = backends.first().map_or(1, |backend| backend.port());
            let addresses: Vec<String> = backends.iter().map(|backend| backend.ip().to_string()).collect();
            let (address, addresses) = (population.service(index), addresses.join(" "));
            format!(
                "service s{index} {address}{protocol}{sticky}\nslice s{index} of s{index} {port}{protocol} {addresses}\n"
            )
        });
        let text = manifests(&lines.collect::<String>())?;
        let file = folder.join(format!("{first}.yaml"));
        fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
    }
    let file = folder.join("node.yaml");
    fs::write(&file, manifests("node bench")?).with_context(|| format!("could not write {}", file.display()))
}
