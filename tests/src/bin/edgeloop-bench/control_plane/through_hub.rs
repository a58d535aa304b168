//! What our agent takes behind yurthub, which refuses streaming lists and knows no pages: everything comes in
//! one answer.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use edgeloop_tests::Site;
use edgeloop_tests::agent::Agent;
use edgeloop_tests::cluster::{Cluster, Hub, Yurt, patiently};
use serde_json::json;

use super::ground::{AT_ONCE, PATIENCE};
use super::population::{ENDPOINTS, HERE, POOLS, Population, labels, pool_name};
use super::weigh::{Memory, memory};

/// Of yurt-manager's chart. Its webhooks are called by address, and its cluster IP may be one of ours.
const WEBHOOKS: &str = "/api/v1/namespaces/kube-system/services/yurt-manager-webhook-service";

pub(crate) fn run(population: Population, rest: Duration) -> Result<()> {
    let site = Site::new()?;
    let mut cluster = Cluster::with_controllers(&site)?;
    let _yurt = Yurt::start(&mut cluster)?;
    cluster.api().delete(WEBHOOKS)?;
    for pool in 0..POOLS {
        cluster.api().create(&json!({
            "apiVersion": "apps.openyurt.io/v1beta2", "kind": "NodePool",
            "metadata": {"name": pool_name(pool)}, "spec": {"type": "Edge"},
        }))?;
    }
    cluster.register(HERE, &labels(HERE, 0))?;
    for node in population.nodes() {
        patiently(404, || cluster.api().create(&node))?;
    }
    let objects = population.objects(0..population.services);
    cluster.api().create_all(objects, AT_ONCE, PATIENCE).context("could not create the Services")?;

    let node = site.node(HERE)?;
    let hub = Hub::start(&cluster, &node, &pool_name(0))?;
    let kubeconfig = cluster.agent_kubeconfig()?;
    let kubeconfig = kubeconfig.to_str().context("a path that is no text")?;
    let started = Instant::now();
    let flags = ["--kubeconfig", kubeconfig, "--api-server", &hub.address()];
    let agent = Agent::follow(&cluster, &node, &flags)?;
    agent.wait_until("the agent is ready", |view| view.ready)?;
    let ready = started.elapsed();
    thread::sleep(rest);
    let Memory { resident, anonymous, peak } = memory(agent.pid())?;
    let (services, endpoints) = (population.services, population.services * ENDPOINTS);
    writeln!(
        io::stdout(),
        "Behind yurthub 1.7.0, with {services} Services and {endpoints} endpoints: ready after {:.1} s; VmRSS {resident:.1} MB, \
         RssAnon {anonymous:.1} MB, VmHWM (its peak) {peak:.1} MB.",
        ready.as_secs_f64()
    )
    .context("could not print")
}
