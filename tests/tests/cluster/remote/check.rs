//! `lb-agent check --cluster`, and with `--live`, on a real API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, program, wait_for};
use edgeloop_tests::cluster::{Cluster, ExecDoor, Kubelet};
use edgeloop_tests::{Node, Site};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{ask, pod, reader, run, stage, text};

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn check_cluster_names_the_nodes_that_are_not_well() {
    let stage = stage().unwrap();
    stage.cluster.register("n5", &json!({})).unwrap();
    for client in &stage.clients {
        client.dial("10.96.0.11:80", 5).unwrap();
    }
    let check = |kubeconfig: &Path, more: &[&str]| {
        let flags = [&["check", "--cluster", "-o", "json"], more].concat();
        let output = ask(&stage, kubeconfig, &flags).unwrap();
        let found: Vec<Value> =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        let found = found.iter().map(|finding| {
            let word = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
            (word("what"), (word("state"), word("found")))
        });
        (found.collect::<BTreeMap<String, (String, String)>>(), output.status.code())
    };
    let (found, code) = check(&stage.cluster.kubeconfig(), &[]);
    for (what, state, says) in [
        ("nodes", "degraded", "n5: no pod of the agents"),
        ("agents", "missing", "n4: "),
        ("programs", "ok", ""),
        ("readiness", "ok", ""),
        ("age of decisions", "ok", ""),
        ("version", "ok", ""),
        ("decisions", "ok", ""),
        ("loop", "ok", "closed: of 15 connections that 3 nodes counted"),
    ] {
        let (found, text) = &found[what];
        assert!(found == state && text.starts_with(says), "{what}: {found} {text}");
    }
    assert_eq!((found.len(), code), (8, Some(3)));

    // Who may not list Nodes hears that, and the rest.
    let reader = reader(&stage.cluster).unwrap();
    wait_for("the rights", || {
        let asked = ask(&stage, &reader, &["check", "--cluster"])?;
        Ok(text(&asked).contains("closed: of 15 connections"))
    })
    .unwrap();
    // Nor may this user make anything, which says that nothing was tried.
    let (found, code) = check(&reader, &["--live"]);
    let (state, why) = &found["nodes"];
    assert!(state == "degraded" && why.contains("403"), "{why}");
    let (state, why) = &found["live pods"];
    assert!(state == "missing" && why.contains("refused to make a Namespace: it answered 403"), "{why}");
    assert!(!found.contains_key("live cleanup"), "what was never made cannot be left");
    assert_eq!((found.len(), code), (9, Some(3)));
}

/// A label of another kind of pool, which both nodes of [`check_live_dials_in_each_pool_names_a_leak_and_leaves_nothing_behind`] have.
const SITE: &str = "example.com/site";

/// With controllers and kubelets: n1 in pool `p1`, n2 in pool `p2`.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn check_live_dials_in_each_pool_names_a_leak_and_leaves_nothing_behind() {
    let site = Site::new().unwrap();
    let cluster = Cluster::with_controllers(&site).unwrap();
    let pools = [("n1", "p1"), ("n2", "p2")];
    let nodes = pools.map(|(name, _)| site.node(name).unwrap());
    let labelled: Vec<(Node, Value)> = nodes
        .iter()
        .zip(pools)
        .map(|(node, (_, pool))| (node.clone(), json!({"apps.openyurt.io/nodepool": pool, SITE: "p2"})))
        .collect();
    let kubelet = Arc::new(Kubelet::start(&cluster, &labelled).unwrap());
    let kubeconfig = cluster.agent_kubeconfig().unwrap();
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let agent = |node: &Node, more: &[&str]| {
        let agent = Agent::follow(&cluster, node, &[&flags[..], more].concat()).unwrap();
        agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date()).unwrap();
        agent
    };
    let _n1 = agent(&nodes[0], &[]);
    let n2 = agent(&nodes[1], &[]);
    for (name, _) in pools {
        pod(&cluster, name, &json!({"running": {}})).unwrap();
    }
    let (of_agents, of_pods) = (nodes.to_vec(), Arc::clone(&kubelet));
    let door = ExecDoor::open(&cluster, &["n1", "n2"], move |called| {
        if called.namespace == "kube-system" {
            return run(&of_agents, called);
        }
        let mut command = of_pods.pod(&called.pod)?.command(program()?);
        command.args(&called.command[1..]).output().context("could not run lb-agent")
    })
    .unwrap();
    let found = check_live(&cluster).unwrap();
    // There is no DNS.
    for (what, state) in
        [("TCP", "ok"), ("UDP", "ok"), ("refusal", "ok"), ("pods", "ok"), ("names", "degraded")]
    {
        let (found, why) = &found[&format!("live {what}")];
        assert_eq!(found, state, "{what}: {why}");
    }
    assert!(door.called().iter().any(|called| called.command[1] == "probe"));

    // To an agent that reads another label both nodes are one pool, so that it leaks.
    n2.end_by(Signal::SIGTERM).unwrap();
    let _n2 = agent(&nodes[1], &["--pool-label", SITE]);
    let found = check_live(&cluster).unwrap();
    let (state, why) = &found["live refusal"];
    assert!(
        state == "missing" && why.starts_with("p2 dialled tcp/") && why.contains("got p1 10 times"),
        "{why}"
    );
    wait_for("nothing is left", || Ok(!is_checked(&cluster)?)).unwrap();

    // Asked to leave it removes what it made.
    let mut command = live(&cluster).unwrap();
    let check = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_for("it has begun", || is_checked(&cluster)).unwrap();
    kill(Pid::from_raw(check.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = check.wait_with_output().unwrap();
    let found = findings(&output).unwrap();
    let (state, why) = &found["live pods"];
    assert!(state == "missing" && why.starts_with("it was stopped") && found.len() == 1, "{found:?}");
    wait_for("nothing is left", || Ok(!is_checked(&cluster)?)).unwrap();
}

/// Whether a namespace of a check is there.
fn is_checked(cluster: &Cluster) -> Result<bool> {
    let all = cluster.api().list("/api/v1/namespaces")?;
    let names = all.iter().filter_map(|of| of["metadata"]["name"].as_str());
    Ok(names.into_iter().any(|name| name.starts_with("edgeloop-check")))
}

/// State and words of each finding about connections.
fn check_live(cluster: &Cluster) -> Result<BTreeMap<String, (String, String)>> {
    findings(&live(cluster)?.output().context("could not run lb-agent")?)
}

fn live(cluster: &Cluster) -> Result<Command> {
    let mut command = cluster.command(program()?);
    command.args(["check", "--live", "-o", "json", "--kubeconfig"]).arg(cluster.kubeconfig());
    Ok(command)
}

fn findings(output: &Output) -> Result<BTreeMap<String, (String, String)>> {
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| text(output))?;
    let word = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let found =
        found.iter().map(|finding| (word(finding, "what"), (word(finding, "state"), word(finding, "found"))));
    Ok(found.filter(|(what, _)| what.starts_with("live ")).collect())
}
