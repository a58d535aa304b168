//! Why connections to a Service go where they go, as a person reads it. Pure.

use std::fmt::Write as _;

use comfy_table::{Table, presets};

use super::lines;
use super::plan::outcome;
use crate::view::decisions::{Action, FurtherAddress};
use crate::view::explain::{EndpointView, Explanation, PortView, SliceView};
use crate::view::held::{Held, HeldState};
use crate::view::topologies::Origin;

/// The Service, then each of its ports with all endpoints, then what else there is to know.
#[must_use]
pub fn text(explanation: &Explanation) -> String {
    let Explanation { node, pool, namespace, service, state, topology, ignored, ports, slices, diagnostics } =
        explanation;
    let place = pool.as_deref().map_or_else(|| "in no pool".to_owned(), |pool| format!("in pool {pool}"));
    let mut out = format!("Service {namespace}/{service}, seen from node {node}, {place}\n");
    field(&mut out, "state", &state.describe());
    let written = match (&topology.written, topology.origin) {
        (Some(written), Some(origin)) => match &topology.annotation {
            Some(annotation) => format!("{written} ({} {annotation})", by(origin)),
            None => format!("{written} ({})", by(origin)),
        },
        (Some(written), None) => written.clone(),
        (None, _) => "none".to_owned(),
    };
    field(&mut out, "topology", &written);
    field(&mut out, "means", &topology.means);
    if let Some(why) = ignored {
        field(&mut out, "ignored", why);
    }
    for port in ports {
        out += "\n";
        of_port(&mut out, port);
    }
    out += "\n";
    if slices.is_empty() {
        field(&mut out, "slices", "no EndpointSlice names it");
    }
    for slice in slices {
        field(&mut out, "slice", &of_slice(slice));
    }
    for diagnostic in diagnostics {
        field(&mut out, diagnostic.reason.label(), &diagnostic.message);
    }
    lines(&out)
}

const fn by(origin: Origin) -> &'static str {
    match origin {
        Origin::Annotation => "by annotation",
        Origin::Flag => "by flag",
        Origin::Namespace => "by namespace",
    }
}

fn field(out: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    _ = writeln!(out, "{title:<10} {text}");
}

fn of_port(out: &mut String, port: &PortView) {
    let PortView {
        port_name,
        protocol,
        address,
        outcome: action,
        level,
        why,
        kept: _,
        endpoints,
        further,
        notes,
        narrowed_by: _,
        kernel,
    } = port;
    let name = if port_name.is_empty() { "without a name" } else { port_name };
    _ = writeln!(out, "port {name}, {protocol} {address}: {}", outcome(*action));
    if let Some(level) = level {
        field(out, "  reaches", level);
    }
    if let Some(why) = why {
        field(out, "  why", why);
    }
    if let Some(kernel) = kernel {
        field(out, "  kernel", &of_kernel(kernel, *action));
    }
    for note in notes {
        field(out, "  note", note);
    }
    for further in further {
        field(out, "  also at", &of_further(further));
    }
    if !endpoints.is_empty() {
        out.push_str(&table(endpoints));
        out.push('\n');
    }
}

fn table(endpoints: &[EndpointView]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["  USED", "ENDPOINT", "NODE", "POOL", "WHY NOT"]);
    for EndpointView { backend, node, pool, used, why } in endpoints {
        table.add_row([
            if *used { "  yes" } else { "  no" },
            backend,
            node.as_deref().unwrap_or("-"),
            pool.as_deref().unwrap_or("-"),
            why.as_deref().unwrap_or(""),
        ]);
    }
    table.trim_fmt()
}

fn of_kernel(kernel: &Held, wanted: Action) -> String {
    let Held { state, id, revision, backends } = kernel;
    let element = match (id, revision) {
        (Some(id), Some(revision)) => format!(" (service id {id}, revision {revision})"),
        _ => String::new(),
    };
    let to = || {
        if backends.is_empty() { "refuses".to_owned() } else { format!("leads to {}", backends.join(", ")) }
    };
    match (state, wanted) {
        (HeldState::Same, Action::Leave) => "holds nothing for it, as it is left alone".to_owned(),
        (HeldState::Same, _) => format!("the same{element}"),
        (HeldState::Absent, _) => "HOLDS NOTHING FOR IT: it is left as it is dialled".to_owned(),
        (HeldState::Differs, _) => format!("DIFFERS: it {}{element}", to()),
        (HeldState::Kept, _) if id.is_none() => "holds nothing for it, and waits".to_owned(),
        (HeldState::Kept, _) => format!("keeps what it had: it {}{element}", to()),
    }
}

fn of_further(further: &FurtherAddress) -> String {
    let FurtherAddress { address, kind, outcome: action, why, backends } = further;
    let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let to = if backends.is_empty() { String::new() } else { format!(" to {}", backends.join(", ")) };
    format!("{address} ({kind}): {}{to}{why}", outcome(*action))
}

fn of_slice(slice: &SliceView) -> String {
    let SliceView { name, family, ports, endpoints, ignored } = slice;
    let family = family.as_deref().unwrap_or("no IP family");
    let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
    let ignored = ignored.as_ref().map(|why| format!("; it does not count: {why}")).unwrap_or_default();
    let many = if *endpoints == 1 { "" } else { "s" };
    format!("{name}: {family}, {endpoints} endpoint{many}, ports: {ports}{ignored}")
}
