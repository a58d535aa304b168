//! Status as text and as JSON.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::view::kernel::KernelView;
use crate::view::status::{AgentView, Api, ApiKind};

/// Everything that `lb-agent status` knows.
#[derive(Clone, Debug, Serialize)]
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
pub const NOT_COVERED: [&str; 4] = [
    "UDP and SCTP service ports",
    "IPv6 service addresses",
    "session affinity (a Service with a topology is served without it, others are left to kube-proxy)",
    "external IPs, load balancer addresses and node ports",
];

/// As text, for people.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = String::new();
    if let Some(agent) = &status.agent {
        out += &agent_text(agent);
    } else {
        out += "agent     none answers; the kernel goes on with what it has\n";
    }
    match &status.kernel {
        Some(kernel) => out += &kernel_text(kernel),
        None => out += "kernel    nothing is pinned\n",
    }
    line(&mut out, "untouched", &status.not_covered.join("; "));
    out
}

fn agent_text(agent: &AgentView) -> String {
    let mut out = String::new();
    let state = match (agent.ready, agent.in_sync) {
        (true, _) => "ready",
        (false, true) => "in sync, not ready",
        (false, false) => "not in sync",
    };
    let pool = agent.pool.as_deref().unwrap_or("no pool");
    line(&mut out, "agent", &format!("process {}, version {}, {state}", agent.pid, agent.version));
    let place = match (agent.node_known, agent.labels_known) {
        (true, _) => format!("in {pool}"),
        (false, true) => format!("in {pool} (its object is not known now; the last known labels hold)"),
        (false, false) => "is not known to the source, and never was: check --node".to_owned(),
    };
    line(&mut out, "node", &format!("{} {place}", agent.node));
    line(&mut out, "source", &agent.source);
    if let Some(api) = &agent.api {
        out += &api_text(api);
    }
    if let Some(how) = &agent.refuses_by {
        line(&mut out, "refuses", &format!("by {how}"));
    }
    for failed in &agent.failed {
        line(&mut out, "failed", &format!("{}: {}", failed.service, failed.why));
    }
    for mark in &agent.marks {
        line(&mut out, "mark", &format!("{}: {}", mark.service, mark.text));
    }
    let files = &agent.files;
    let said = [("problem", &files.problems), ("problem", &files.duplicates), ("problem", &files.oddities)];
    for (title, texts) in said.into_iter().chain([("note", &files.notes)]) {
        for text in texts {
            line(&mut out, title, text);
        }
    }
    for file in &files.incomplete {
        line(&mut out, "unknown", &format!("{file} could never be read: until it can, nothing is removed"));
    }
    out
}

fn api_text(api: &Api) -> String {
    let mut out = String::new();
    for of in &api.kinds {
        let ApiKind { kind, state, since, last_failure, last_failure_at } = of;
        let holds = if state == "behind" { "; the last known state holds" } else { "" };
        let failure = match (last_failure, last_failure_at) {
            (Some(what), Some(at)) => format!("; last trouble at {at}: {what}"),
            (Some(what), None) => format!("; last trouble: {what}"),
            (None, _) => String::new(),
        };
        line(&mut out, "source", &format!("{kind}: {state} since {since}{holds}{failure}"));
    }
    for object in &api.objects {
        line(&mut out, "problem", object);
    }
    for note in &api.notes {
        line(&mut out, "note", note);
    }
    out
}

fn kernel_text(kernel: &KernelView) -> String {
    let mut out = String::new();
    let held = kernel.held_by.as_deref().unwrap_or("no agent");
    line(&mut out, "pins", &format!("{}, layout {}, held by {held}", kernel.pin_root, kernel.layout));
    if kernel.hooks.is_empty() {
        line(&mut out, "hook", "no program is attached");
    }
    for hook in &kernel.hooks {
        let before = match hook.before.as_deref() {
            Some([]) | None => String::new(),
            Some(ids) => format!("; PROGRAMS {ids:?} RUN BEFORE IT and may hide cluster IPs from it"),
        };
        let cgroup = if hook.cgroup_id == 0 {
            "a cgroup that is gone".to_owned()
        } else {
            format!("cgroup {}", hook.cgroup_id)
        };
        line(&mut out, "hook", &format!("{}: program {} at {cgroup}{before}", hook.hook, hook.program_id));
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
    out += &services_table(kernel);
    out += "\n\n";
    out
}

fn services_table(kernel: &KernelView) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERVICE", "PORT", "ADDRESS", "TOPOLOGY", "OUTCOME", "BACKENDS"]);
    for service in &kernel.services {
        let name = match (service.namespace.as_str(), service.service.as_str()) {
            ("", "") => format!("(id {} has no name)", service.id),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        let address = format!("{}/{}", service.address, service.protocol);
        let topology = if service.topology { "yes" } else { "-" };
        let port = if service.port_name.is_empty() { "-" } else { &service.port_name };
        let backends = service.backends.join(" ");
        table.add_row([&name, port, &address, topology, &service.outcome, &backends]);
    }
    table.to_string()
}

fn line(out: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    _ = writeln!(out, "{title:<9} {text}");
}
