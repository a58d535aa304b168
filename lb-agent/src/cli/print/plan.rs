//! Decisions as a person reads them. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{Table, presets};

use super::lines;
use crate::view::decisions::{Action, Decisions, FurtherAddress, ServicePort};

/// More backends than these are only counted: the JSON has them all.
pub(super) const MOST_SHOWN: usize = 6;

/// A table of the service ports, then what there is to say about single ones, then what has no
/// say.
#[must_use]
pub fn of(decisions: &Decisions) -> String {
    let Decisions { node, pool, service_ports, ignored } = decisions;
    let mut text = match pool {
        Some(pool) => format!("node {node}, pool {pool}\n"),
        None => format!("node {node}, in no pool\n"),
    };
    if service_ports.is_empty() {
        text += "\nNo Service has a cluster IP.\n";
    } else {
        section(&mut text, "", [ports(service_ports)]);
    }
    section(&mut text, "Also dialled at:", service_ports.iter().flat_map(further));
    section(&mut text, "Not used:", service_ports.iter().flat_map(excluded));
    section(&mut text, "Note:", service_ports.iter().flat_map(remarks));
    section(
        &mut text,
        "Ignored:",
        ignored.iter().map(|ignored| match &ignored.diagnostic {
            None => format!("  {}: {}", ignored.object, ignored.why),
            Some(diagnostic) => format!("  {}: {diagnostic}", ignored.object),
        }),
    );
    lines(&text)
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        text.push('\n');
        if !title.is_empty() {
            text.push_str(title);
            text.push('\n');
        }
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
}

fn ports(service_ports: &[ServicePort]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERVICE", "PROTOCOL", "CLUSTER IP", "TOPOLOGY", "OUTCOME", "BACKENDS"]);
    for port in service_ports {
        table.add_row([
            name(port),
            port.protocol.to_owned(),
            port.address(),
            topology(port),
            outcome(port.outcome).to_owned(),
            backends(port.outcome, &port.backends),
        ]);
    }
    table.trim_fmt()
}

/// What decides: as written, or by flag.
fn topology(port: &ServicePort) -> String {
    match (&port.topology_by_flag, &port.topology_by_namespace, port.topology.as_deref()) {
        (Some(keys), _, _) => format!("{keys} (by flag)"),
        (None, Some(keys), _) => format!("{keys} (by namespace)"),
        (None, None, Some("") | None) => "-".to_owned(),
        (None, None, Some(written)) => match &port.topology_annotation {
            Some(annotation) => format!("{written} (by {annotation})"),
            None => written.to_owned(),
        },
    }
}

/// As Kubernetes names a port of a Service: by its name, or by its number where it has none.
fn name(port: &ServicePort) -> String {
    let ServicePort { namespace, service, port_name, port, .. } = port;
    if port_name.is_empty() {
        format!("{namespace}/{service}:{port}")
    } else {
        format!("{namespace}/{service}:{port_name}")
    }
}

pub(super) const fn outcome(outcome: Action) -> &'static str {
    match outcome {
        Action::Forward => "forward",
        Action::Refuse => "refuse",
        Action::Leave => "leave",
        Action::Wait => "wait",
    }
}

/// The addresses besides the cluster IP, each with what becomes of it.
fn further(port: &ServicePort) -> Vec<String> {
    let lines = port.further.iter().map(|further| {
        let FurtherAddress { address, kind, outcome: action, why, backends: set } = further;
        let (outcome, backends) = (outcome(*action), backends(*action, set));
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        match action {
            Action::Forward => format!("    {address} ({kind}): {outcome} to {backends}{why}"),
            Action::Refuse | Action::Leave | Action::Wait => {
                format!("    {address} ({kind}): {outcome}{why}")
            }
        }
    });
    let head = (!port.further.is_empty()).then(|| format!("  {}", subject(port)));
    head.into_iter().chain(lines).collect()
}

fn backends(outcome: Action, backends: &[String]) -> String {
    match outcome {
        Action::Forward => format!("{}: {}", backends.len(), some(backends)),
        Action::Refuse => "none".to_owned(),
        Action::Leave | Action::Wait => "-".to_owned(),
    }
}

fn some(backends: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = backends.iter().take(MOST_SHOWN).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if backends.len() > MOST_SHOWN {
        write!(text, " and {} more", backends.len() - MOST_SHOWN).unwrap_or_default();
    }
    text
}

/// The endpoints that are not used, those with the same reason on one line.
fn excluded(port: &ServicePort) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for excluded in &port.excluded {
        by_reason.entry(&excluded.why).or_default().push(&excluded.backend);
    }
    let reasons = by_reason.iter().map(|(why, backends)| format!("    {}: {why}", some(backends)));
    let head = (!port.excluded.is_empty()).then(|| format!("  {}", subject(port)));
    head.into_iter().chain(reasons).collect()
}

fn remarks(port: &ServicePort) -> Vec<String> {
    let ServicePort { why, invalid, two_topologies: two, around, dns, .. } = port;
    let invalid = invalid.as_ref().map(|item| format!("the topology is not understood: {item}"));
    let sentences = [why.as_deref(), invalid.as_deref(), two.as_deref(), *around, *dns];
    sentences.into_iter().flatten().map(|sentence| format!("  {}: {sentence}", subject(port))).collect()
}

/// A Service can have one port name for both protocols and families.
fn subject(port: &ServicePort) -> String {
    format!("{} {} {}", name(port), port.protocol, port.address())
}
