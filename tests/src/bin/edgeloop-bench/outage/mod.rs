//! `bench outage`: what many agents ask of an API server that comes back. The source alone, without a kernel.

mod server;
mod trouble;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_agent::api::{ApiClient, Credentials, KubeConfig};
use lb_agent::model::{SourceReport, SourceState};
use lb_agent::source::Besides;
use lb_agent::source::kube::{Follower, Timing, follow};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use crate::Output;
use crate::goals::{self, Goal};

use server::{KINDS, Server};
use trouble::{Trouble, troubles};

/// How long the server is away.
const AWAY: Duration = Duration::from_secs(5);
/// How long requests are counted after its return.
const COUNTED: u32 = 10;
/// For all agents to be in sync.
const PATIENCE: Duration = Duration::from_secs(120);
/// A link that is cut is noticed at once; nothing else has to wait for longer than a watch.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many agents.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    agents: u32,
    /// The troubles that have a goal alone, all at once: for few agents.
    #[arg(long)]
    quick: bool,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    agents: u32,
    rows: Vec<Row>,
    goals: Vec<Goal>,
}

/// What was asked after one trouble.
#[derive(Serialize)]
struct Row {
    trouble: &'static str,
    /// Requests in each second after the server's return.
    seconds: Vec<usize>,
    /// The most requests that one agent made for one kind, and may make.
    most: usize,
    goal: Option<usize>,
    /// Requests a kind and agent.
    mean: f64,
    /// How many agents were in sync in the end.
    in_sync: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { agents, quick, output } = arguments;
    server::allow_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let with_goals = troubles().into_iter().filter(|trouble| !quick || trouble.most.is_some());
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        if *quick {
            // All at once: few agents leave room for that.
            let running: Vec<_> = with_goals.map(|trouble| tokio::spawn(after(trouble, *agents))).collect();
            for row in running {
                rows.push(row.await??);
            }
            return anyhow::Ok(rows);
        }
        for trouble in with_goals {
            eprintln!("{}", trouble.name);
            rows.push(after(trouble, *agents).await?);
        }
        Ok(rows)
    })?;
    let goals = rows.iter().filter_map(|row| {
        let name = format!("{}: requests a kind and agent in {COUNTED} s", row.trouble);
        Some(Goal::at_most(row.goal? as f64, name, row.most as f64))
    });
    let goals = goals.collect();
    print(&Report { agents: *agents, rows, goals }, *output)
}

/// Brings agents into sync, takes the server away, and counts what is asked once it is back.
async fn after(trouble: Trouble, agents: u32) -> Result<Row> {
    let mut server = Server::start(trouble.before)?;
    let mut running = Vec::new();
    for number in 0..agents {
        running.push(Agent::start(&server.address(), number).await?);
    }
    let in_sync = async {
        for agent in &mut running {
            agent.sync().await?;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, in_sync).await.context("the agents did not come into sync")??;
    sleep(SETTLED).await;
    server.cut();
    sleep(AWAY).await;
    let back = Instant::now();
    server.come_back(trouble.manner)?;
    sleep(Duration::from_secs(COUNTED.into())).await;
    let asked = server.asked_since(back);
    drop(server);
    let mut seconds = vec![0; COUNTED as usize];
    let mut of_each = vec![0_usize; agents as usize * KINDS];
    for request in &asked {
        let second = request.at.duration_since(back).as_secs() as usize;
        if let (Some(count), Some(each)) =
            (seconds.get_mut(second), of_each.get_mut(request.agent as usize * KINDS + request.kind))
        {
            *count += 1;
            *each += 1;
        }
    }
    let in_sync = running.iter_mut().map(Agent::is_in_sync).filter(|in_sync| *in_sync).count();
    ensure!(!asked.is_empty(), "no agent came back");
    Ok(Row {
        trouble: trouble.name,
        goal: trouble.most,
        mean: of_each.iter().sum::<usize>() as f64 / of_each.len() as f64,
        most: of_each.into_iter().max().unwrap_or_default(),
        seconds,
        in_sync,
    })
}

/// The source of one agent.
struct Agent {
    states: UnboundedReceiver<bool>,
    last: bool,
    _follower: Follower,
}

impl Agent {
    async fn start(server: &str, number: u32) -> Result<Self> {
        // By its path the server knows which one it is.
        let server = Some(format!("{server}/agents/{number}"));
        let client = ApiClient::new(KubeConfig { credentials: Credentials::Ambient, server }, None).await?;
        let (send, states) = unbounded_channel();
        let follower = follow(&client, Timing::default(), Besides::default(), move |batch| {
            send.send(is_in_sync(&batch.report)).is_ok()
        });
        Ok(Self { states, last: false, _follower: follower })
    }

    async fn sync(&mut self) -> Result<()> {
        while !self.last {
            self.last = self.states.recv().await.context("a source has ended")?;
        }
        Ok(())
    }

    fn is_in_sync(&mut self) -> bool {
        while let Ok(state) = self.states.try_recv() {
            self.last = state;
        }
        self.last
    }
}

fn is_in_sync(report: &SourceReport) -> bool {
    let SourceReport::Api(report) = report else { return false };
    report.kinds.len() == KINDS && report.kinds.iter().all(|kind| kind.state == SourceState::InSync)
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn print(report: &Report, output: Output) -> Result<()> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!(
        "{} agents, the source alone, at one server that was away for {} s: requests in each second after its return.\n",
        report.agents,
        AWAY.as_secs()
    );
    let mut table = comfy_table::Table::new();
    let seconds = (1..=COUNTED).map(|second| format!("{second} s"));
    let head = ["it".to_owned()].into_iter().chain(seconds);
    let head = head.chain(["mean", "most", "in sync"].map(str::to_owned));
    table.load_style(comfy_table::presets::NOTHING).set_header(head);
    for Row { trouble, seconds, most, mean, in_sync, .. } in &report.rows {
        let cells = [(*trouble).to_owned()].into_iter().chain(seconds.iter().map(ToString::to_string));
        table.add_row(cells.chain([format!("{mean:.2}"), most.to_string(), in_sync.to_string()]));
    }
    println!("{table}\n\nmean, most: requests for one kind by one agent.\n\n{}", goals::table(&report.goals));
    Ok(())
}
