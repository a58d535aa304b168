//! The tutorial's cluster on this machine: nodes, pods, agents, and the folder that all of them follow.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::{Pod, Site};

use super::agent::Agent;
use super::cast::{Cast, Members, Pools};
use super::manifests::{Manifests, Server};
use super::names::{MANIFESTS, Names};
use super::truth::{PLACES, SERVERS_IN_A_POOL, SERVING, pool_of};

pub(super) struct Stage {
    agents: BTreeMap<&'static str, Agent>,
    cast: Cast,
    /// They serve for as long as they are held.
    _servers: Vec<Pod>,
    names: Names,
    pub(super) manifests: Manifests,
    site: Site,
}

impl Stage {
    /// Everything but the agents.
    pub(super) fn new() -> Result<Self> {
        let site = Site::new()?;
        let manifests = Manifests::copy_to(&site.folder().join("manifests"))?;
        let of_the_folder = manifests.servers()?;
        let members = members(&of_the_folder)?;

        let (mut clients, mut servers, mut nodes) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for place in &PLACES {
            let node = site.node(place.node)?;
            for server in of_the_folder.iter().filter(|server| server.node == place.node) {
                let pod = node.pod(&server.name, &server.at.ip().to_string())?;
                pod.serve_name(server.at.port())?;
                servers.push(pod);
            }
            let client = node.pod(&format!("client-on-{}", place.node), place.client)?;
            clients.insert(place.node, Arc::new(client));
            nodes.insert(place.node, node);
        }
        let names = Names::new(&nodes)?;
        let file = manifests.folder().join("dns-and-ipv6.yaml");
        fs::write(&file, MANIFESTS).with_context(|| format!("could not write {}", file.display()))?;
        let cast = Cast::new(clients, Pools::new(move || members.clone()));
        Ok(Self { agents: BTreeMap::new(), cast, _servers: servers, names, manifests, site })
    }

    /// One agent per node, all at once.
    pub(super) fn start_agents(&mut self) -> Result<()> {
        let folder = self.site.folder();
        for (name, client) in self.cast.clients() {
            let agent = Agent::start(client.node().clone(), &folder, self.manifests.folder())?;
            self.agents.insert(name, agent);
        }
        self.agents.values_mut().try_for_each(Agent::wait_until_ready)
    }

    pub(super) fn agent(&mut self, node: &str) -> Result<&mut Agent> {
        self.agents.get_mut(node).with_context(|| format!("no agent on {node}"))
    }

    pub(super) fn cast(&self) -> &Cast {
        &self.cast
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn name(&self) -> String {
        self.site.name().to_owned()
    }
}

/// The pods behind the Services, each in the pool of its node.
fn members(servers: &[Server]) -> Result<Members> {
    let mut members = Members::default();
    for server in servers {
        members.add(pool_of(&server.node)?, &server.name, true);
    }
    let found = members.counts();
    ensure!(
        found == SERVING.map(|pool| (pool, SERVERS_IN_A_POOL)),
        "the tutorial's EndpointSlices hold other pods than the demo knows: {found:?}"
    );
    Ok(members)
}
