//! The agent of a node is killed while its client goes on dialling, misses a change, and takes over again.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{LoadReport, now};

use super::change::{MOVES_BACK, none_failed};
use super::matrix::{check, compare};
use super::screen::Screen;
use super::stage::Stage;
use super::truth::{EDGE2, IN_HANGZHOU, IN_SHANGHAI, SERVICE};

const PER_SECOND: u32 = 1000;

/// Where fewer come about, a short gap need not show.
const AT_LEAST: f64 = 700.0;

const THREADS: u32 = 8;

const SOON: Duration = Duration::from_secs(20);

/// edge-node2 is in shanghai when this begins, and in hangzhou at the end.
pub(super) fn run(screen: &Screen, stage: &mut Stage) -> Result<()> {
    screen.heading("5. The agent of edge-node2 is killed while its client dials 1,000 times a second")?;
    let load = stage.cast().client(EDGE2)?.dial_continuously(SERVICE.at, PER_SECOND, THREADS)?;
    thread::sleep(Duration::from_millis(700));

    stage.agent(EDGE2)?.kill()?;
    screen.line("SIGKILL: the kernel goes on with what it has")?;
    thread::sleep(Duration::from_millis(200)); // by then the load has reported all that was before
    let (with_agent, counted) = (load.snapshot().dialled(), Instant::now());
    thread::sleep(Duration::from_millis(300));
    MOVES_BACK.make(stage)?;
    screen.act(MOVES_BACK.file, "moves back to hangzhou, and no agent is there to notice")?;
    thread::sleep(Duration::from_millis(800));
    let killed = load.snapshot();
    none_failed(stage.cast().pools(), EDGE2, &killed, IN_SHANGHAI, IN_SHANGHAI)?;
    compare(stage.cast().pools(), EDGE2, SERVICE, &killed.answered, IN_SHANGHAI)?;
    let without_agent = killed.dialled() - with_agent;
    screen.counted(without_agent, "connections without an agent: 0 failed, all stayed in shanghai")?;

    let mut watch = stage.cast().client(EDGE2)?.watch(SERVICE.at)?;
    let restarted = now();
    stage.agent(EDGE2)?.start_again()?;
    let hangzhou = stage.cast().pools().labels(IN_HANGZHOU);
    let first = watch
        .first_since(restarted, |answer| hangzhou.iter().any(|label| label == answer.label()), SOON)
        .context("an agent that was started again does not take over")?;
    drop(watch);
    screen.line("Started again: it takes over the running maps and programs")?;
    let took = first.ended().saturating_sub(restarted);
    screen.measured(took, "from its start to the first connection that shows what it had missed")?;
    stage.agent(EDGE2)?.wait_until_ready()?;
    thread::sleep(Duration::from_millis(700));
    let rate = (load.snapshot().dialled() - with_agent) as f64 / counted.elapsed().as_secs_f64();
    let report = load.stop()?;
    none_failed(stage.cast().pools(), EDGE2, &report, IN_SHANGHAI, IN_HANGZHOU)?;
    check(stage.cast(), EDGE2, IN_HANGZHOU)?;
    say_total(screen, &report, rate)
}

fn say_total(screen: &Screen, report: &LoadReport, rate: f64) -> Result<()> {
    ensure!(
        rate >= AT_LEAST,
        "this machine is too busy to show it: {rate:.0} connections a second came about, of {PER_SECOND}"
    );
    screen.counted(report.dialled(), &format!("connections over it all, {rate:.0} a second: 0 failed"))
}
