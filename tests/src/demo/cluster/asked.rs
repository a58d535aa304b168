//! `lb-agent plan` for all nodes, asked with a kubeconfig, beside what the connections show.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::demo::matrix::DIALS;
use crate::demo::screen::Screen;
use crate::demo::truth::{EVERYWHERE, PLACES, SERVICE};
use crate::ours::agent::program;
use crate::tally;

use super::stage::Stage;

/// For each node and Service: the backends of the plan are the pods that answer, and all of them.
pub(super) fn run(screen: &Screen, stage: &Stage) -> Result<()> {
    screen.heading("5. `lb-agent plan --all-nodes -o json` says beforehand what the connections show")?;
    let plans = ask(stage)?;
    let addresses = stage.addresses()?;
    let mut compared = 0;
    for place in &PLACES {
        for service in [SERVICE, EVERYWHERE] {
            let planned = backends(&plans, place.node, service.name)?;
            let got = tally(&stage.cast().client(place.node)?.dial(service.at, DIALS)?);
            let dialled: BTreeSet<&str> =
                got.keys().filter_map(|name| addresses.get(name)).map(String::as_str).collect();
            ensure!(
                planned == dialled && got.len() == planned.len().max(1),
                "on {} the plan for {} is {planned:?}, and its client got {got:?}",
                place.node,
                service.name
            );
            compared += 1;
        }
    }
    screen.counted(compared, "pairs of a node and a Service: as planned, pod by pod")
}

fn ask(stage: &Stage) -> Result<Value> {
    let output = stage
        .cluster
        .command(program()?)
        .args(["plan", "--all-nodes", "-o", "json", "--kubeconfig"])
        .arg(&stage.kubeconfig)
        .stdin(Stdio::null())
        .output()
        .context("could not run lb-agent plan")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lb-agent plan --all-nodes failed: {said}");
    serde_json::from_slice(&output.stdout).context("lb-agent plan says what is no JSON")
}

fn backends<'a>(plans: &'a Value, node: &str, service: &str) -> Result<BTreeSet<&'a str>> {
    let plans = plans.as_array().into_iter().flatten();
    let plan =
        plans.into_iter().find(|plan| plan["node"] == node).with_context(|| format!("no plan for {node}"))?;
    let mut ports = plan["servicePorts"].as_array().into_iter().flatten();
    let port =
        ports.find(|port| port["service"] == service).with_context(|| format!("no plan for {service}"))?;
    Ok(port["backends"].as_array().into_iter().flatten().filter_map(Value::as_str).collect())
}
