//! Status as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Table, presets};
use schemars::JsonSchema;
use serde::Serialize;

use super::lines;
use crate::cli::duration::written;
use crate::model::Mode;
use crate::view::diagnostic::Diagnostic;
use crate::view::kernel::{AgeView, KernelView};
use crate::view::published::NodeLabels;
use crate::view::status::{AgentView, ApiKind};
use crate::view::topologies::{ByFlag, OfNamespace, Topology};

/// Everything that `lb-agent status` knows.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Status {
    /// `null` while nothing is pinned.
    pub kernel: Option<KernelView>,
    /// `null` while no agent answers.
    pub agent: Option<AgentView>,
    /// What this version leaves to kube-proxy altogether.
    #[serde(rename = "notCovered")]
    pub not_covered: Vec<&'static str>,
}

/// What the programs of this version leave untouched, said openly.
pub const NOT_COVERED: [&str; 2] =
    ["SCTP service ports", "load balancer addresses with loadBalancerSourceRanges"];

/// As text, for people.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = String::new();
    if let Some(agent) = &status.agent {
        out += &agent_text(agent);
    } else {
        line(&mut out, "agent", "none replies; the kernel goes on with what it has");
    }
    match &status.kernel {
        Some(kernel) => {
            let given = status.agent.iter().flat_map(|agent| &agent.topologies);
            let used = given.filter(|topology| topology.effect == ByFlag::Used);
            out += &kernel_text(kernel, &used.map(|topology| topology.service.as_str()).collect());
        }
        None => line(&mut out, "kernel", "nothing is pinned"),
    }
    line(&mut out, "untouched", &status.not_covered.join("; "));
    lines(&out)
}

fn agent_text(agent: &AgentView) -> String {
    let mut out = String::new();
    let AgentView { pid, version, node, pool, node_labels, source, mode, ready, waits_for, .. } = agent;
    let state = if *ready { "ready" } else { "not ready" };
    line(&mut out, "agent", &format!("process {pid}, version {version}, {state}"));
    for what in waits_for {
        line(&mut out, "waits", what.describe());
    }
    let pool = pool.as_deref().unwrap_or("no pool");
    let place = match node_labels {
        NodeLabels::Current => format!("in {pool}"),
        NodeLabels::LastKnown => {
            format!("in {pool} (its object is not known now; the last known labels hold)")
        }
        NodeLabels::NeverKnown => "is not known to the source, and never was: check --node".to_owned(),
    };
    line(&mut out, "node", &format!("{node} {place}"));
    line(&mut out, "mode", &mode_text(mode));
    line(&mut out, "source", source);
    if let Some(state) = &agent.state {
        line(&mut out, "state", &state.describe());
    }
    for kind in agent.api.iter().flat_map(|api| &api.kinds) {
        line(&mut out, "source", &kind_text(kind));
    }
    if let Some(how) = &agent.refuses_by {
        line(&mut out, "refuses", &format!("by {how}"));
    }
    for Topology { service, keys, effect } in &agent.topologies {
        let but = effect.why_not().map(|why| format!(", without effect: {why}")).unwrap_or_default();
        line(&mut out, "topology", &format!("{service}: {keys} (by flag{but})"));
    }
    for OfNamespace { namespace, keys } in &agent.namespace_topologies {
        line(&mut out, "topology", &format!("Namespace {namespace}: {keys} (by namespace)"));
    }
    if !agent.skipped_pods.is_empty() {
        let pods = agent.skipped_pods.iter().map(|pod| match pod.cgroup {
            Some(_) => pod.pod.clone(),
            None => format!("{} (not yet: it has no cgroup that is known)", pod.pod),
        });
        let count = agent.skipped_pods.len();
        line(&mut out, "skipped", &format!("{count} pods: {}", pods.collect::<Vec<_>>().join(", ")));
    }
    if let Some(text) = agent.peers.describe() {
        line(&mut out, "sockets", &text);
    }
    if let Some(how) = &agent.self_test {
        line(&mut out, "self-test", how);
    }
    for Diagnostic { severity, about, reason, message } in &agent.diagnostics {
        let text = format!("{}: {about}: {message} ({})", severity.label(), reason.label());
        line(&mut out, "diagnostic", &text);
    }
    out
}

