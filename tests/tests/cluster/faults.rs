//! Bad links and API servers in trouble: the kernel goes on with what it holds, and status says so.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, in_kernel};
use edgeloop_tests::cluster::{Cluster, Fault, Front, Part, Proxy, Uplink, Upstream};
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

use crate::stage::{
    CAUGHT_UP, IN_PEACE, NOTICED, Stage, WEB, assert_all_answered, of_services, states, within,
};

/// A Service that is made while the agent cannot hear of it.
const LATER: &str = "service later 10.96.0.12:80\nslice later-1 of later 9376 10.244.1.2@n1";
const BEHIND: [&str; 3] = ["behind"; 3];
/// Connections of an agent that a proxy cuts at most when a fault is planted: one for each kind.
const MOST_CUT: u64 = 5;

/// What stands in between is alive and acknowledges every packet, so that only silence shows it.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_link_that_falls_silent_is_noticed_within_30_s_and_caught_up_with_within_2() {
    let stage = Stage::new().unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Raw).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    assert!(proxy.report().bytes > 0, "the agent goes by way of the proxy");
    let load = stage.load().unwrap();

    proxy.plant(Fault::Freeze);
    stage.cluster.apply_lines(LATER).unwrap();
    assert_is_behind(&agent, "no data for").unwrap();
    assert_eq!(stage.holds("10.96.0.12:80").unwrap(), "untouched", "nothing came through");
    assert!(proxy.report().planted >= 3, "{:?}", proxy.report());
    assert_eq!(proxy.report().bytes, 0);

    proxy.plant(Fault::Pass);
    assert_is_caught_up(&stage, &agent).unwrap();
    assert_all_answered(load).unwrap();
}

