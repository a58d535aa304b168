//! The answers of several nodes as a person reads them: a line a node. Pure.

use comfy_table::{Table, presets};

use super::lines;
use super::plan::{MOST_SHOWN, outcome};
use crate::view::decisions::Action;
use crate::view::diagnostic::Severity;
use crate::view::explain::{Explanation, PortView};
use crate::view::held::HeldState;
use crate::view::nodes::{OfNode, OfNodes, SeenStatus};
use crate::view::services::Services;
use crate::view::state::{StateOrigin, StateView};

/// The columns of a status, past the node.
const OF_STATUS: [&str; 8] =
    ["POOL", "VERSION", "LAYOUT", "MODE", "READY", "STATE", "SERVICES", "ERRORS, WARNINGS"];
const OF_SERVICES: [&str; 7] = ["POOL", "STATE", "FORWARD", "REFUSE", "LEAVE", "WAIT", "NOT AS WANTED"];
const OF_EXPLANATION: [&str; 6] = ["POOL", "STATE", "ADDRESS", "OUTCOME", "REACHES", "BACKENDS"];

/// `read` are the answers of the nodes, in their order.
#[must_use]
pub fn status<T>(of_nodes: &OfNodes<T>, read: &[Option<SeenStatus>]) -> String {
    table(of_nodes, read, &OF_STATUS, |SeenStatus { kernel, agent }| {
        let kernel = kernel.as_ref();
        let layout = kernel.map_or_else(|| "-".to_owned(), |kernel| kernel.layout.to_string());
        let services = kernel.map_or_else(|| "-".to_owned(), |kernel| kernel.services.len().to_string());
        let Some(agent) = agent else {
            let no = || "-".to_owned();
            return vec![vec![no(), no(), layout, no(), "no agent".to_owned(), no(), services, no()]];
        };
        let count = |severity| agent.diagnostics.iter().filter(|found| found.severity == severity).count();
        let problems = format!("{}, {}", count(Severity::Error), count(Severity::Warning));
        let ready = if agent.ready { "yes" } else { "no" }.to_owned();
        let state = agent.state.as_ref().map_or("-", state).to_owned();
        let (version, mode) = (agent.version.clone(), agent.mode.clone());
        vec![vec![pool(agent.pool.as_ref()), version, layout, mode, ready, state, services, problems]]
    })
}

/// As [`status`].
#[must_use]
pub fn services<T>(of_nodes: &OfNodes<T>, read: &[Option<Services>]) -> String {
    table(of_nodes, read, &OF_SERVICES, |services| {
        let ports = &services.service_ports;
        let count = |action| ports.iter().filter(|port| port.outcome == action).count().to_string();
        let is_other = |state| matches!(state, HeldState::Absent | HeldState::Differs);
        let held = ports.iter().filter_map(|port| port.kernel.as_ref());
        let others = held.filter(|held| is_other(held.state)).count().to_string();
        let counts = [Action::Forward, Action::Refuse, Action::Leave, Action::Wait].map(count);
        let first = [pool(services.pool.as_ref()), state(&services.state).to_owned()];
        vec![first.into_iter().chain(counts).chain([others]).collect()]
    })
}

/// As [`status`]; a line for each port of the Service.
#[must_use]
pub fn explanations<T>(of_nodes: &OfNodes<T>, read: &[Option<Explanation>]) -> String {
    table(of_nodes, read, &OF_EXPLANATION, |explanation| {
        let port = |port: &PortView| {
            let PortView { protocol, address, outcome: action, level, endpoints, .. } = port;
            let used: Vec<&str> = endpoints
                .iter()
                .filter(|endpoint| endpoint.used)
                .map(|endpoint| endpoint.backend.as_str())
                .collect();
            let more = used.len().saturating_sub(MOST_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let first: Vec<&str> = used.iter().copied().take(MOST_SHOWN).collect();
            vec![
                pool(explanation.pool.as_ref()),
                state(&explanation.state).to_owned(),
                format!("{address}/{protocol}"),
                outcome(*action).to_owned(),
                level.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{} of {}: {}{more}", used.len(), endpoints.len(), first.join(", ")),
            ]
        };
        explanation.ports.iter().map(port).collect()
    })
}

/// What each node prints by itself, one after the other.
#[must_use]
pub fn texts(printed: &[(String, Result<Vec<u8>, String>)]) -> String {
    let text = printed.iter().map(|(node, printed)| match printed {
        Ok(text) => format!("node {node}:\n{}\n", String::from_utf8_lossy(text)),
        Err(why) => format!("node {node}: no answer: {why}\n\n"),
    });
    lines(&text.collect::<String>())
}

fn pool(pool: Option<&String>) -> String {
    pool.cloned().unwrap_or_else(|| "-".to_owned())
}

const fn state(state: &StateView) -> &'static str {
    match state.origin {
        StateOrigin::Starting => "starting",
        StateOrigin::Live => "live",
        StateOrigin::Behind => "BEHIND",
        StateOrigin::Saved => "SAVED",
    }
}

/// A line, or several, for each node that gave an answer; in what nodes differ; and which gave none.
fn table<T, R>(
    of_nodes: &OfNodes<T>,
    read: &[Option<R>],
    columns: &[&str],
    rows: impl Fn(&R) -> Vec<Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NODE"].iter().chain(columns).chain(&["DIFFERS"]));
    for (of, read) in of_nodes.nodes.iter().zip(read) {
        let differs = if of.differs.is_empty() { "-" } else { "DIFFERS" }.to_owned();
        for row in read.iter().flat_map(&rows) {
            table.add_row([vec![of.node.clone()], row, vec![differs.clone()]].concat());
        }
    }
    let mut out = table.trim_fmt() + "\n";
    for of in of_nodes.nodes.iter().filter(|of| !of.differs.is_empty()) {
        out += &format!("\nnode {} differs:\n", of.node);
        out.extend(of.differs.iter().map(|what| format!("  {what}\n")));
    }
    lines(&(out + &without_answer(&of_nodes.nodes)))
}

/// How many nodes are counted, as a sentence without a full stop.
#[must_use]
pub fn counted<T>(nodes: &[OfNode<T>]) -> String {
    let answered = nodes.iter().filter(|of| of.error.is_none()).count();
    format!("{answered} of {} nodes", nodes.len())
}

pub(super) fn without_answer<T>(nodes: &[OfNode<T>]) -> String {
    let mut out = String::new();
    for of in nodes {
        let Some(why) = &of.error else { continue };
        if out.is_empty() {
            out += "\nNo answer:\n";
        }
        out += &format!("  {}: {why}\n", of.node);
    }
    out
}
