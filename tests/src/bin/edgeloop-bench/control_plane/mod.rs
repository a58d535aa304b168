//! `bench control-plane`: our agent beside the real kube-proxy, on a real control plane.

mod changes;
mod contender;
mod control;
mod doors;
mod effect;
mod gate;
mod ground;
mod heartbeats;
mod kube_proxy;
mod ours;
mod population;
mod report;
mod through_hub;
mod times;
mod watch_map;
mod watch_rules;
mod weigh;
mod within;

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Output;
use contender::{Contender, Trial, try_out};
use ground::Ground;
use kube_proxy::{KubeProxy, Period};
use ours::Ours;
use population::Population;
use report::Report;
use weigh::{Memory, memory};

/// Services at first: how much memory a small cluster takes.
const FEW: u32 = 100;
/// Changes a second.
const PACE: u32 = 100;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 500 Services with 5,000 endpoints, and shorter.
    #[arg(long)]
    small: bool,
    /// How long changes are made; nor does a program rest longer than that before its memory is read.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: Option<u32>,
    /// Our memory alone, behind OpenYurt's yurthub, which tells neither streamed nor paged lists.
    #[arg(long)]
    through_yurthub: bool,
    /// Our memory alone, within a memory cgroup of so many MB (10^6 bytes); may be repeated.
    #[arg(long, value_name = "MEGABYTES", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    within: Vec<u64>,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What is measured at which size.
#[derive(Clone, Copy)]
struct Plan {
    population: Population,
    changes: u32,
    rest: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { small, seconds, through_yurthub, within, output } = arguments;
    let plan = plan(*small, *seconds);
    if *through_yurthub {
        return through_hub::run(plan.population, plan.rest);
    }
    if !within.is_empty() {
        return within::run(plan.population, within, plan.rest);
    }
    let versions = kube_proxy::versions()?;
    let has_nft = versions.is_some();
    tell("bringing up a control plane");
    let mut ground = Ground::new(plan.population)?;
    ground.grow(FEW)?;
    let few = few(&ground, plan, has_nft)?;
    tell("creating the Services");
    let created = ground.grow(plan.population.services)?;

    tell("our agent");
    let ours = Ours::start(&ground)?;
    let mut numbers = (0..).map(|turn: u32| turn * plan.changes..(turn + 1) * plan.changes);
    let mut next = || numbers.next().unwrap_or_default();
    let trial = try_out(&ground, &ours, plan.rest, next())
        .with_context(|| format!("the agent's log:\n{}", ours.log()))?;
    let topology = ours.topology(&ground)?;
    tell("its doors, polled");
    let numbers = next().start..next().end;
    let polled = doors::poll(&ground, &ours, numbers)?;
    tell("Nodes whose status changes");
    let heartbeats = heartbeats::beat(&ground, &ours, if *small { 1 } else { 3 })?;
    ours.end(&ground)?;
    let mut theirs = Vec::new();
    if has_nft {
        for (name, period) in [("kube-proxy", Period::Default), ("its lowest period", Period::Lowest)] {
            tell(name);
            theirs.push(kube_proxy_trial(&ground, plan, period, next())?);
        }
    }
    Report { plan, versions, created, few, ours: trial, topology, polled, heartbeats, theirs }.print(*output)
}

fn plan(small: bool, seconds: Option<u32>) -> Plan {
    let (services, nodes, rest, lasts) = if small { (500, 20, 5, 10) } else { (10_000, 200, 60, 60) };
    let lasts = seconds.unwrap_or(lasts);
    let rest = Duration::from_secs(seconds.map_or(rest, |seconds| rest.min(seconds.into())));
    Plan { population: Population { services, nodes }, changes: lasts * PACE, rest }
}

/// With few Services: our memory, and kube-proxy's where it can run.
fn few(ground: &Ground, plan: Plan, has_nft: bool) -> Result<(Memory, Option<Memory>)> {
    let weigh = |contender: &dyn Contender| {
        thread::sleep(plan.rest);
        memory(contender.pid())
    };
    let ours = Ours::start(ground)?;
    let our_memory = weigh(&ours)?;
    ours.end(ground)?;
    if !has_nft {
        return Ok((our_memory, None));
    }
    let theirs = KubeProxy::start(ground, Period::Default)?;
    let their_memory = weigh(&theirs)?;
    theirs.end(ground)?;
    Ok((our_memory, Some(their_memory)))
}

fn kube_proxy_trial(
    ground: &Ground,
    plan: Plan,
    period: Period,
    numbers: std::ops::Range<u32>,
) -> Result<Trial> {
    let proxy = KubeProxy::start(ground, period)?;
    let trial = try_out(ground, &proxy, plan.rest, numbers)?;
    let partial_sync = proxy.partial_sync(ground)?;
    proxy.end(ground)?;
    Ok(Trial { partial_sync, ..trial })
}

fn tell(what: &str) {
    eprintln!("{what}");
}
