//! OpenYurt's tutorial on API servers as old as edge clusters have them.

use std::fs;

use anyhow::{Context, Result};
use edgeloop_tests::agent::{Agent, element};
use edgeloop_tests::cluster::{Cluster, Release, patiently};
use edgeloop_tests::{Node, Site, checkout};
use serde_json::{Value, json};

use crate::stage::{IN_PEACE, STARTED, within};

const WITH_TOPOLOGY: &str = "10.96.0.11:80";
const WITHOUT: &str = "10.96.0.12:80";
const HANGZHOU: &str = "10.244.2.2:9376 10.244.2.3:9376";
const SHANGHAI: &str = "10.244.1.2:9376 10.244.1.3:9376";
const BOTH: &str = "10.244.1.2:9376 10.244.1.3:9376 10.244.2.2:9376 10.244.2.3:9376";

/// A node of each pool, and one in none, with what they use for the Service with a topology: by hand, from
/// the tutorial.
const NODES: [(&str, &str); 3] = [("kind-worker", HANGZHOU), ("kind-worker2", SHANGHAI), ("lone-node", "")];

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn kubernetes_1_24_is_followed() {
    followed(Release::Old).unwrap();
}

#[test]
#[ignore = "needs root and the programs of a control plane"]
fn slices_of_v1beta1_are_followed_where_there_are_no_others_and_an_upgrade_to_v1_too() {
    let mut stage = followed(Release::OldV1beta1).unwrap();

    stage.cluster.upgrade(Release::Old).unwrap();
    stage.shrink("discovery.k8s.io/v1").unwrap();
    stage.wait_for("kind-worker", WITH_TOPOLOGY, "10.244.2.2:9376").unwrap();
    stage.wait_for("kind-worker2", WITHOUT, "10.244.1.2:9376 10.244.1.3:9376 10.244.2.2:9376").unwrap();
}

struct Stage {
    cluster: Cluster,
    nodes: Vec<Node>,
    agents: Vec<Agent>,
    _site: Site,
}

/// The tutorial's objects, agents on its nodes, and what they use.
fn followed(release: Release) -> Result<Stage> {
    let site = Site::new()?;
    let cluster = Cluster::up_as(&site, release)?;
    for object in tutorial(release)? {
        // Namespaces and default accounts are made while the server says that it is ready.
        patiently(404, || patiently(403, || cluster.api().create(&object)))?;
    }
    let kubeconfig = cluster.agent_kubeconfig()?;
    let flags = ["--kubeconfig", kubeconfig.to_str().context("not a path")?];
    let nodes: Vec<Node> = NODES.iter().map(|(name, _)| site.node(name)).collect::<Result<_>>()?;
    let agents = nodes.iter().map(|node| Agent::follow(&cluster, node, &flags)).collect::<Result<_>>()?;
    let stage = Stage { cluster, nodes, agents, _site: site };
    for agent in &stage.agents {
        within(STARTED, "in sync", || Ok(agent.view().is_ok_and(|view| view.ready && view.is_up_to_date())))
            .with_context(|| format!("the agent's log:\n{}", agent.log()))?;
    }
    for (node, own) in NODES {
        stage.wait_for(node, WITH_TOPOLOGY, own)?;
        stage.wait_for(node, WITHOUT, BOTH)?;
    }
    Ok(stage)
}

impl Stage {
    fn wait_for(&self, node: &str, address: &str, backends: &str) -> Result<()> {
        let place = NODES.iter().position(|(name, _)| *name == node).context("no such node")?;
        let what = format!("{address} on {node} is {backends:?}");
        let mut last = None;
        let held = within(IN_PEACE, &what, || {
            last = element(&self.nodes[place], address)?.map(|element| {
                let mut backends = element.backends;
                backends.sort();
                backends.join(" ")
            });
            Ok(last.as_deref() == Some(backends))
        });
        held.with_context(|| format!("it is {last:?}; the agent's log:\n{}", self.agents[place].log()))?;
        Ok(())
    }

    /// The second pod of hangzhou is gone from both Services.
    fn shrink(&self, version: &str) -> Result<()> {
        for slice in ["svc-ud1-h7x2k", "svc-ud1-without-topology-hq4mz"] {
            let path = format!("/apis/{version}/namespaces/default/endpointslices/{slice}");
            let mut object = self.cluster.api().get(&path)?;
            let endpoints = object.pointer_mut("/endpoints").and_then(Value::as_array_mut);
            endpoints.context("a slice without endpoints")?.truncate(1);
            self.cluster.api().merge(&path, &json!({"endpoints": object["endpoints"]}))?;
        }
        Ok(())
    }
}

/// Nodes, Services and slices, the latter in the version that the server has.
fn tutorial(release: Release) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    let folder = checkout::folder()?.join("examples/tutorial");
    for entry in fs::read_dir(&folder).context("could not read the tutorial")? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).context("not YAML")?;
        objects.extend(documents.into_iter().filter_map(|object| as_served(object, release)));
    }
    Ok(objects)
}

/// The object as it is created on this server; nothing for what no such server knows.
fn as_served(mut object: Value, release: Release) -> Option<Value> {
    let kind = object["kind"].as_str()?.to_owned();
    if !["Node", "Service", "EndpointSlice"].contains(&kind.as_str()) {
        return None;
    }
    let metadata = object["metadata"].as_object_mut()?;
    for field in ["creationTimestamp", "uid", "resourceVersion"] {
        metadata.remove(field);
    }
    object.as_object_mut()?.remove("status");
    if kind == "EndpointSlice" {
        object["apiVersion"] = json!(release.slices());
        let endpoints = object["endpoints"].as_array_mut().into_iter().flatten();
        for endpoint in endpoints.filter(|_| release == Release::OldV1beta1) {
            let node = endpoint.as_object_mut()?.remove("nodeName")?;
            endpoint["topology"] = json!({"kubernetes.io/hostname": node});
        }
    }
    Some(object)
}
