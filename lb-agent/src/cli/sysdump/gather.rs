//! Which parts a bundle has, and where each comes from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::check::{Question, check};
use crate::cli::explain::Place;
use crate::cli::print::status::{NOT_COVERED, Status, text};
use crate::cli::{loops, sockets};
use crate::datapath::cgroup;
use crate::serve::observe::observe;
use crate::serve::request::{Reply, Request};
use crate::serve::socket::ask;
use crate::view::held::beside_all;
use crate::view::json;
use crate::view::services::Services;

use super::facts::facts;
use super::maps::maps;
use super::parts::{File, Gathering, Missing};

/// For all parts together. To write the bundle takes a few seconds more where the cluster is large.
const PATIENCE: Duration = Duration::from_secs(20);
/// A file of explanations is about so long, in bytes: they are read one by one.
const OF_EXPLANATIONS: usize = 4 << 20;
/// All of them are no longer, in bytes.
const ALL_EXPLANATIONS: usize = 48 << 20;

/// Where the parts come from.
pub(super) struct From {
    pub(super) place: Place,
    pub(super) cgroup: Option<PathBuf>,
    /// For `check`; or why it cannot look.
    pub(super) question: anyhow::Result<Question>,
}

/// Gathers all, the parts that say most first.
pub(super) fn gather(from: From) -> Gathering {
    let From { place, cgroup, question } = from;
    let mut all = Gathering::new(PATIENCE);
    let pin_root = place.pin_root().to_owned();
    let seconds = Duration::from_secs;
    if place.is_pinned() {
        for part in ["log.txt", "agent.json", "services.json", "explain.jsonl"] {
            let why = "no agent was asked, because of --pinned".to_owned();
            all.missing.push(Missing { part, why });
        }
    } else {
        let at = place.clone();
        all.add("log.txt", seconds(3), move || Ok((record(&at)?, ())));
    }
    let (at, asked) = (pin_root.clone(), cgroup.clone());
    all.add("machine.json", seconds(3), move || {
        Ok((of_json("machine.json", &facts(&at, asked.as_deref()))?, ()))
    });
    let (at, asked) = (place.clone(), cgroup);
    all.add("status.json", seconds(6), move || Ok((status(&at, asked.as_deref())?, ())));
    all.add("check.json", seconds(4), move || Ok((checked(question?)?, ())));
    let at = pin_root.clone();
    all.add("maps.json", seconds(5), move || Ok((of_json("maps.json", &maps(&at)?)?, ())));
    let mut services = BTreeSet::new();
    if !place.is_pinned() {
        let at = place.clone();
        let found = all.add("services.json", seconds(6), move || listed(&at));
        let was_found = found.is_some();
        services = found.unwrap_or_default();
        if !was_found {
            let why = "it is not known which Services there are".to_owned();
            all.missing.push(Missing { part: "explain.jsonl", why });
        }
    }
    let at = place.clone();
    all.add("loop.json", seconds(4), move || Ok((of_json("loop.json", &loops::look_or_pinned(&at)?)?, ())));
    if !services.is_empty() {
        let at = place;
        all.add("explain.jsonl", seconds(9), move || Ok((explained(&at, &services)?, ())));
    }
    all.add("sockets.json", seconds(6), move || {
        let sockets = sockets::view(&pin_root)?.context("nothing of Edgeloop is pinned there")?;
        Ok((of_json("sockets.json", &sockets)?, ()))
    });
    all
}

fn of_json(name: &str, value: &impl Serialize) -> anyhow::Result<Vec<File>> {
    let text = [json::pretty(value).context("could not write it as JSON")?, b"\n".to_vec()].concat();
    Ok(vec![File::json(name, &text)?])
}

/// The end of the agent's log, and how it was started.
fn record(place: &Place) -> anyhow::Result<Vec<File>> {
    let Reply::Record(mut kept) = place.ask(&Request::Record)? else {
        bail!("the agent replied with something else than its log: is it of this version?");
    };
    let lines: String = std::mem::take(&mut kept.log).into_iter().map(|line| line + "\n").collect();
    let mut files = of_json("agent.json", &kept)?;
    files.push(File::text("log.txt", &lines)?);
    Ok(files)
}

fn status(place: &Place, asked: Option<&Path>) -> anyhow::Result<Vec<File>> {
    let agent = if place.is_pinned() { None } else { ask(&place.socket()) };
    let cgroup = cgroup::find(asked).ok();
    let kernel = observe(place.pin_root(), cgroup.as_ref());
    let why = kernel.as_ref().err().map(ToString::to_string);
    let status = Status { kernel: kernel.ok(), agent, not_covered: NOT_COVERED.to_vec() };
    let mut files = of_json("status.json", &status)?;
    let why = why.map(|why| format!("error: {why}\n")).unwrap_or_default();
    files.push(File::text("status.txt", &(text(&status) + &why))?);
    Ok(files)
}

fn checked(question: Question) -> anyhow::Result<Vec<File>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(check(question));
    runtime.shutdown_background();
    of_json("check.json", &findings)
}

/// What the node does with each service port, and which Services those belong to.
fn listed(place: &Place) -> anyhow::Result<(Vec<File>, BTreeSet<String>)> {
    let Reply::Services(mut services) = place.ask(&Request::Services)? else {
        bail!("the agent replied with something else than its Services: is it of this version?");
    };
    if let Ok(kernel) = place.kernel() {
        beside_all(&mut services, &kernel);
    }
    let Services { service_ports, .. } = &services;
    let names = service_ports.iter().map(|port| format!("{}/{}", port.namespace, port.service)).collect();
    Ok((of_json("services.json", &services)?, names))
}

/// A line for each Service, in as many files as they need.
fn explained(place: &Place, services: &BTreeSet<String>) -> anyhow::Result<Vec<File>> {
    let until = std::time::Instant::now() + Duration::from_secs(8);
    let (mut files, mut lines, mut all) = (Vec::new(), Vec::new(), 0);
    let mut left_out = None;
    for (number, service) in services.iter().enumerate() {
        if all > ALL_EXPLANATIONS || std::time::Instant::now() > until {
            left_out = Some(services.len() - number);
            break;
        }
        let line = match place.ask(&Request::Explain(service.clone())) {
            Ok(Reply::Explanation(explanation)) => json::compact(&explanation)?,
            // It is gone by now.
            Ok(_) | Err(_) if number > 0 => continue,
            Ok(_) => bail!("the agent replied with something else than an explanation"),
            Err(error) => return Err(error),
        };
        all += line.len();
        lines.extend(line);
        lines.push(b'\n');
        if lines.len() > OF_EXPLANATIONS {
            files.push(File::json(&format!("explain-{}.jsonl", files.len() + 1), &lines)?);
            lines.clear();
        }
    }
    let mut last = File::json(&format!("explain-{}.jsonl", files.len() + 1), &lines)?;
    last.cut = left_out.map(|many| format!("cut: {many} of {} Services are not in it", services.len()));
    files.push(last);
    Ok(files)
}
