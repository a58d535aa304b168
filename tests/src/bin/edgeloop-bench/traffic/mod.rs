//! `bench traffic`: what clients of a Service wait for, without a load balancer, with ours, and with the real kube-proxy.

pub(crate) mod client;
mod contender;
mod ground;
mod ports;
mod process;
mod report;
mod samples;
pub(crate) mod server;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::Site;
use edgeloop_tests::cluster::ProxyMode;

use crate::Output;
use contender::{Contender, DECOY, Way};
use ground::Ground;
use ports::Asked;
use report::Report;

/// As many as a cluster of middle size has.
const SERVICES: u32 = 1_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Few rounds, and 20 Services besides: shows that the bench runs, and little more.
    #[arg(long)]
    quick: bool,
    /// Services of the cluster besides the 16 that are dialled.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=10_000))]
    services: Option<u32>,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { quick, services, output } = *arguments;
    let (others, rounds, each) = if quick { (20, 3, 100) } else { (SERVICES, 100, 400) };
    let others = services.unwrap_or(others);
    let mut modes = BTreeMap::new();
    for mode in ProxyMode::ALL {
        match mode.program()? {
            Some(program) => drop(modes.insert(mode.name(), program)),
            None => {
                eprintln!("without kube-proxy in {} mode: this machine has no program for that", mode.name())
            }
        }
    }
    eprintln!("bringing up a control plane");
    let site = Site::new()?;
    let ground = Ground::new(&site, others)?;
    let mut ways = vec![Way::Direct, Way::DirectAgain, Way::Edgeloop];
    ways.extend(
        ProxyMode::ALL.into_iter().filter(|mode| modes.contains_key(mode.name())).map(Way::KubeProxy),
    );
    let mut contenders = Vec::new();
    for way in ways {
        eprintln!("{}", way.name());
        contenders.push(Contender::new(&site, &ground, way)?);
    }
    for round in 0..rounds {
        if round % 10 == 0 {
            eprintln!("round {} of {rounds}", round + 1);
        }
        for asked in Asked::ALL {
            // Another one goes first each time.
            for turn in 0..contenders.len() {
                let index = (turn + round) % contenders.len();
                contenders[index].measure(asked, each)?;
            }
        }
    }
    for contender in &mut contenders {
        contender.check()?;
    }
    let mut report = Report::new(&contenders, others, (rounds, each))?;
    report.programs = modes;
    for contender in contenders {
        let name = contender.way.name();
        if let Some(answered) = contender.without().with_context(|| format!("without {name}"))? {
            let only = answered.values().all(|answered| answered.keys().eq([&DECOY]));
            ensure!(only, "without {name} a cluster IP is answered by another than the decoy: {answered:?}");
            report.without.push((name, answered));
        }
    }
    report.print(output)
}
