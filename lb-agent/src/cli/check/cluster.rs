//! The cluster as a whole: what the agents of all nodes say, beside one another. Pure.

use std::collections::BTreeSet;

use crate::check::{Finding, State};
use crate::shown::{Shown, line};
use crate::view::loops::LoopView;
use crate::view::loops_merged::merged;
use crate::view::nodes::{Fact, SeenStatus, answers, mark, of_services, of_status};
use crate::view::published::WaitsFor;
use crate::view::services::Services;
use crate::view::state::StateOrigin;
use crate::view::status::AgentView;

/// Nodes that one line names.
const MOST_NAMED: usize = 10;

/// What each node printed, or why it did not.
type Printed = Vec<(String, Result<Vec<u8>, String>)>;

/// What the commands of all agents print, as JSON.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: Printed,
    pub(super) services: Printed,
    /// Of the command `loop`.
    pub(super) loops: Printed,
}

/// What was found at some nodes: each with what is said of it.
type Of = Vec<(String, String)>;

/// Compares them. `nodes` are all of the cluster, or why they are not known.
#[must_use]
pub(super) fn findings(nodes: &Result<BTreeSet<String>, String>, said: Said) -> Vec<Finding> {
    use State::{Degraded, Missing};
    let Said { status, services, loops } = said;
    let agents = Agents::of(status);
    let asked = agents.nodes.len();
    let silent = agents.silent(&[&services, &loops]);
    let well = [
        &format!("all {asked} answer"),
        "run at every hook of every node that answered",
        "every agent that answered is ready",
        "every node that answered decides by a live source",
        "every node that answered has one version and mode, over maps of one layout",
        "nodes of one pool that answered decide alike",
    ];
    vec![
        covered(nodes, &agents.nodes),
        finding("agents", well[0], silent, Missing, &ANSWERS),
        finding("programs", well[1], agents.that(is_not_attached), Missing, &ATTACHED),
        finding("readiness", well[2], agents.that(waits), Degraded, &READY),
        finding("age of decisions", well[3], agents.that(is_old), Degraded, &LIVE),
        finding("version", well[4], agents.versions, Degraded, &ALIKE),
        finding("decisions", well[5], differing(services), Degraded, &DECIDE),
        the_loop(loops),
    ]
}

/// What the agents say of themselves.
struct Agents {
    nodes: Vec<String>,
    /// Why there is no answer, or what it is.
    said: Vec<Result<Option<AgentView>, String>>,
    /// Nodes of another version than most.
    versions: Of,
}

impl Agents {
    fn of(status: Printed) -> Self {
        let (mut of_nodes, seen) = answers::<SeenStatus>(status);
        let facts: Vec<Vec<Fact>> =
            seen.iter().map(|seen| seen.iter().flat_map(of_status).collect()).collect();
        mark(&mut of_nodes, &facts);
        let versions = of_nodes.nodes.iter().filter(|of| !of.differs.is_empty());
        let versions = versions.map(|of| (of.node.clone(), of.differs.join(", "))).collect();
        let said = of_nodes.nodes.iter().zip(seen).map(|(of, seen)| match &of.error {
            Some(why) => Err(why.clone()),
            None => Ok(seen.and_then(|seen| seen.agent)),
        });
        let said = said.collect();
        Self { nodes: of_nodes.nodes.into_iter().map(|of| of.node).collect(), said, versions }
    }

    /// Nodes without an agent, or without an answer to any of the commands: what they did not say is not well.
    fn silent(&self, others: &[&Printed]) -> Of {
        let of_other = |node: &String| {
            let mut printed = others.iter().flat_map(|other| other.iter());
            printed.find_map(|(of, printed)| printed.as_ref().err().filter(|_| of == node).cloned())
        };
        let why = |(node, said): (&String, &Result<Option<AgentView>, String>)| match said {
            Ok(Some(_)) => of_other(node),
            Ok(None) => Some("no agent runs there".to_owned()),
            Err(why) => Some(why.clone()),
        };
        let of = self.nodes.iter().zip(&self.said);
        of.filter_map(|of| Some((of.0.clone(), why(of)?))).collect()
    }

