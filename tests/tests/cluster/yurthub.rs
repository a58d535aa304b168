//! The agent behind OpenYurt's own proxy of a node.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, program, wait_for};
use edgeloop_tests::cluster::{Cluster, Hub, Kubelet, Part, Yurt};
use edgeloop_tests::{LoadReport, Node, Pod, Site};
use lb_agent::view::published::NodeLabels;
use lb_agent::view::status::AgentView;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The tutorial's two Services: with a topology of pools, and without any.
const POOL: &str = "10.96.0.11:80";
const EVERYWHERE: &str = "10.96.0.12:80";

const SERVICE: &str = "/api/v1/namespaces/default/services/svc-ud1";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=svc-ud1";
const HUB_CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/yurt-hub-cfg";

/// Each node's pool, its hub's and its client's place. The second of hangzhou's has pods alone.
const NODES: [(&str, &str); 3] =
    [("kind-worker", "hangzhou"), ("kind-worker2", "shanghai"), ("edge-node2", "hangzhou")];

/// One of four pods stays out of so many connections by chance once in 10^12.
const DIALS: usize = 100;

/// Of yurthub's answers while it is not ready for them, each asks for a second of patience.
const FIRST_SYNC: Duration = Duration::from_secs(15);

/// From the API server's return to a change that a connection shows: yurthub looks every second, twice, and
/// then fills its caches anew. Where it responded with errors meanwhile, the agent leaves it in peace for up to 22.5 s.
const BACK: Duration = Duration::from_secs(40);

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn behind_yurthub_pods_reach_their_own_pool_alone_whether_it_filters_or_not() {
    let scene = Scene::new(json!({})).unwrap();
    let [worker, worker2] = ["kind-worker", "kind-worker2"].map(|name| scene.place(name).unwrap());
    let hubs = [&worker, &worker2].map(|place| Hub::spawn(&scene.cluster, &place.node, place.pool).unwrap());
    hubs.iter().for_each(|hub| hub.wait_until_ready(&scene.cluster).unwrap());
    scene.wait_for_pods().unwrap();

    let start = Instant::now();
    let mut agents = [0, 1].map(|n| scene.agent([&worker, &worker2][n], &hubs[n]).unwrap());
    for agent in &agents {
        let view = agent.wait_until("the agent is ready", |view| view.ready).unwrap();
        // No client asked for slices before: yurthub begins to gather them.
        let failure = last_failure(&view, "EndpointSlice");
        assert!(failure.contains("answered 429"), "{view:#?}");
    }
    assert!(start.elapsed() < FIRST_SYNC, "{:?}", start.elapsed());
    for (place, hub) in [(&worker, &hubs[0]), (&worker2, &hubs[1])] {
        assert_eq!(scene.told(hub, "edgeloop").unwrap(), scene.told(hub, "edgeloop-tests").unwrap());
        assert_eq!(scene.told(hub, "edgeloop").unwrap().len(), 4);
        let no_token = scene.cluster.ask_as("edgeloop", hub.port(), "/api/v1/nodes").unwrap_err();
        assert!(no_token.to_string().contains("403"), "{no_token:#}");
        scene.reaches_its_own_pool(place).unwrap();
    }

    scene.cluster.api().merge(HUB_CONFIG, &json!({"data": {"servicetopology": "edgeloop"}})).unwrap();
    for (n, place) in [&worker, &worker2].into_iter().enumerate() {
        wait_for("yurthub filters", || Ok(scene.told(&hubs[n], "edgeloop")?.len() == 2)).unwrap();
        assert_eq!(scene.told(&hubs[n], "edgeloop").unwrap(), scene.addresses(place.pool).unwrap());
        let load = place.client.dial_continuously(POOL, 200, 2).unwrap();
        agents[n].signal(Signal::SIGKILL).unwrap();
        agents[n] = scene.agent(place, &hubs[n]).unwrap();
        let pid = agents[n].pid();
        agents[n].wait_until("the agent is ready", |view| view.ready && view.pid == pid).unwrap();
        scene.reaches_its_own_pool(place).unwrap();
        scene.all_was_well(place, &load.stop().unwrap());
    }
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn cut_off_from_the_api_server_the_agent_goes_on_with_what_yurthub_knows() {
    // Else yurthub keeps no Nodes for the agent.
    let mut scene = Scene::new(json!({"cache_agents": "edgeloop"})).unwrap();
    let worker = scene.place("kind-worker").unwrap();
    let mut hub = Hub::start(&scene.cluster, &worker.node, worker.pool).unwrap();
    scene.wait_for_pods().unwrap();
    let agent = scene.agent(&worker, &hub).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    scene.reaches_its_own_pool(&worker).unwrap();
    let load = worker.client.dial_continuously(POOL, 200, 2).unwrap();

    scene.cluster.kill(Part::ApiServer).unwrap();
    let view = agent.wait_until("the agent notices", |view| !view.is_up_to_date()).unwrap();
    assert!(view.is_attached() && view.node_labels == NodeLabels::Current, "{view:#?}");
    assert!(states(&view).contains(&"behind"), "{view:#?}");
    agent.wait_until("yurthub serves its cache", AgentView::is_up_to_date).unwrap();
    assert_eq!(agent.end_by(Signal::SIGTERM).unwrap(), Some(0));

    let agent = scene.agent(&worker, &hub).unwrap();
    agent.wait_until("a new agent is ready", |view| view.ready).unwrap();
    scene.reaches_its_own_pool(&worker).unwrap();

    hub.restart(&scene.cluster).unwrap();
    agent.wait_until("the agent notices", |view| !view.is_up_to_date()).unwrap();
    hub.wait_until_ready(&scene.cluster).unwrap();
    agent.wait_until("yurthub serves its cache again", AgentView::is_up_to_date).unwrap();
    scene.reaches_its_own_pool(&worker).unwrap();
    scene.all_was_well(&worker, &load.stop().unwrap());

    scene.cluster.start(Part::ApiServer).unwrap();
    scene.cluster.wait_until_ready().unwrap();
    let no_topology = json!({"metadata": {"annotations": {"openyurt.io/topologyKeys": null}}});
    scene.cluster.api().merge(SERVICE, &no_topology).unwrap();
    let far = scene.pods("shanghai");
    worker.client.wait_until(POOL, |answer| far.contains(answer.label()), BACK).unwrap();
}

/// The tutorial on a control plane with OpenYurt's controllers. Fields end in this order.
struct Scene {
    kubelet: Kubelet,
    _yurt: Yurt,
    cluster: Cluster,
    kubeconfig: String,
    nodes: Vec<Node>,
}

/// A node with a client on it.
struct Place {
    node: Node,
    pool: &'static str,
    client: Pod,
}

impl Scene {
    /// `config` is what yurthub is told in its ConfigMap.
    fn new(config: Value) -> Result<Self> {
        program()?; // building it takes its time
        let site = Site::new()?;
        let mut cluster = Cluster::with_controllers(&site)?;
        let yurt = Yurt::start(&mut cluster)?;
        cluster.api().merge(HUB_CONFIG, &json!({"data": config}))?;
        cluster.apply_file("examples/tutorial/nodepools.yaml")?;
        let nodes = NODES.iter().map(|(name, _)| site.node(name)).collect::<Result<Vec<_>>>()?;
        let labelled =
            |(_, pool): &(_, &str), node: &Node| (node.clone(), json!({"apps.openyurt.io/nodepool": pool}));
        let known: Vec<_> = NODES.iter().zip(&nodes).map(|(place, node)| labelled(place, node)).collect();
        let kubelet = Kubelet::start(&cluster, &known)?;
        for file in ["workloads", "service-svc-ud1", "service-svc-ud1-without-topology"] {
            cluster.apply_file(format!("examples/tutorial/{file}.yaml"))?;
        }
        let kubeconfig = cluster.agent_kubeconfig()?.display().to_string();
        Ok(Self { kubelet, _yurt: yurt, cluster, kubeconfig, nodes })
    }

    fn place(&self, name: &str) -> Result<Place> {
        let at = NODES.iter().position(|(node, _)| *node == name).context("no such node")?;
        let client = self.nodes[at].pod("client", &format!("10.244.{}.250", at + 1))?;
        Ok(Place { node: self.nodes[at].clone(), pool: NODES[at].1, client })
    }

    /// One that knows no other way to the API server.
    fn agent(&self, place: &Place, hub: &Hub) -> Result<Agent> {
        let flags = ["--kubeconfig", &self.kubeconfig, "--api-server", &hub.address()];
        Agent::follow(&self.cluster, &place.node, &flags)
    }

    fn wait_for_pods(&self) -> Result<()> {
        wait_for("all pods serve", || {
            let slices = self.cluster.api().list(SLICES)?;
            Ok(slices.iter().map(addresses_in).map(|of| of.len()).sum::<usize>() == 4)
        })
    }

    /// The names of the servers of a pool.
    fn pods(&self, pool: &str) -> BTreeSet<String> {
        let of_pool = format!("united-deployment1-{pool}-");
        self.kubelet.names().into_iter().filter(|name| name.starts_with(&of_pool)).collect()
    }

    fn addresses(&self, pool: &str) -> Result<BTreeSet<String>> {
        let address = |name: &String| Ok(self.kubelet.pod(name)?.address().to_string());
        self.pods(pool).iter().map(address).collect()
    }

    /// The endpoints of the Service with a topology, as yurthub tells a program of this name.
    fn told(&self, hub: &Hub, program: &str) -> Result<BTreeSet<String>> {
        let list = self.cluster.ask_as(program, hub.port(), SLICES)?;
        let list: Value = serde_json::from_str(&list)?;
        let slices = list["items"].as_array().context("not a list")?;
        Ok(slices.iter().flat_map(addresses_in).collect())
    }

    fn reaches_its_own_pool(&self, place: &Place) -> Result<()> {
        let own = self.pods(place.pool);
        assert_eq!(own.len(), 2);
        assert_eq!(answers(&place.client, POOL)?, own, "{}", place.pool);
        let all = &self.pods("hangzhou") | &self.pods("shanghai");
        assert_eq!(answers(&place.client, EVERYWHERE)?, all);
        Ok(())
    }

    fn all_was_well(&self, place: &Place, report: &LoadReport) {
        assert_eq!(report.failed, []);
        let own = self.pods(place.pool);
        assert!(report.answered.keys().all(|name| own.contains(name)), "{:?}", report.answered);
        assert!(report.dialled() > 20, "{report:?}");
    }
}

fn answers(client: &Pod, target: &str) -> Result<BTreeSet<String>> {
    Ok(client.dial(target, DIALS)?.iter().map(|answer| answer.label().to_owned()).collect())
}

fn addresses_in(slice: &Value) -> Vec<String> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints.filter_map(|endpoint| Some(endpoint["addresses"][0].as_str()?.to_owned())).collect()
}

fn last_failure(view: &AgentView, kind: &str) -> String {
    let kinds = view.api.iter().flat_map(|api| &api.kinds);
    kinds.filter(|of| of.kind == kind).find_map(|of| of.last_failure.clone()).unwrap_or_default()
}

fn states(view: &AgentView) -> Vec<&str> {
    view.api.iter().flat_map(|api| &api.kinds).map(|of| of.state.as_str()).collect()
}