/// An agent of an earlier version says none, and one of a later version may say another.
fn mode_text(mode: &str) -> String {
    let known = Mode::ALL.into_iter().find(|known| known.label() == mode);
    match (known, mode) {
        (Some(known), _) => format!("{}: {}", known.label(), known.describe()),
        (None, "") => mode_text(Mode::Beside.label()),
        (None, other) => other.to_owned(),
    }
}

fn kind_text(kind: &ApiKind) -> String {
    let ApiKind { kind, state, since, last_failure, last_failure_at } = kind;
    let holds = if state == "behind" { "; the last known state holds" } else { "" };
    let failure = match (last_failure, last_failure_at) {
        (Some(what), Some(at)) => format!("; last failure at {at}: {what}"),
        (Some(what), None) => format!("; last failure: {what}"),
        (None, _) => String::new(),
    };
    format!("{kind}: {state} since {since}{holds}{failure}")
}

/// `by_flag` are the Services whose topology was given by flag.
fn kernel_text(kernel: &KernelView, by_flag: &BTreeSet<&str>) -> String {
    let mut out = String::new();
    let held = kernel.held_by.as_deref().unwrap_or("no agent");
    line(&mut out, "pins", &format!("{}, layout {}, held by {held}", kernel.pin_root, kernel.layout));
    if kernel.hooks.is_empty() {
        line(&mut out, "hook", "no program is attached");
    }
    for hook in &kernel.hooks {
        let before = match hook.before_names.as_slice() {
            [] => String::new(),
            names => format!("; BEFORE IT RUN {}, which may hide cluster IPs from it", names.join(", ")),
        };
        let cgroup = if hook.cgroup_id == 0 {
            "a cgroup that is gone".to_owned()
        } else {
            format!("cgroup {}", hook.cgroup_id)
        };
        line(&mut out, "hook", &format!("{}: program {} at {cgroup}{before}", hook.hook, hook.program_id));
    }
    if let Some(why) = &kernel.unreadable {
        line(&mut out, "maps", &format!("not shown: {why}"));
        return out + "\n";
    }
    if let Some(age) = &kernel.age {
        line(&mut out, "age", &age_text(*age));
    }
    for fill in &kernel.maps {
        line(&mut out, "map", &format!("{}: {} of {}", fill.map, fill.used, fill.max_entries));
    }
    for outcome in &kernel.outcomes {
        line(&mut out, "outcome", &format!("{}: {}", outcome.outcome, outcome.times));
    }
    line(&mut out, "outcome", &format!("lookup_retries: {}", kernel.lookup_retries));
    line(&mut out, "outcome", &format!("stale_region_reads: {}", kernel.stale_region_reads));
    out += "\n";
    out += &services_table(kernel, by_flag);
    out += "\n\n";
    out
}

fn age_text(age: AgeView) -> String {
    let AgeView { seconds, max_seconds, over } = age;
    let max = max_seconds.map(|max| written(Duration::from_secs(max)));
    let then = match (max, over) {
        (None, _) => String::new(),
        (Some(max), false) => {
            format!("; after {max} every connection is left as it is dialled (--max-stale)")
        }
        (Some(max), true) => {
            format!(", longer than --max-stale {max}: EVERY CONNECTION IS LEFT AS IT IS DIALLED")
        }
    };
    format!("a live source was in sync {seconds} s ago{then}")
}

fn services_table(kernel: &KernelView, by_flag: &BTreeSet<&str>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERVICE", "PORT", "ADDRESS", "TOPOLOGY", "OUTCOME", "BACKENDS"]);
    for service in &kernel.services {
        let name = match (service.namespace.as_str(), service.service.as_str()) {
            ("", "") => format!("(id {} has no name)", service.id),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        let address = format!("{}/{}", service.address, service.protocol);
        let topology = match service.topology {
            true if by_flag.contains(&*name) => "by flag",
            true => "yes",
            false => "-",
        };
        let port = if service.port_name.is_empty() { "-" } else { &service.port_name };
        let backends = service.backends.join(" ");
        table.add_row([&name, port, &address, topology, &service.outcome, &backends]);
    }
    table.to_string()
}

fn line(out: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    _ = writeln!(out, "{title:<10} {text}");
}
