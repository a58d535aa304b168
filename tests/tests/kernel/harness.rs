//! The harness itself: pods reach each other and nothing else, and nothing is left behind.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::{Child, HostNetwork, Pod, Site, Tally, alone, checkout, leftovers, now, tally};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root"]
fn a_pod_reaches_another_by_address() {
    let site = Site::new().unwrap();
    let web = site.node("n1").unwrap().pod("web", "10.244.1.2").unwrap();
    let client = site.node("n2").unwrap().pod("client", "10.244.2.2").unwrap();
    let at = web.serve_name(9376).unwrap();

    let answers = client.dial("10.244.1.2:9376", 20).unwrap();

    assert_eq!(tally(&answers), counts(&[("web", 20)]));
    assert!(answers.iter().all(|answer| answer.peer == Some(at)), "{answers:?}");
}

/// As on a real node: what pods send to each other passes rules of the node.
#[test]
#[ignore = "needs root"]
fn a_host_network_routes_for_its_pods_and_leads_nowhere_else() {
    let site = Site::new().unwrap();
    let host = HostNetwork::new(&site.node("n1").unwrap()).unwrap();
    let web = host.pod("web", [10, 244, 1, 2].into()).unwrap();
    let client = host.pod("client", [10, 244, 1, 3].into()).unwrap();
    web.serve_name(80).unwrap();

    assert_eq!(tally(&client.dial("10.244.1.2:80", 3).unwrap()), counts(&[("web", 3)]));
    // Once: the node says so of one packet a second.
    assert_eq!(tally(&client.dial("10.96.0.11:80", 1).unwrap()), counts(&[("ENETUNREACH", 1)]));

    let rule = "add table ip t; add chain ip t c { type filter hook forward priority 0; }; \
                add rule ip t c tcp dport 80 reject with tcp reset";
    assert!(host.command("nft").arg(rule).status().unwrap().success());
    assert_eq!(tally(&client.dial("10.244.1.2:80", 3).unwrap()), counts(&[("ECONNREFUSED", 3)]));
}

#[test]
#[ignore = "needs root"]
fn a_cluster_address_that_is_not_rewritten_goes_nowhere() {
    let site = Site::new().unwrap();
    let client = site.node("n1").unwrap().pod("client", "10.244.1.2").unwrap();

    let answers = client.dial("10.96.0.11:80", 3).unwrap();

    assert_eq!(tally(&answers), counts(&[("ENETUNREACH", 3)]));
}

#[test]
#[ignore = "needs root"]
fn a_port_without_a_server_refuses() {
    let (_site, web, client) = web_and_client().unwrap();
    web.serve_name(80).unwrap();
    assert!(client.dial("10.244.1.2:80", 1).unwrap()[0].is_from("web"));

    web.stop_serving();

    assert!(client.dial("10.244.1.2:80", 1).unwrap()[0].failed_with("ECONNREFUSED"));
}

/// What is dialled and not rewritten then shows, because somebody answers.
#[test]
#[ignore = "needs root"]
fn a_decoy_answers_on_the_cluster_address() {
    let site = Site::new().unwrap();
    let client = site.node("n1").unwrap().pod("client", "10.244.1.2").unwrap();
    let cluster: SocketAddr = "10.96.0.11:80".parse().unwrap();
    client.add_addresses(&[cluster.ip()]).unwrap();
    client.serve(cluster, "decoy").unwrap();

    let answers = client.dial("10.96.0.11:80", 3).unwrap();

    assert_eq!(tally(&answers), counts(&[("decoy", 3)]));
}

#[test]
#[ignore = "needs root"]
fn pods_reach_each_other_over_ipv6() {
    let site = Site::new().unwrap();
    let node = site.node("n1").unwrap();
    let web = node.pod("web", "fd00:244::2").unwrap();
    let client = node.pod("client", "fd00:244::3").unwrap();
    web.serve_name(80).unwrap();

    let answers = client.dial("[fd00:244::2]:80", 3).unwrap();

    assert_eq!(tally(&answers), counts(&[("web", 3)]));
}

#[test]
#[ignore = "needs root"]
fn a_pod_answers_ordinary_http_clients_and_silent_ones() {
    let (_site, web, client) = web_and_client().unwrap();
    web.serve_name(80).unwrap();

    let script = "exec 3<>/dev/tcp/10.244.1.2/80; cat <&3"; // sends nothing
    let silent = client.command("bash").args(["-c", script]).output().unwrap();
    let polite =
        "exec 3<>/dev/tcp/10.244.1.2/80; printf 'GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n' >&3; cat <&3";
    let polite = client.command("bash").args(["-c", polite]).output().unwrap();

    for output in [silent, polite] {
        let text = String::from_utf8(output.stdout).unwrap();
        let said = (output.status, String::from_utf8_lossy(&output.stderr));
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nweb\n"),
            "{text:?} {said:?}"
        );
    }
}

