//! `bench start`: how soon a node serves that boots without an API server, from what was saved.

pub(crate) mod server;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, program, saved_state, wait_for};
use edgeloop_tests::{MemoryGroup, Node, Pod, Site, now};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};

use server::Server;

/// The contract's.
const SERVES_AT_MOST_MS: f64 = 1_000.0;
/// The chart's limit with its defaults.
const MEMORY_AT_MOST_MB: f64 = 109.0;
const PATIENCE: Duration = Duration::from_secs(30);
const BACKEND: &str = "10.244.1.3";

#[derive(Serialize)]
struct Report {
    services: u32,
    file_kb: u64,
    rounds: usize,
    serves_ms_p50: f64,
    serves_ms_max: f64,
    saving_mb: f64,
    starting_mb: f64,
    goals: Vec<Goal>,
}

pub(crate) fn run(quick: bool, output: Output) -> Result<()> {
    let (services, rounds) = if quick { (500, 1) } else { (10_000, 5) };
    let site = Site::new()?;
    let node = site.node("n1")?;
    let client = node.pod("client", "10.244.1.2")?;
    let web = site.node("n3")?.pod("web", BACKEND)?;
    web.serve_name(server::PORT)?;
    let bed = Bed { node: &node, client: &client, services, address: String::new(), saving: 0.0 }.saved()?;
    let file_kb = fs::metadata(saved_state(&node)).context("nothing was saved")?.len() / 1024;
    let mut times = Vec::new();
    let mut starting_mb: f64 = 0.0;
    for _ in 0..rounds {
        let (took, peak) = bed.boot()?;
        times.push(took.as_secs_f64() * 1e3);
        starting_mb = starting_mb.max(peak);
    }
    times.sort_by(f64::total_cmp);
    let (serves_ms_p50, serves_ms_max) = (times[times.len() / 2], times[times.len() - 1]);
    let goals = vec![
        Goal::at_most(
            SERVES_AT_MOST_MS,
            "from the start of the agent to the first answer, at most, ms",
            serves_ms_max,
        ),
        Goal::at_most(MEMORY_AT_MOST_MB, "the agent with its maps while it saves, MiB", bed.saving),
        Goal::at_most(MEMORY_AT_MOST_MB, "the agent with its maps while it starts, MiB", starting_mb),
    ];
    let saving_mb = bed.saving;
    print(
        &Report { services, file_kb, rounds, serves_ms_p50, serves_ms_max, saving_mb, starting_mb, goals },
        output,
    )
}

/// A node whose agent followed a server that is gone.
struct Bed<'b> {
    node: &'b Node,
    client: &'b Pod,
    services: u32,
    /// Of the server.
    address: String,
    /// The peak of memory of the agent that saved.
    saving: f64,
}

impl Bed<'_> {
    /// Follows a server until everything is in the kernel and in the file.
    fn saved(self) -> Result<Self> {
        let server = Server::start(self.services)?;
        let bed = Self { address: server.address(), ..self };
        let group = MemoryGroup::new(bed.node)?;
        let agent = bed.agent(&group)?;
        let file: PathBuf = saved_state(bed.node);
        agent.wait_until("it is ready", |view| view.ready)?;
        wait_for("the state is saved", || Ok(file.exists()))?;
        bed.holds_all()?;
        let saving = peak(&group)?;
        agent.end_by(Signal::SIGKILL)?;
        Ok(Self { saving, ..bed })
    }

    /// Drops all pins and starts an agent, with the server gone: the time to the first answer, and the peak of memory in MiB.
    fn boot(&self) -> Result<(Duration, f64)> {
        let cleaned = lb_agent_says(self.node, "cleanup", &[])?;
        ensure!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
        let group = MemoryGroup::new(self.node)?;
        // Before the start nothing answers there.
        let mut watch = self.client.watch(&server::frontend(server::DIALLED))?;
        let begun = now();
        let agent = self.agent(&group)?;
        let answer = watch.first_since(begun, |answer| answer.is_from("web"), PATIENCE)?;
        let took = answer.began + answer.took - begun;
        self.holds_all()?;
        let peak = peak(&group)?;
        agent.end_by(Signal::SIGKILL)?;
        Ok((took, peak))
    }

    fn agent(&self, group: &MemoryGroup) -> Result<Agent> {
        let flags = ["--api-server", &self.address, "--skip-labelled-pods", "off"];
        Agent::from_program(self.node, &mut group.command(&program()?), &flags)
    }

    fn holds_all(&self) -> Result<()> {
        let held = in_kernel(self.node)?.services.len();
        ensure!(held == self.services as usize, "the kernel holds {held} of {}", self.services);
        Ok(())
    }
}

fn peak(group: &MemoryGroup) -> Result<f64> {
    let peak = group.charged()?.peak.context("this kernel does not say the peak of a memory cgroup")?;
    Ok(peak as f64 / f64::from(1 << 20))
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let Report { services, file_kb, rounds, serves_ms_p50, serves_ms_max, saving_mb, starting_mb, goals } =
        report;
    println!(
        "{services} Services with {} endpoints each; all pins dropped, no API server\n",
        server::ENDPOINTS
    );
    println!(
        "from the start to the first answer    {serves_ms_p50:8.1} ms p50 {serves_ms_max:8.1} ms max   ({rounds} rounds)"
    );
    println!("the file                              {file_kb:8} KiB");
    println!(
        "peak of memory, with the maps         {saving_mb:8.1} MiB saving {starting_mb:8.1} MiB starting\n"
    );
    println!("{}", goals::table(goals));
    Ok(())
}
