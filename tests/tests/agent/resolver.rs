//! The agent's own resolver, where this machine's is a cluster IP that the maps lead astray.

use std::fs;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, in_kernel, program};
use nix::sys::signal::Signal;

use super::dns;

const DNS: &str = "10.96.0.10";

/// The maps are of another time: the pod that they name for DNS is gone. At the cluster IP itself there is a server.
#[test]
#[ignore = "needs root"]
fn an_agent_finds_its_api_server_by_name_though_its_maps_know_no_dns_server_that_lives() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    pair.client.add_addresses(&[DNS.parse().unwrap()]).unwrap();
    let server = dns::serve_at(&pair.client, DNS, 53, &[&pair.web.address().to_string()]);
    pair.folder
        .put("dns.yaml", "service dns 10.96.0.10:53/udp\nslice dns-1 of dns 5353/udp 10.244.1.99@n3")
        .unwrap();
    let before = pair.agent(&[]).unwrap();
    assert_eq!(pair.holds("10.96.0.10:53").unwrap(), "10.244.1.99:5353");
    before.end_by(Signal::SIGTERM).unwrap();

    // What answers there is no API server, and is asked all the same.
    let resolv = node.file("resolv.conf");
    fs::write(&resolv, format!("nameserver {DNS}\noptions timeout:1 attempts:1\n")).unwrap();
    let mut command = pair.client.command("unshare");
    let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(resolv).arg(program().unwrap());
    let flags = ["--api-server", "http://web.example:9376"];
    let agent = Agent::from_program(node, &mut command, &flags).unwrap();
    let view = agent
        .wait_until("it has reached what answers by that name", |view| {
            let kinds = view.api.iter().flat_map(|api| &api.kinds);
            kinds.filter_map(|kind| kind.last_failure.as_ref()).any(|failure| failure.contains("text/plain"))
        })
        .unwrap();
    drop(server);
    assert!(!view.ready);
    let outcomes = in_kernel(node).unwrap().outcomes;
    let let_pass = outcomes.iter().find(|outcome| outcome.outcome == "agent_socket").unwrap();
    assert!(let_pass.times >= 2, "{outcomes:?}");
    assert_eq!(pair.holds("10.96.0.10:53").unwrap(), "10.244.1.99:5353", "the maps are as they were");
}
