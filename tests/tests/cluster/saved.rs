//! A node that boots without an API server: what was saved is served, until there is one.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use edgeloop_tests::agent::{Agent, lb_agent_says, saved_state};
use edgeloop_tests::cluster::{Fault, Front, Proxy};
use lb_agent::view::diagnostic::Reason;
use lb_agent::view::published::WaitsFor;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;

use crate::stage::{CAUGHT_UP, SOON, STARTED, Stage, WEB, assert_all_answered, within};

const GONE: &str = "10.96.0.12:80";
const LATER: &str = "10.96.0.13:80";
/// `default/kubernetes`.
const SERVER: &str = "10.96.0.1:443";

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_node_that_boots_without_an_api_server_serves_what_was_saved_and_moves_over_without_a_gap() {
    let drill = Drill::new().unwrap();
    let Drill { stage, .. } = &drill;
    stage.cluster.apply_lines("service gone 10.96.0.12:80").unwrap();
    drill.save().unwrap();
    drill.boot().unwrap();
    assert!(stage.holds(WEB).is_err(), "nothing is left of the boot before");

    drill.proxy.plant(Fault::Drop);
    let news = "slice web-1 of web 9376 10.244.1.2@n1\nservice later 10.96.0.13:80";
    stage.cluster.apply_lines(news).unwrap();
    stage.cluster.api().delete("/api/v1/namespaces/default/services/gone").unwrap();

    let begun = Instant::now();
    let agent = drill.start().unwrap();
    within(STARTED, "served from what was saved", || Ok(stage.client.dial(WEB, 1)?[0].is_from("a"))).unwrap();
    println!("the first connection was answered {} ms after the start", begun.elapsed().as_millis());
    let held = |address| stage.holds(address).unwrap();
    assert_eq!(
        [WEB, GONE, LATER, SERVER].map(held),
        ["10.244.1.1:9376", "refused", "untouched", "untouched"]
    );
    let view = agent.wait_until("it says so", |view| view.with(Reason::SavedState).next().is_some()).unwrap();
    assert_eq!((view.ready, &*view.waits_for), (false, &[WaitsFor::Source][..]));
    assert_eq!(view.pool.as_deref(), Some("p1"), "the node's own labels were saved, too");
    let said = &view.with(Reason::SavedState).next().unwrap().message;
    assert!(said.contains("the saved state decides, which is ") && said.contains(" s old"), "{said}");

    let load = stage.load().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    drill.proxy.plant(Fault::Pass);
    agent.wait_until("the source decides", is_live).unwrap();
    let expected = ["10.244.1.2:9376", "untouched", "refused"];
    within(CAUGHT_UP, "the source's state is served", || {
        Ok([WEB, GONE, LATER].map(held) == expected && held(SERVER) != "untouched")
    })
    .unwrap();
    assert_all_answered(load).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn maps_that_survived_win_over_what_was_saved_before() {
    let drill = Drill::new().unwrap();
    let Drill { stage, .. } = &drill;
    let agent = drill.save().unwrap();
    stage.change("slice web-1 of web 9376 10.244.1.2@n1", WEB, "10.244.1.2:9376").unwrap();
    agent.end_by(Signal::SIGKILL).unwrap();
    drill.proxy.plant(Fault::Drop);

    let agent = drill.start().unwrap();
    agent.wait_until("it runs", |view| view.waits_for.contains(&WaitsFor::Source)).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.holds(WEB).unwrap(), "10.244.1.2:9376");
    assert_eq!(agent.view().unwrap().with(Reason::SavedState).count(), 0);
    agent.end_by(Signal::SIGKILL).unwrap();

    drill.boot().unwrap();
    let _agent = drill.start().unwrap();
    let holds = || stage.holds(WEB).unwrap_or_default();
    within(STARTED, "the older state", || Ok(holds() == "10.244.1.1:9376")).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn a_file_that_is_half_or_of_another_node_is_kept_aside_and_saved_anew() {
    let drill = Drill::new().unwrap();
    let Drill { stage, .. } = &drill;
    let file = saved_state(&stage.node);
    let aside = file.with_extension("gz.refused");
    drill.save().unwrap();
    let whole = fs::read(&file).unwrap();
    let other = stage.site.node("n2").unwrap();
    let of_other = || -> Result<Vec<u8>> {
        let kubeconfig = stage.cluster.agent_kubeconfig()?;
        let server = drill.proxy.address();
        let flags = ["--kubeconfig", kubeconfig.to_str().context("not a path")?, "--api-server", &server];
        let agent = Agent::follow(&stage.cluster, &other, &flags)?;
        within(STARTED, "it is saved", || Ok(saved_state(&other).exists()))?;
        agent.end_by(Signal::SIGTERM)?;
        Ok(fs::read(saved_state(&other))?)
    };
    for (bytes, why) in [
        (whole[..whole.len() / 2].to_vec(), "it is cut off or damaged"),
        (Vec::new(), "it is cut off or damaged"),
        (of_other().unwrap(), "it is the state of Node n2, and this is n1"),
    ] {
        drill.boot().unwrap();
        drill.proxy.plant(Fault::Drop);
        fs::write(&file, &bytes).unwrap();
        let agent = drill.start().unwrap();
        let is_aside = || fs::read(&aside).is_ok_and(|found| found == bytes);
        within(STARTED, why, || Ok(agent.log().contains(why) && is_aside()))
            .unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
        assert!(stage.holds(WEB).is_err(), "nothing of it was used");

        drill.proxy.plant(Fault::Pass);
        within(SOON, "it is saved anew", || Ok(file.exists())).unwrap();
        assert!(fs::read(&file).unwrap().len() > whole.len() / 2);
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn where_nothing_can_be_saved_it_is_said_and_all_else_goes_on() {
    let stage = Stage::new().unwrap();
    let kubeconfig = stage.cluster.agent_kubeconfig().unwrap();
    let flags = |file| ["--kubeconfig", kubeconfig.to_str().unwrap(), "--saved-state", file];
    let agent = Agent::follow(&stage.cluster, &stage.node, &flags("/proc/edgeloop/state.gz")).unwrap();
    let has = |view: &AgentView| view.ready && view.with(Reason::SavedState).count() == 1;
    let view = agent.wait_until("it is ready, and says so", has).unwrap();
    let said = &view.with(Reason::SavedState).next().unwrap().message;
    assert!(said.starts_with("the state cannot be saved in /proc/edgeloop/state.gz"), "{said}");
    assert!(said.ends_with("give --saved-state another file, or off"), "{said}");
    stage.change("slice web-1 of web 9376 10.244.1.2@n1", WEB, "10.244.1.2:9376").unwrap();
    agent.end_by(Signal::SIGTERM).unwrap();

    let agent = Agent::follow(&stage.cluster, &stage.node, &flags("off")).unwrap();
    let view = agent.wait_until("it is ready", |view| view.ready && view.is_up_to_date()).unwrap();
    assert_eq!(view.with(Reason::SavedState).count(), 0);
}

fn is_live(view: &AgentView) -> bool {
    view.ready && view.with(Reason::SavedState).next().is_none()
}

/// A stage whose agent reaches the API server by way of a proxy that can drop everything.
struct Drill {
    proxy: Proxy,
    stage: Stage,
}

impl Drill {
    fn new() -> Result<Self> {
        let stage = Stage::new()?;
        let proxy = Proxy::start(&stage.cluster, Front::Raw)?;
        Ok(Self { proxy, stage })
    }

    /// Runs an agent until its state is saved.
    fn save(&self) -> Result<Agent> {
        let agent = self.stage.follow(Some(&self.proxy.address()))?;
        within(SOON, "the state is saved", || Ok(saved_state(&self.stage.node).exists()))?;
        Ok(agent)
    }

    /// Takes away what a reboot takes away: all pins.
    fn boot(&self) -> Result<()> {
        let output = lb_agent_says(&self.stage.node, "cleanup", &["--stop"])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts an agent, and waits for nothing.
    fn start(&self) -> Result<Agent> {
        let kubeconfig = self.stage.cluster.agent_kubeconfig()?;
        let server = self.proxy.address();
        let flags = ["--kubeconfig", kubeconfig.to_str().context("not a path")?, "--api-server", &server];
        Agent::follow(&self.stage.cluster, &self.stage.node, &flags)
    }
}
