//! A control plane without controllers, a node with a client, and two servers to choose from.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edgeloop_tests::agent::{Agent, element};
use edgeloop_tests::cluster::Cluster;
use edgeloop_tests::{Load, Node, Pod, Site};
use lb_agent::view::status::AgentView;

/// The node `n1` in pool `p1` has the client, and the pods `a` at 10.244.1.1 and `b` at 10.244.1.2 that
/// answer at port 9376. The Service `web` at [`WEB`] has the slice `web-1` with `a` alone.
pub(crate) struct Stage {
    pub(crate) client: Pod,
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
    pub(crate) site: Site,
    _servers: [Pod; 2],
}

pub(crate) const WEB: &str = "10.96.0.11:80";

/// For what takes no more than an agent's usual way.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// For an agent that starts: as long as the harness waits for one.
pub(crate) const STARTED: Duration = Duration::from_secs(60);
/// The promise for a link that died.
pub(crate) const NOTICED: Duration = Duration::from_secs(30);
/// The promise for a link that is back.
pub(crate) const CAUGHT_UP: Duration = Duration::from_secs(2);
/// A server that answers with errors is left alone for 15 s, half of it more by chance, and what it asks for besides; then
/// the attempt takes its time.
pub(crate) const IN_PEACE: Duration = Duration::from_secs(40);

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let servers = [node.pod("a", "10.244.1.1")?, node.pod("b", "10.244.1.2")?];
        for server in &servers {
            server.serve_name(9376)?;
        }
        let client = node.pod("client", "10.244.1.9")?;
        let cluster = Cluster::up(&site)?;
        cluster.apply_lines(
            "node n1 pool=p1
             service web 10.96.0.11:80
             slice web-1 of web 9376 10.244.1.1@n1",
        )?;
        Ok(Self { client, node, cluster, site, _servers: servers })
    }

    /// Starts the node's agent with an agent's rights, and waits until it is ready. `server` is an address
    /// to dial instead of the API server's own.
    pub(crate) fn follow(&self, server: Option<&str>) -> Result<Agent> {
        self.follow_with(&self.cluster.agent_kubeconfig()?, server)
    }

    /// The same with this kubeconfig.
    pub(crate) fn follow_with(&self, kubeconfig: &Path, server: Option<&str>) -> Result<Agent> {
        let mut flags = vec!["--kubeconfig", kubeconfig.to_str().context("not a path")?];
        flags.extend(server.into_iter().flat_map(|server| ["--api-server", server]));
        let agent = Agent::follow(&self.cluster, &self.node, &flags)?;
        agent.wait_until("the agent is ready", |view| view.ready && view.is_up_to_date())?;
        Ok(agent)
    }

    /// Dials the Service `web` all the time.
    pub(crate) fn load(&self) -> Result<Load> {
        self.client.dial_continuously(WEB, 200, 2)
    }

    /// Applies lines and waits until the kernel holds this for an address.
    pub(crate) fn change(&self, lines: &str, address: &str, holds: &str) -> Result<()> {
        self.cluster.apply_lines(lines)?;
        within(SOON, lines, || Ok(self.holds(address)? == holds)).map(drop)
    }

    /// What the kernel holds for an address: its backends, `refused`, or `untouched`.
    pub(crate) fn holds(&self, address: &str) -> Result<String> {
        Ok(match element(&self.node, address)? {
            None => "untouched".to_owned(),
            Some(element) if element.backends.is_empty() => "refused".to_owned(),
            Some(element) => element.backends.join(" "),
        })
    }
}

/// Every connection was answered, and there were enough of them.
pub(crate) fn assert_all_answered(load: Load) -> Result<()> {
    let report = load.stop()?;
    assert_eq!(report.failed, []);
    assert!(report.dialled() > 100, "{}", report.dialled());
    Ok(())
}

/// Polls until it is so, and says how long that took.
pub(crate) fn within(
    limit: Duration,
    what: &str,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < limit, "it was not to be within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(start.elapsed())
}

/// The states of Services, slices and Nodes, in this order.
pub(crate) fn states(view: &AgentView) -> [&str; 3] {
    ["Service", "EndpointSlice", "Node"].map(|kind| of(view, kind).map_or("", |of| of.state.as_str()))
}

/// Since when Services are in their state, and what last went wrong with them.
pub(crate) fn of_services(view: &AgentView) -> (&str, &str) {
    let services = of(view, "Service");
    services.map_or(("", ""), |of| (of.since.as_str(), of.last_failure.as_deref().unwrap_or_default()))
}

fn of<'a>(view: &'a AgentView, kind: &str) -> Option<&'a lb_agent::view::status::ApiKind> {
    view.api.as_ref()?.kinds.iter().find(|of| of.kind == kind)
}