    /// Nodes of whose agent something is said.
    fn that(&self, says: fn(&AgentView) -> Option<String>) -> Of {
        let of = self.nodes.iter().zip(&self.said);
        of.filter_map(|(node, said)| Some((node.clone(), says(said.as_ref().ok()?.as_ref()?)?))).collect()
    }
}

/// What follows, and what to do.
struct Advice(&'static str, &'static str);

const ANSWERS: Advice = Advice(
    "nothing is known of these nodes; where programs are attached they go on with what the maps hold",
    "see the pods (kubectl describe pod), then `lb-agent status --on NODE`",
);
const ATTACHED: Advice = Advice(
    "connections of these nodes go where they are dialled: to any pool",
    "`lb-agent status --on NODE` says why",
);
const READY: Advice = Advice(
    "they may decide by less than the cluster knows",
    "`lb-agent status --on NODE` says what is waited for",
);
const LIVE: Advice =
    Advice("changes since then are not known there", "see the link from these nodes to the API server");
const ALIKE: Advice =
    Advice("an upgrade goes on, or did not come to its end", "see the rollout of the agents' DaemonSet");
const DECIDE: Advice = Advice(
    "clients of one pool get different backends; a change that is under way looks the same",
    "ask again, then `lb-agent explain SERVICE --all-nodes`",
);

/// One line of all nodes: well where none of them has something said of it.
fn finding(what: &str, well: &str, of: Of, state: State, advice: &Advice) -> Finding {
    if of.is_empty() {
        return Finding::ok(what, well);
    }
    let Advice(follows, todo) = advice;
    let named: Vec<String> =
        of.iter().take(MOST_NAMED).map(|(node, says)| format!("{}: {}", Shown(node), line(says))).collect();
    let more = match of.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!("; and {more} nodes more"),
    };
    let found = format!("{}{more}", named.join("; "));
    match state {
        State::Missing => Finding::missing(what, found, follows, todo),
        State::Ok | State::Degraded => Finding::degraded(what, found, follows, todo),
    }
}

/// Whether the agents have a pod for each node.
fn covered(nodes: &Result<BTreeSet<String>, String>, asked: &[String]) -> Finding {
    let what = "nodes";
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(why) => {
            return Finding::degraded(
                what,
                line(why),
                "nodes without an agent are not found",
                "let the user of this kubeconfig list Nodes",
            );
        }
    };
    let without: Of = nodes
        .iter()
        .filter(|node| !asked.contains(node))
        .map(|node| (node.clone(), "no pod of the agents".to_owned()))
        .collect();
    let advice = Advice(
        "connections of these nodes go where they are dialled: to any pool",
        "see nodeSelector, affinity and tolerations of the agents' DaemonSet",
    );
    finding(what, &format!("all {} have a pod of the agents", nodes.len()), without, State::Degraded, &advice)
}

fn is_not_attached(agent: &AgentView) -> Option<String> {
    let programs = agent.waits_for.iter().find(|waits| **waits == WaitsFor::Programs)?;
    Some(programs.describe().to_owned())
}

/// For what else.
fn waits(agent: &AgentView) -> Option<String> {
    let waits: Vec<&str> = agent
        .waits_for
        .iter()
        .filter(|waits| **waits != WaitsFor::Programs)
        .map(|waits| waits.describe())
        .collect();
    (!waits.is_empty()).then(|| waits.join(", "))
}

fn is_old(agent: &AgentView) -> Option<String> {
    let state = agent.state.as_ref()?;
    match state.origin {
        StateOrigin::Live => None,
        StateOrigin::Starting | StateOrigin::Behind | StateOrigin::Saved => Some(state.describe()),
    }
}

/// Nodes that decide differently from most of their pool.
fn differing(services: Printed) -> Of {
    let (mut of_nodes, read) = answers::<Services>(services);
    let facts: Vec<Vec<Fact>> =
        read.iter().map(|read| read.as_ref().map(of_services).unwrap_or_default()).collect();
    mark(&mut of_nodes, &facts);
    let differ = of_nodes.nodes.into_iter().filter(|of| !of.differs.is_empty());
    differ.map(|of| (of.node, of.differs.join(", "))).collect()
}

