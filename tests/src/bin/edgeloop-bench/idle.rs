//! `bench idle`: how much processor time an agent takes while nothing changes.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, Folder, in_kernel, lb_agent_says};
use edgeloop_tests::{Node, Site};
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use crate::Output;
use crate::goals::{self, Goal};
use crate::start::server::{self, Server};

/// The contract's, in percent of one processor.
const AT_MOST: f64 = 0.1;
/// After the agent is ready. What follows the start is no idling: by then there were two audits, which come every 120 s and
/// read everything back. Those after them, while nothing changes, take a digest.
const SETTLES: Duration = Duration::from_secs(250);
/// Services in one file.
const IN_A_FILE: u32 = 100;

#[derive(Serialize)]
struct Report {
    services: u32,
    seconds: f64,
    sources: Vec<Measured>,
    goals: Vec<Goal>,
}

/// What an agent took over one source.
#[derive(Serialize)]
struct Measured {
    source: &'static str,
    percent: f64,
    /// Of all threads, also of those that ended meanwhile.
    cpu_ms: f64,
    /// Of the threads that are there for all of the time, by name.
    threads_ms: BTreeMap<String, f64>,
}

pub(crate) fn run(quick: bool, output: Output) -> Result<()> {
    // One audit is measured, but for a quick run.
    let (services, settles, time) = if quick {
        (500, Duration::from_secs(1), Duration::from_secs(5))
    } else {
        (10_000, SETTLES, Duration::from_secs(120))
    };
    let site = Site::new()?;
    let bed = Bed { node: &site.node("n1")?, services, settles, time };
    let sources = vec![bed.over_files()?, bed.over_a_server()?];
    let goals = sources.iter().map(|measured| {
        Goal::at_most(AT_MOST, format!("processor time over {}, %", measured.source), measured.percent)
    });
    let goals = goals.collect();
    print(&Report { services, seconds: time.as_secs_f64(), sources, goals }, output)
}

struct Bed<'b> {
    node: &'b Node,
    services: u32,
    settles: Duration,
    time: Duration,
}

impl Bed<'_> {
    fn over_files(&self) -> Result<Measured> {
        let folder = Folder::of(self.node)?;
        folder.put("nodes.yaml", "node n1 pool=p1")?;
        for from in (0..self.services).step_by(IN_A_FILE as usize) {
            let objects = server::objects(from..(from + IN_A_FILE).min(self.services));
            let text: Vec<String> = objects.map(|object| object.to_string()).collect();
            folder.put_text(&format!("services-{from}.yaml"), &text.join("\n---\n"))?;
        }
        self.measure("files", Agent::start(self.node, &["--self-test", "on"])?)
    }

    fn over_a_server(&self) -> Result<Measured> {
        let cleaned = lb_agent_says(self.node, "cleanup", &[])?;
        ensure!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
        let server = Server::start(self.services)?;
        let address = server.address();
        let flags = ["--api-server", &address, "--skip-labelled-pods", "off", "--self-test", "on"];
        let program = edgeloop_tests::agent::program()?;
        let agent = Agent::from_program(self.node, &mut self.node.command(program), &flags)?;
        agent.wait_until("it is ready", |view| view.ready)?;
        self.measure("an API server", agent)
    }

    /// Of an agent that is ready.
    fn measure(&self, source: &'static str, agent: Agent) -> Result<Measured> {
        let held = in_kernel(self.node)?.services.len();
        ensure!(held == self.services as usize, "the kernel holds {held} of {}", self.services);
        sleep(self.settles);
        let (begun, before, threads) = (Instant::now(), cpu(agent.pid())?, of_threads(agent.pid())?);
        sleep(self.time);
        let (took, after) = (begun.elapsed(), cpu(agent.pid())?);
        let threads_ms = of_threads(agent.pid())?.into_iter().filter_map(|(thread, now)| {
            let spent = now.saturating_sub(*threads.get(&thread)?);
            Some((thread.1, spent.as_secs_f64() * 1e3))
        });
        // Several threads may have one name.
        let mut by_name = BTreeMap::new();
        threads_ms.for_each(|(name, ms)| *by_name.entry(name).or_default() += ms);
        agent.end_by(Signal::SIGKILL)?;
        let cpu = after.saturating_sub(before);
        let percent = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
        Ok(Measured { source, percent, cpu_ms: cpu.as_secs_f64() * 1e3, threads_ms: by_name })
    }
}

/// The processor time of all threads of a process, which the kernel shows in ticks: 0.01 s, as a rule.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the agent has ended")?;
    // The name before may hold blanks.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next().context("no utime")??, times.next().context("no stime")??);
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("no ticks")?;
    Ok(Duration::from_secs_f64((user + system) as f64 / a_second as f64))
}

/// The processor time of each thread, to the nanosecond, by its number and name.
fn of_threads(pid: u32) -> Result<BTreeMap<(String, String), Duration>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
        // One that has ended by now is not of those that idle.
        let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
        let nanoseconds = times.split(' ').next().unwrap_or_default().parse()?;
        let number = entry.file_name().to_string_lossy().into_owned();
        found.insert((number, name.trim().to_owned()), Duration::from_nanos(nanoseconds));
    }
    Ok(found)
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let Report { services, seconds, sources, goals } = report;
    println!(
        "{services} Services with {} endpoints each; nothing changes for {seconds:.0} s\n",
        server::ENDPOINTS
    );
    for Measured { source, percent, cpu_ms, threads_ms } in sources {
        println!("over {source:<14} {percent:8.3} % of a processor, {cpu_ms:.0} ms");
        for (thread, ms) in threads_ms {
            println!("    {thread:<18} {ms:10.2} ms");
        }
    }
    println!("\n{}", goals::table(goals));
    Ok(())
}