/// Programs that look at sockets attach to the node's cgroup.
#[test]
#[ignore = "needs root"]
fn what_runs_in_a_pod_is_in_its_nodes_cgroup() {
    let (_site, web, client) = web_and_client().unwrap();
    web.serve_name(80).unwrap();

    let output = client.command("cat").arg("/proc/self/cgroup").output().unwrap();

    let groups = String::from_utf8(output.stdout).unwrap();
    let own = client.node().cgroup().file_name().unwrap().to_str().unwrap();
    assert!(
        groups.lines().any(|line| line.starts_with("0::") && line.ends_with(&format!("/{own}"))),
        "{groups}"
    );
    let server = std::fs::read_to_string(web.node().cgroup().join("cgroup.procs")).unwrap();
    assert_eq!(server.lines().count(), 1, "the server");
}

#[test]
#[ignore = "needs root"]
fn a_load_keeps_its_rate_and_accounts_for_every_connection() {
    let _alone = alone();
    let (_site, web, client) = web_and_client().unwrap();
    web.serve_name(80).unwrap();

    let load = client.dial_continuously("10.244.1.2:80", 500, 4).unwrap();
    thread::sleep(Duration::from_secs(1));
    let before = load.snapshot();
    assert!(before.answered.contains_key("web"), "{before:?}");
    assert!(before.failed.is_empty(), "{before:?}");
    let stopped = now();
    web.stop_serving();
    thread::sleep(Duration::from_millis(300));
    let report = load.stop().unwrap();

    // A connection that is being answered when its server is killed is reset.
    let expected = |errno: &str| ["ECONNREFUSED", "ECONNRESET", "ENODATA"].contains(&errno);
    assert!(report.failed.iter().all(|failure| expected(&failure.errno)), "{:?}", report.failed);
    assert!(report.failed.iter().any(|failure| failure.began > stopped), "{:?}", report.failed);
    assert!((500..=800).contains(&report.dialled()), "{}", report.dialled());
}

#[test]
#[ignore = "needs root"]
fn a_watch_tells_when_something_shows_first() {
    let (_site, web, client) = web_and_client().unwrap();
    let mut watch = client.watch("10.244.1.2:80").unwrap();

    let started = now();
    web.serve_name(80).unwrap();
    let first = watch.first_since(started, |answer| answer.is_from("web"), SOON).unwrap();
    web.stop_serving();
    client.wait_until("10.244.1.2:80", |answer| answer.failed_with("ECONNREFUSED"), SOON).unwrap();
    let never = watch.first_since(now(), |answer| answer.is_from("web"), Duration::from_millis(100));

    assert!(first.ended() > started && first.ended() < now());
    assert_eq!(
        never.unwrap_err().to_string(),
        "no answer was as wanted within 100ms; the last was ECONNREFUSED"
    );
}

/// 64 servers in one process, two clients side by side; more connections than there are ports.
#[test]
#[ignore = "needs root"]
fn a_hammer_counts_every_connection() {
    let (_site, web, client) = web_and_client().unwrap();
    let at = |id: u32| SocketAddr::new(IpAddr::from([10, 244, 9, u8::try_from(id).unwrap()]), 80);
    let servers: Vec<_> = (1..=64).map(|id| (at(id), id)).collect();
    web.add_addresses(&servers.iter().map(|(at, _)| at.ip()).collect::<Vec<_>>()).unwrap();
    web.serve_ids(&servers).unwrap();

    let hammers =
        [client.hammer("10.244.9.7:80", 40_000).unwrap(), client.hammer("10.244.9.64:80", 40_000).unwrap()];
    let results = hammers.map(|hammer| hammer.finish_with_log(Duration::from_secs(60)).unwrap());

    for ((report, log), id) in results.into_iter().zip([7, 64]) {
        println!("{:.0} connections a second", 40_000.0 / report.took.as_secs_f64());
        assert_eq!(report.answered, [(id, 40_000)].into());
        assert_eq!(report.failed, Tally::new());
        assert_eq!(log.len(), 40_000);
        assert!(log.iter().all(|one| one.id == id && one.errno == 0 && one.began < one.ended));
        assert!(log.windows(2).all(|two| two[0].ended <= two[1].began));
    }
}

#[test]
#[ignore = "needs root"]
fn a_hammer_names_what_failed() {
    let (_site, _web, client) = web_and_client().unwrap();

    let report = client.hammer("10.244.1.2:80", 10).unwrap().finish(SOON).unwrap();

    assert_eq!(report.failed, counts(&[("ECONNREFUSED", 10)]));
}

