//! All service ports of a node as a person reads them. Pure.

use comfy_table::{Table, presets};

use super::lines;
use super::plan::{MOST_SHOWN, outcome};
use crate::view::decisions::Action;
use crate::view::kernel::KernelView;
use crate::view::services::{ServiceLine, Services};
use crate::view::topologies::Origin;

/// A table, then what has no say.
#[must_use]
pub fn text(services: &Services) -> String {
    let Services { node, pool, state, service_ports, ignored } = services;
    let place = pool.as_deref().map_or_else(|| "in no pool".to_owned(), |pool| format!("pool {pool}"));
    let mut out = format!("node {node}, {place}; {}\n\n", state.describe());
    if service_ports.is_empty() {
        out += "No Service has a cluster IP.\n";
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "SERVICE", "PROTOCOL", "ADDRESS", "TOPOLOGY", "OUTCOME", "REACHES", "BACKENDS", "KERNEL",
        ]);
        for port in service_ports {
            table.add_row(row(port));
        }
        out += &table.trim_fmt();
        out += "\n";
    }
    if !ignored.is_empty() {
        out += "\nIgnored:\n";
    }
    for ignored in ignored {
        let why = ignored.diagnostic.as_ref().unwrap_or(&ignored.why);
        out += &format!("  {}: {why}\n", ignored.object);
    }
    lines(&out)
}

fn row(port: &ServiceLine) -> [String; 8] {
    let ServiceLine { namespace, service, port_name, protocol, address, topology, origin, .. } = port;
    let number = address.rsplit(':').next().unwrap_or_default();
    let name = if port_name.is_empty() { number } else { port_name };
    let topology = match (topology, origin) {
        (Some(keys), Some(Origin::Flag)) => format!("{keys} (by flag)"),
        (Some(keys), Some(Origin::Namespace)) => format!("{keys} (by namespace)"),
        (Some(keys), _) => match &port.annotation {
            Some(annotation) => format!("{keys} (by {annotation})"),
            None => keys.clone(),
        },
        (None, _) => "-".to_owned(),
    };
    let kernel = port.kernel.as_ref().map_or("?", |held| held.state.label());
    [
        format!("{namespace}/{service}:{name}"),
        protocol.clone(),
        address.clone(),
        topology,
        outcome(port.outcome).to_owned(),
        port.level.clone().unwrap_or_else(|| "-".to_owned()),
        backends(port),
        kernel.to_owned(),
    ]
}

/// How many of all endpoints are used, and the first of them.
fn backends(port: &ServiceLine) -> String {
    let ServiceLine { outcome, backends, not_used, why, .. } = port;
    let of_all = format!("{} of {}", backends.len(), backends.len() + not_used);
    match outcome {
        Action::Forward => {
            let more = backends.len().saturating_sub(MOST_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let first: Vec<&str> = backends.iter().take(MOST_SHOWN).map(String::as_str).collect();
            format!("{of_all}: {}{more}", first.join(", "))
        }
        Action::Refuse | Action::Leave | Action::Wait => match why {
            Some(why) => why.clone(),
            None => of_all,
        },
    }
}

/// What the maps alone say.
#[must_use]
pub fn pinned(kernel: &KernelView) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERVICE", "PROTOCOL", "ADDRESS", "TOPOLOGY", "OUTCOME", "BACKENDS"]);
    for found in &kernel.services {
        let number = found.address.rsplit(':').next().unwrap_or_default();
        let name = if found.port_name.is_empty() { number } else { &found.port_name };
        table.add_row([
            format!("{}/{}:{name}", found.namespace, found.service),
            found.protocol.clone(),
            found.address.clone(),
            if found.topology { "yes" } else { "-" }.to_owned(),
            found.outcome.clone(),
            found.backends.join(", "),
        ]);
    }
    lines(&(table.trim_fmt() + "\n"))
}