/// The real thing: no packet passes, not even to say that the other side is gone.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_cable_that_is_pulled_is_noticed_within_30_s_and_caught_up_with_within_2() {
    let stage = Stage::new().unwrap();
    let uplink = Uplink::new(&stage.cluster).unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Raw).unwrap();
    let kubeconfig = stage.cluster.agent_kubeconfig().unwrap();
    let server = proxy.address_at(uplink.host());
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--api-server", &server];
    let agent = Agent::follow_over(&uplink, &stage.node, &flags).unwrap();
    agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date()).unwrap();
    let load = stage.load().unwrap();

    uplink.cut().unwrap();
    stage.cluster.apply_lines(LATER).unwrap();
    assert_is_behind(&agent, "").unwrap();
    assert_eq!(stage.holds("10.96.0.12:80").unwrap(), "untouched");
    // New attempts have been made, and wait for an answer.
    sleep(Duration::from_secs(5));

    uplink.restore().unwrap();
    assert_is_caught_up(&stage, &agent).unwrap();
    assert_all_answered(load).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn whatever_an_api_server_in_trouble_says_the_last_good_state_holds() {
    let stage = Stage::new().unwrap();
    let proxy = Proxy::start(&stage.cluster, Front::Http).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    let load = stage.load().unwrap();
    let answer = |code, retry_after| Fault::Answer { code, retry_after };
    for (number, (fault, says)) in (20..).zip([
        (answer(429, Some(1)), "answered 429: planted"),
        (answer(500, None), "answered 500: planted"),
        (answer(503, Some(1)), "answered 503: planted"),
        (answer(410, None), "answered 410: planted"),
        (Fault::HalfBody(20), "broke off in the middle of a response"),
        (Fault::Garbage, "sent something that is not understood"),
        (Fault::Drop, "cannot be reached"),
    ]) {
        let made = format!("10.96.0.{number}:80");
        proxy.plant(fault.clone());
        let lines = format!("service s{number} {made}\nslice s{number}-1 of s{number} 9376 10.244.1.2");
        stage.cluster.apply_lines(&lines).unwrap();
        // A response that breaks off takes something to be sent: nothing is said of nodes, whose watch soon lasts. The
        // words are the same where a connection is cut, so that one more is waited for.
        let is_half = matches!(fault, Fault::HalfBody(_));
        let (kinds, least) = if is_half { (2, MOST_CUT + 1) } else { (3, 1) };
        within(IN_PEACE, says, || {
            let is_behind = |view: &AgentView| {
                states(view)[..kinds] == BEHIND[..kinds]
                    && of_services(view).1.starts_with(says)
                    && !(view.ready && view.is_up_to_date())
            };
            Ok(proxy.report().planted >= least && agent.view().is_ok_and(|view| is_behind(&view)))
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}\n{:?}", agent.view(), proxy.report()));
        assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.1:9376", "{says}");
        assert_eq!(stage.holds(&made).unwrap(), "untouched", "{says}");

        proxy.plant(Fault::Pass);
        // One trouble after another: waits grow until a watch has lasted.
        within(IN_PEACE, says, || Ok(stage.holds(&made)? == "10.244.1.2:9376")).unwrap();
        agent.wait_until(says, |view| view.is_up_to_date()).unwrap();
    }
    assert_all_answered(load).unwrap();
}

/// Its versions have nothing to do with those that the agent knows, and are smaller.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn another_api_server_counts_once_it_has_sent_everything_it_has() {
    let stage = Stage::new().unwrap();
    let other = Cluster::up(&stage.site).unwrap();
    // What both have is served throughout; `only` is of the first alone, and `more` of the other.
    other
        .apply_lines(
            "node n1 pool=p1
             service web 10.96.0.11:80
             slice web-1 of web 9376 10.244.1.2@n1
             service more 10.96.0.14:80
             slice more-1 of more 9376 10.244.1.2@n1",
        )
        .unwrap();
    other.agent_kubeconfig().unwrap();
    let token = other.account_token("kube-system", "edgeloop-agent").unwrap();
    for pool in 0..300 {
        stage.cluster.apply_lines(&format!("node n2 pool=p{pool}")).unwrap();
    }
    stage.cluster.apply_lines("service only 10.96.0.13:80\nslice only-1 of only 9376 10.244.1.1").unwrap();
    assert!(newest(&stage.cluster).unwrap() > newest(&other).unwrap() + 100, "the other's are smaller");
    let proxy = Proxy::start(&stage.cluster, Front::Http).unwrap();
    let agent = stage.follow(Some(&proxy.address())).unwrap();
    assert_eq!(stage.holds("10.96.0.13:80").unwrap(), "10.244.1.1:9376");
    let load = stage.load().unwrap();

    proxy.plant(Fault::Other(Upstream::with_token(&other, &token).unwrap()));
    within(NOTICED, "what the other has counts", || {
        Ok(stage.holds("10.96.0.14:80")? == "10.244.1.2:9376" && stage.holds("10.96.0.13:80")? == "untouched")
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}\n{:?}\n{}", agent.view(), proxy.report(), agent.log()));
    assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.2:9376");
    assert!(proxy.report().planted >= 3, "{:?}", proxy.report());
    let view = agent.wait_until("in sync with the other", |view| view.is_up_to_date()).unwrap();
    assert!(of_services(&view).1.starts_with("answered 504"), "it was asked, and did not know: {view:#?}");
    assert_all_answered(load).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_api_server_that_is_killed_and_comes_back_costs_no_connection() {
    let mut stage = Stage::new().unwrap();
    let agent = stage.follow(None).unwrap();
    let load = stage.load().unwrap();

    for round in 30..33 {
        stage.cluster.kill(Part::ApiServer).unwrap();
        agent.wait_until("it says so", |view| states(view) == BEHIND).unwrap();
        stage.cluster.start(Part::ApiServer).unwrap();
        stage.cluster.wait_until_ready().unwrap();
        assert_change_arrives(&stage, round).unwrap();
        agent.wait_until("in sync", |view| view.is_up_to_date()).unwrap();
    }
    stage.cluster.kill(Part::Etcd).unwrap();
    sleep(Duration::from_secs(1));
    stage.cluster.start(Part::Etcd).unwrap();
    stage.cluster.wait_until_ready().unwrap();
    assert_change_arrives(&stage, 40).unwrap();
    assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.1:9376");
    assert_all_answered(load).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_api_server_that_stands_still_is_noticed_and_caught_up_with() {
    let mut stage = Stage::new().unwrap();
    let agent = stage.follow(None).unwrap();
    let load = stage.load().unwrap();

    stage.cluster.signal(Part::ApiServer, Signal::SIGSTOP).unwrap();
    assert_is_behind(&agent, "no data for").unwrap();
    stage.cluster.signal(Part::ApiServer, Signal::SIGCONT).unwrap();
    stage.cluster.wait_until_ready().unwrap();
    assert_change_arrives(&stage, 50).unwrap();
    agent.wait_until("in sync", |view| view.is_up_to_date()).unwrap();
    assert_all_answered(load).unwrap();
}

/// Unknown is not empty: what the agent before it left in the kernel goes on.
#[test]
#[ignore = "needs root and the programs of a control plane"]
fn an_agent_that_starts_without_an_api_server_leaves_the_kernel_as_it_is() {
    let mut stage = Stage::new().unwrap();
    let kubeconfig = stage.cluster.agent_kubeconfig().unwrap();
    let agent = stage.follow_with(&kubeconfig, None).unwrap();
    let load = stage.load().unwrap();
    let before = in_kernel(&stage.node).unwrap().services;
    stage.cluster.kill(Part::ApiServer).unwrap();
    agent.end_by(Signal::SIGKILL).unwrap();

    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let agent = Agent::follow(&stage.cluster, &stage.node, &flags).unwrap();
    let unreachable = |view: &AgentView| of_services(view).1.starts_with("cannot be reached");
    let view = agent.wait_until("it says so", unreachable).unwrap();
    assert_eq!((states(&view), view.ready), (["starting"; 3], false));
    sleep(Duration::from_secs(2));
    assert_eq!(in_kernel(&stage.node).unwrap().services, before);

    stage.cluster.start(Part::ApiServer).unwrap();
    stage.cluster.wait_until_ready().unwrap();
    assert_change_arrives(&stage, 60).unwrap();
    agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date()).unwrap();
    assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.1:9376");
    assert_all_answered(load).unwrap();
}

/// The agent says within the time that is promised that it is behind, since when, and why.
fn assert_is_behind(agent: &Agent, says: &str) -> Result<()> {
    let before = of_services(&agent.view()?).0.to_owned();
    within(NOTICED, "status says that it is behind", || Ok(states(&agent.view()?) == BEHIND))?;
    let view = agent.view()?;
    let (since, why) = of_services(&view);
    assert!(since > before.as_str(), "{view:#?}");
    assert!(!why.is_empty() && why.starts_with(says), "{why}");
    assert!(!view.is_up_to_date(), "{view:#?}");
    // The time is that of the beginning, however often it was tried again.
    sleep(Duration::from_secs(2));
    assert_eq!(of_services(&agent.view()?).0, since);
    Ok(())
}

/// The Service that was made while the link was dead is in the kernel, and all is well.
fn assert_is_caught_up(stage: &Stage, agent: &Agent) -> Result<()> {
    let is_there = || Ok(stage.holds("10.96.0.12:80")? == "10.244.1.2:9376");
    within(CAUGHT_UP, "what was made meanwhile is in the kernel", is_there).with_context(|| agent.log())?;
    agent.wait_until("in sync", |view| view.is_up_to_date())?;
    assert_eq!(stage.holds(WEB)?, "10.244.1.1:9376");
    Ok(())
}

/// A Service that is made now is in the kernel once a server that responded with errors, as one does that starts, was left
/// in peace: the 2 s are promised for a link.
fn assert_change_arrives(stage: &Stage, number: u8) -> Result<()> {
    let made = format!("10.96.0.{number}:80");
    let lines = format!("service s{number} {made}\nslice s{number}-1 of s{number} 9376 10.244.1.2");
    stage.cluster.apply_lines(&lines)?;
    within(IN_PEACE, &lines, || Ok(stage.holds(&made)? == "10.244.1.2:9376"))?;
    Ok(())
}

/// The version that the API server has come to.
fn newest(cluster: &Cluster) -> Result<u64> {
    let list = cluster.api().get("/api/v1/nodes?limit=1")?;
    let version = list.pointer("/metadata/resourceVersion").and_then(serde_json::Value::as_str);
    Ok(version.unwrap_or_default().parse()?)
}