#[test]
#[ignore = "needs root"]
fn two_sites_with_the_same_addresses_do_not_see_each_other() {
    let (_here, web, client) = web_and_client().unwrap();
    let (_there, other_web, other_client) = web_and_client().unwrap();
    web.serve(SocketAddr::new(web.address(), 80), "here").unwrap();
    other_web.serve(SocketAddr::new(other_web.address(), 80), "there").unwrap();

    assert_eq!(tally(&client.dial("10.244.1.2:80", 5).unwrap()), counts(&[("here", 5)]));
    assert_eq!(tally(&other_client.dial("10.244.1.2:80", 5).unwrap()), counts(&[("there", 5)]));
}

#[test]
#[ignore = "needs root"]
fn nothing_is_left_after_a_drop() {
    let (site, web, client) = web_and_client().unwrap();
    web.serve_name(80).unwrap();
    let agent = Child::spawn("sleep", web.node().command("sleep").arg("1000")).unwrap();
    let load = client.dial_continuously("10.244.1.2:80", 100, 1).unwrap();
    std::fs::create_dir(web.node().pin_root()).unwrap();
    let name = site.name().to_owned();
    let standing = leftovers(&name);
    for kind in ["folder", "cgroup", "mount", "process"] {
        assert!(standing.iter().any(|what| what.starts_with(kind)), "no {kind} among {standing:?}");
    }

    drop((load, agent, client, web, site));

    assert_eq!(leftovers(&name), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn nothing_is_left_after_a_panic() {
    let mut name = String::new();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let (site, web, _client) = web_and_client().unwrap();
        web.serve_name(80).unwrap();
        site.name().clone_into(&mut name);
        panic!("as a failed assertion does");
    }));

    assert!(caught.is_err());
    assert_eq!(leftovers(&name), Vec::<String>::new());
}

/// Processes that somebody forgot to end, and what is in use, go too.
#[test]
#[ignore = "needs root"]
fn a_process_that_was_forgotten_goes_with_its_site() {
    let (site, web, client) = web_and_client().unwrap();
    let script = "trap '' TERM; sleep 1000 & echo ready; wait";
    let mut forgotten =
        web.node().command("bash").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    first_line(forgotten.stdout.take().unwrap()).unwrap();
    let name = site.name().to_owned();

    drop((client, web, site));

    assert_eq!(leftovers(&name), Vec::<String>::new());
    forgotten.wait().unwrap();
}

#[test]
#[ignore = "needs root"]
fn ctrl_c_and_sigterm_leave_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut owner, name) = owner_of_a_site().unwrap();

        owner.signal(signal).unwrap();

        let status = owner.wait(SOON).unwrap().unwrap();
        assert_eq!(leftovers(&name), Vec::<String>::new(), "after {signal}");
        assert!(!status.success(), "it ends by the signal: {status}");
    }
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_run_left_is_swept_by_the_next() {
    let (mut owner, name) = owner_of_a_site().unwrap();
    owner.signal(Signal::SIGKILL).unwrap();
    owner.wait(SOON).unwrap().unwrap();

    let _next = Site::new().unwrap();

    assert_eq!(leftovers(&name), Vec::<String>::new());
}

/// Even before anybody sweeps, no process of a killed run goes on.
#[test]
#[ignore = "needs root"]
fn processes_end_with_the_run_that_started_them() {
    let (mut owner, name) = owner_of_a_site().unwrap();
    assert!(leftovers(&name).iter().any(|what| what.starts_with("process")));

    owner.signal(Signal::SIGKILL).unwrap();

    let give_up = Instant::now() + SOON;
    while leftovers(&name).iter().any(|what| what.starts_with("process")) {
        assert!(Instant::now() < give_up, "{:?}", leftovers(&name));
        thread::sleep(Duration::from_millis(10));
    }
    drop(Site::new().unwrap());
}

fn web_and_client() -> Result<(Site, Pod, Pod)> {
    let site = Site::new()?;
    let web = site.node("n1")?.pod("web", "10.244.1.2")?;
    let client = site.node("n2")?.pod("client", "10.244.2.2")?;
    Ok((site, web, client))
}

/// Another process with a site of its own, and that site's name.
fn owner_of_a_site() -> Result<(Child, String)> {
    let mut process = Command::new(checkout::program("edgeloop-pod")?)
        .arg("site")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = process.stdout.take().context("it has an output")?;
    let owner = Child::from(process);
    let name: String = serde_json::from_str(&first_line(output)?)?;
    ensure!(Path::new("/run").join(&name).exists(), "no site {name}");
    Ok((owner, name))
}

fn first_line(output: ChildStdout) -> Result<String> {
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok(line)
}

fn counts(expected: &[(&str, u64)]) -> Tally {
    expected.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
}
