//! Topologies by flag: what decides, and what people see.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::process::Output;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, lb_agent_says, program, wait_for};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::topologies::ByFlag;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HARD: &str = "--topology=default/web=openyurt.io/nodepool";
const LIST: &str = "--topology=default/web=kubernetes.io/hostname, openyurt.io/nodepool, *";

#[test]
#[ignore = "needs root"]
fn a_topology_by_flag_decides_without_an_annotation_and_survives_a_restart() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[HARD, "--topology=default/none=*"]).unwrap();
    // `web` has its endpoint in another pool.
    assert_eq!(pair.holds(Pair::SERVICE).unwrap(), "refused");
    let shown = agent.view().unwrap().topologies;
    let shown: Vec<_> = shown.iter().map(|given| (&*given.service, &*given.keys, given.effect)).collect();
    assert_eq!(
        shown,
        [("default/none", "*", ByFlag::NoSuchService), ("default/web", "openyurt.io/nodepool", ByFlag::Used),]
    );
    let text = said(&lb_agent_says_to(&pair, &[]));
    assert!(text.contains("topology   default/web: openyurt.io/nodepool (by flag)\n"), "{text}");
    let none = "topology   default/none: * (by flag, without effect: there is no such Service)\n";
    assert!(text.contains(none), "{text}");
    let row = text.lines().find(|line| line.contains("10.96.0.11:80/TCP")).unwrap();
    assert!(row.contains("by flag"), "{row}");

    agent.end_by(Signal::SIGKILL).unwrap();
    assert_eq!(pair.holds(Pair::SERVICE).unwrap(), "refused");
    let agent = pair.agent(&[LIST]).unwrap();
    assert!(pair.is_served().unwrap(), "another flag decides at once");

    pair.folder.put("own.yaml", "service web 10.96.0.11:80 topology=kubernetes.io/hostname").unwrap();
    pair.folder.put("web.yaml", "slice web-1 of web 9376 10.244.1.3@n3").unwrap();
    wait_for("its own annotation goes first", || Ok(pair.holds(Pair::SERVICE)? == "refused")).unwrap();
    agent.wait_until("and it is said", |view| view.topologies[0].effect == ByFlag::Annotated).unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_strict_topology_of_dns_without_an_endpoint_near_is_warned_of() {
    let pair = Pair::new().unwrap();
    pair.folder.put("dns.yaml", "service dns 10.96.0.10:53\nslice dns-1 of dns 9376 10.244.1.3@n3").unwrap();
    let agent = pair.agent(&["--topology=default/dns=openyurt.io/nodepool"]).unwrap();
    let is_named = |view: &lb_agent::view::status::AgentView| view.with(Reason::DnsOutOfReach).count() == 1;
    let view = agent.wait_until("it is named", is_named).unwrap();
    let message = &view.with(Reason::DnsOutOfReach).next().unwrap().message;
    assert!(message.contains("a pool without DNS resolves no names"), "{message}");
    assert!(agent.log().contains("resolves no names"), "{}", agent.log());
    agent.end_by(Signal::SIGTERM).unwrap();

    let agent: Agent =
        pair.agent(&["--topology=default/dns=kubernetes.io/hostname, openyurt.io/nodepool, *"]).unwrap();
    assert_eq!(agent.view().unwrap().with(Reason::DnsOutOfReach).count(), 0);
}

#[test]
#[ignore = "needs root"]
fn a_plan_has_the_topology_by_flag_beside_the_one_as_written() {
    let pair = Pair::new().unwrap();
    pair.folder.put("own.yaml", "service own 10.96.0.12:80 topology=*").unwrap();
    pair.folder.put("dns.yaml", "service dns 10.96.0.10:53\nslice dns-1 of dns 9376 10.244.1.3@n3").unwrap();
    let flags = [
        HARD,
        "--topology=default/own=openyurt.io/nodepool",
        "--topology=default/none=*",
        "--topology=default/dns=kubernetes.io/hostname",
    ];
    let text = said(&plan(&pair, &flags));
    for part in [
        "openyurt.io/nodepool (by flag)",
        "--topology default/none=*: there is no such Service",
        "--topology default/own=openyurt.io/nodepool: the Service has an annotation of its own, which goes first",
        "default/dns:53 TCP 10.96.0.10:53: all endpoints of this DNS Service are where",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&said(&plan(&pair, &[&flags[..], &["-o", "json"]].concat()))).unwrap();
    let of = |name: &str| {
        let ports = json["servicePorts"].as_array().unwrap();
        let port = ports.iter().find(|port| port["service"] == name).unwrap();
        (port["topology"].clone(), port["topologyByFlag"].clone(), port["outcome"].clone())
    };
    assert_eq!(of("web"), (Value::Null, json!("openyurt.io/nodepool"), json!("refuse")));
    assert_eq!(of("own"), (json!("*"), Value::Null, json!("refuse")));

    let wrong = plan(&pair, &["--topology=default/web=nodepool"]);
    assert!(!wrong.status.success());
    let why = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        why.contains("--topology \"default/web=nodepool\" is not understood: \"nodepool\" (item 1)"),
        "{why}"
    );
}

fn lb_agent_says_to(pair: &Pair, flags: &[&str]) -> Output {
    let socket = pair.client.node().file("agent.sock").display().to_string();
    lb_agent_says(pair.client.node(), "status", &[&["--socket", &socket][..], flags].concat()).unwrap()
}

fn plan(pair: &Pair, flags: &[&str]) -> Output {
    let mut command = pair.client.node().command(program().unwrap());
    command.args(["plan", "--node=n1", "--manifests"]).arg(pair.folder.path()).args(flags);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
