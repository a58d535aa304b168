//! An agent beside kube-proxy, and one without it.

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{lb_agent, lb_agent_says};
use edgeloop_tests::{Pair, Pod};
use nix::sys::signal::Signal;

const UNKNOWN_PORT: &str = "10.96.0.11:81";
/// Of a Service that is excluded in these tests.
const EXCLUDED: &str = "10.96.0.13:80";

/// Programs and maps go over from one to the other while connections go on.
#[test]
#[ignore = "needs root"]
fn a_change_of_mode_holds_from_the_next_start_on_and_loses_no_connection() {
    let pair = Pair::new().unwrap();
    let mut load = None;
    for (flags, errno, mode) in [
        (&[][..], "ENETUNREACH", "beside"),
        (&["--mode=replace"], "ECONNREFUSED", "replace"),
        (&["--mode=replace", "--tcp-peername"], "ECONNREFUSED", "replace"),
        (&["--mode=beside"], "ENETUNREACH", "beside"),
    ] {
        let agent = pair.agent(flags).unwrap();
        load.get_or_insert_with(|| pair.load().unwrap());
        let answer = pair.dial(UNKNOWN_PORT).unwrap();
        assert!(answer.failed_with(errno), "{flags:?}: {answer:?}");
        assert!(pair.dial("10.96.0.99:80").unwrap().failed_with("ENETUNREACH"), "{flags:?}");
        assert_eq!(agent.view().unwrap().mode, mode);
        agent.end_by(Signal::SIGTERM).unwrap();
        let answer = pair.dial(UNKNOWN_PORT).unwrap();
        assert!(answer.failed_with(errno), "{flags:?}, without an agent: {answer:?}");
    }
    let report = load.unwrap().stop().unwrap();
    assert!(report.failed.is_empty() && report.dialled() > 0, "{:?}", report.failed);
}

/// Live: a Service that goes takes its address with it, and one that is left alone has none.
#[test]
#[ignore = "needs root"]
fn only_an_address_that_is_served_refuses_its_other_ports() {
    let pair = Pair::new().unwrap();
    pair.folder.put("excluded.yaml", "service kept 10.96.0.13:80").unwrap();
    let _agent = pair.agent(&["--mode=replace", "--exclude-service=default/kept"]).unwrap();
    assert!(pair.dial(UNKNOWN_PORT).unwrap().failed_with("ECONNREFUSED"));
    for target in [EXCLUDED, "10.96.0.13:81"] {
        assert!(pair.dial(target).unwrap().failed_with("ENETUNREACH"), "{target}");
    }
    let socket = pair.client.node().file("agent.sock").display().to_string();
    let status = lb_agent_says(pair.client.node(), "status", &["--socket", &socket]).unwrap();
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(text.contains("mode") && text.contains("nothing that comes from elsewhere"), "{text}");

    pair.folder.remove("web.yaml").unwrap();
    let gone = |answer: &edgeloop_tests::Answer| answer.failed_with("ENETUNREACH");
    pair.client.wait_until(UNKNOWN_PORT, gone, std::time::Duration::from_secs(5)).unwrap();
}

/// What pods are given is the cluster IP of `default/kubernetes`.
#[test]
#[ignore = "needs root"]
fn without_kube_proxy_the_agent_asks_for_a_real_address_of_its_api_server() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    for flags in [
        &[][..],
        &["--api-server=https://10.96.0.1:443"],
        &["--api-server=https://kubernetes.default.svc:443"],
    ] {
        let mut run = lb_agent(node, "run").unwrap();
        run.args(["--mode=replace", "--node=n1"]).args(flags);
        run.env("KUBERNETES_SERVICE_HOST", "10.96.0.1").env("KUBERNETES_SERVICE_PORT", "443");
        let output = run.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{flags:?}: {said}");
        assert!(said.contains("--api-server (EDGELOOP_API_SERVER)"), "{flags:?}: {said}");
    }
    let flags = ["--mode=replace", "--api-server=https://kubernetes.default.svc:443", "--output=json"];
    let check = lb_agent_says(node, "check", &flags).unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("does not start") && check.status.code() == Some(3), "{said}");
}

/// Stands in for kube-proxy: a rule as it writes them, with nftables and with iptables, in the client's network.
#[test]
#[ignore = "needs root"]
fn what_is_left_alone_goes_where_the_rules_of_kube_proxy_send_it() {
    let pair = Pair::new().unwrap();
    pair.folder.put("excluded.yaml", "service kept 10.96.0.13:80").unwrap();
    let elsewhere = "10.244.1.3:9377";
    pair.web.serve(elsewhere.parse().unwrap(), "kube-proxy").unwrap();
    run(&pair.client, &["ip", "route", "add", "10.96.0.0/16", "dev", "eth0"]).unwrap();
    let agent = pair.agent(&["--exclude-service=default/kept"]).unwrap();
    for by in ["nft", "iptables"] {
        translate(&pair.client, by, elsewhere).unwrap();
        for target in [EXCLUDED, UNKNOWN_PORT] {
            let answer = pair.dial(target).unwrap();
            assert!(answer.is_from("kube-proxy"), "{by} {target}: {answer:?}");
        }
        assert!(pair.is_served().unwrap(), "{by}: what is served does not pass the rules");
        run(&pair.client, &["nft", "flush", "ruleset"]).unwrap();
    }
    drop(agent);
}

/// Sends the two addresses that Edgeloop leaves alone to `elsewhere`; and the one that it serves nowhere.
fn translate(client: &Pod, by: &str, elsewhere: &str) -> Result<()> {
    let nowhere = "10.244.1.3:1";
    let all =
        [("10.96.0.13", "80", elsewhere), ("10.96.0.11", "81", elsewhere), ("10.96.0.11", "80", nowhere)];
    if by == "iptables" {
        for (address, port, to) in all {
            let rule =
                ["-t", "nat", "-A", "OUTPUT", "-d", address, "-p", "tcp", "--dport", port, "-j", "DNAT"];
            let done = client.command("iptables").args(rule).args(["--to-destination", to]).output()?;
            ensure!(done.status.success(), "no rule by iptables: {}", String::from_utf8_lossy(&done.stderr));
        }
        return Ok(());
    }
    run(client, &["nft", "add table ip nat"])?;
    run(client, &["nft", "add chain ip nat output { type nat hook output priority -100; }"])?;
    for (address, port, to) in all {
        let rule = format!("add rule ip nat output ip daddr {address} tcp dport {port} dnat to {to}");
        run(client, &["nft", &rule])?;
    }
    Ok(())
}

fn run(client: &Pod, words: &[&str]) -> Result<()> {
    let output = client.command(words[0]).args(&words[1..]).output();
    let output = output.with_context(|| format!("could not run {}", words[0]))?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