fn the_loop(loops: Printed) -> Finding {
    let (_, read) = answers::<LoopView>(loops);
    let read: Vec<LoopView> = read.into_iter().flatten().collect();
    let sum = merged(&read);
    let all = sum.cells.iter().fold(0_u64, |all, cell| all.saturating_add(cell.connections));
    if read.is_empty() {
        let (follows, todo) = ("nothing is known of the loop", "see the line `agents`");
        return Finding::missing("loop", "no node gave an answer", follows, todo);
    }
    if sum.outside == 0 {
        let found = format!(
            "closed: of {all} connections that {} nodes counted, none left what its topology allows",
            read.len()
        );
        return Finding::ok("loop", found);
    }
    Finding::missing(
        "loop",
        format!("{} of {all} connections left what their topology allows", sum.outside),
        "the loop is open",
        "`lb-agent loop --all-nodes` shows from which pool to which; please report it",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::view::state::StateView;

    fn agent(waits_for: &[WaitsFor], origin: StateOrigin) -> AgentView {
        AgentView {
            version: "0.1.0".to_owned(),
            mode: "beside".to_owned(),
            waits_for: waits_for.to_vec(),
            state: Some(StateView { origin, age_seconds: Some(7), saved_at: None }),
            ..AgentView::default()
        }
    }

    fn status(agent: &AgentView) -> Value {
        json!({"kernel": {"layout": 7}, "agent": agent})
    }

    fn services(node: &str, backend: &str) -> Value {
        json!({"node": node, "pool": "east", "state": {"origin": "live", "ageSeconds": 0, "savedAt": null}, "ignored": [], "servicePorts": [{
            "namespace": "default", "service": "web", "portName": "", "protocol": "TCP", "address": "10.96.0.11:80", "topology": null, "origin": null,
            "outcome": "forward", "level": "pool east", "why": null, "kept": false, "backends": [backend], "notUsed": 0}]})
    }

    fn loops(within: &str, backend_pool: &str) -> Value {
        json!({"node": "n1", "pool": "east", "state": null, "refused": 0, "outside": 0, "services": [], "notCovered": [], "cells": [
            {"clientPool": "east", "backendPool": backend_pool, "within": within, "connections": 5}]})
    }

    fn printed(of: &[(&str, Result<Value, &str>)]) -> Printed {
        let text = |said: &Result<Value, &str>| match said {
            Ok(value) => Ok(value.to_string().into_bytes()),
            Err(why) => Err((*why).to_owned()),
        };
        of.iter().map(|(node, said)| ((*node).to_owned(), text(said))).collect()
    }

    fn nodes(names: &[&str]) -> Result<BTreeSet<String>, String> {
        Ok(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn of(findings: &[Finding], what: &str) -> (State, String) {
        let found = findings.iter().find(|finding| finding.what == what).unwrap();
        (found.state, found.found.clone())
    }

    #[test]
    fn a_cluster_whose_nodes_agree_is_well() {
        let well = || status(&agent(&[], StateOrigin::Live));
        let said = Said {
            status: printed(&[("n1", Ok(well())), ("n2", Ok(well()))]),
            services: printed(&[
                ("n1", Ok(services("n1", "10.244.1.1:80"))),
                ("n2", Ok(services("n2", "10.244.1.1:80"))),
            ]),
            loops: printed(&[("n1", Ok(loops("own-pool", "east"))), ("n2", Ok(loops("own-pool", "east")))]),
        };
        let findings = findings(&nodes(&["n1", "n2"]), said);
        let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.state != State::Ok).collect();
        assert_eq!(bad, Vec::<&Finding>::new());
        assert_eq!(
            of(&findings, "loop").1,
            "closed: of 10 connections that 2 nodes counted, none left what its topology allows"
        );
    }

    #[test]
    fn each_thing_that_is_not_well_names_its_node() {
        use State::{Degraded, Missing};
        let other = AgentView { version: "0.0.9".to_owned(), ..agent(&[], StateOrigin::Live) };
        let said = Said {
            status: printed(&[
                ("n1", Ok(status(&agent(&[], StateOrigin::Live)))),
                ("n2", Ok(status(&agent(&[WaitsFor::Programs], StateOrigin::Saved)))),
                ("n3", Ok(status(&agent(&[WaitsFor::Source], StateOrigin::Live)))),
                ("n4", Ok(status(&other))),
                ("n5", Err("the container does not run: \u{1b}CrashLoopBackOff")),
                ("n6", Ok(json!({"kernel": {"layout": 7}, "agent": null}))),
            ]),
            services: printed(&[
                ("n1", Ok(services("n1", "10.244.1.1:80"))),
                ("n2", Ok(services("n2", "10.244.1.1:80"))),
                ("n3", Ok(services("n3", "10.244.9.9:80"))),
            ]),
            loops: printed(&[("n1", Ok(loops("own-pool", "east"))), ("n2", Ok(loops("own-pool", "west")))]),
        };
        let findings = findings(&nodes(&["n1", "n2", "n3", "n4", "n5", "n6", "n7"]), said);
        for (what, state, says) in [
            ("nodes", Degraded, "n7: no pod of the agents"),
            ("agents", Missing, "n5: the container does not run: "),
            ("agents", Missing, "n6: no agent runs there"),
            ("programs", Missing, "n2: the programs are not attached"),
            ("readiness", Degraded, "n3: the source is not in sync"),
            ("age of decisions", Degraded, "n2: "),
            ("version", Degraded, "n4: version: 0.0.9, most have 0.1.0"),
            (
                "decisions",
                Degraded,
                "n3: default/web at 10.96.0.11:80/TCP: 10.244.9.9:80, most have 10.244.1.1:80",
            ),
            ("loop", Missing, "5 of 10 connections left what their topology allows"),
        ] {
            let (found, text) = of(&findings, what);
            assert!(
                found == state && text.contains(says) && !text.contains('\u{1b}'),
                "{what}: {found:?} {text}"
            );
        }
    }

    #[test]
    fn of_many_nodes_some_are_named_and_without_the_right_to_list_them_that_is_said() {
        let silent: Vec<(String, Result<Vec<u8>, String>)> =
            (0..2000).map(|node| (format!("n{node}"), Err("gone".to_owned()))).collect();
        let said = Said { status: silent, services: Vec::new(), loops: Vec::new() };
        let findings = findings(&Err("403 Forbidden".to_owned()), said);
        let (_, text) = of(&findings, "agents");
        assert!(text.len() < 300 && text.ends_with("; and 1990 nodes more"), "{text}");
        assert_eq!(of(&findings, "nodes"), (State::Degraded, "403 Forbidden".to_owned()));
        assert_eq!(of(&findings, "loop"), (State::Missing, "no node gave an answer".to_owned()));
    }

    #[test]
    fn a_node_that_answers_one_command_and_not_the_others_is_not_well() {
        let status = || Ok(status(&agent(&[], StateOrigin::Live)));
        let said = |services, loops| Said {
            status: printed(&[("n1", status()), ("n2", status())]),
            services: printed(&[("n1", Ok(services_of("n1"))), ("n2", services)]),
            loops: printed(&[("n1", Ok(loops_of())), ("n2", loops)]),
        };
        for (services, loops, state, why) in [
            (Ok(services_of("n2")), Ok(loops_of()), State::Ok, "all 2 answer"),
            (
                Err("it did not end within 20 s"),
                Ok(loops_of()),
                State::Missing,
                "n2: it did not end within 20 s",
            ),
            (Ok(services_of("n2")), Err("it exited with 1"), State::Missing, "n2: it exited with 1"),
        ] {
            let findings = findings(&nodes(&["n1", "n2"]), said(services, loops));
            assert_eq!(of(&findings, "agents"), (state, why.to_owned()));
        }
    }

    fn services_of(node: &str) -> Value {
        services(node, "10.244.1.1:80")
    }

    fn loops_of() -> Value {
        loops("own-pool", "east")
    }
}
