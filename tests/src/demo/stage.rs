//! The tutorial's cluster on this machine: nodes, pods, agents, and the folder that all of them follow.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::{Pod, Site};

use super::agent::Agent;
use super::manifests::{Manifests, Server};
use super::truth::{self, PLACES, SERVERS_IN_A_POOL, SERVING, pool_of};

/// What a client gets that is refused.
pub(super) const REFUSED: &str = "ECONNREFUSED";

pub(super) struct Stage {
    agents: BTreeMap<&'static str, Agent>,
    clients: BTreeMap<&'static str, Pod>,
    /// They serve for as long as they are held.
    _servers: Vec<Pod>,
    pools: Pools,
    pub(super) manifests: Manifests,
    site: Site,
}

/// Which pods make up which pool.
pub(super) struct Pools(BTreeMap<&'static str, BTreeSet<String>>);

impl Stage {
    /// Everything but the agents.
    pub(super) fn new() -> Result<Self> {
        let site = Site::new()?;
        let manifests = Manifests::copy_to(&site.folder().join("manifests"))?;
        let of_the_folder = manifests.servers()?;
        let pools = Pools::new(&of_the_folder)?;

        let (mut clients, mut servers) = (BTreeMap::new(), Vec::new());
        for place in &PLACES {
            let node = site.node(place.node)?;
            for server in of_the_folder.iter().filter(|server| server.node == place.node) {
                let pod = node.pod(&server.name, &server.at.ip().to_string())?;
                pod.serve_name(server.at.port())?;
                servers.push(pod);
            }
            clients.insert(place.node, node.pod(&format!("client-on-{}", place.node), place.client)?);
        }
        Ok(Self { agents: BTreeMap::new(), clients, _servers: servers, pools, manifests, site })
    }

    /// One agent per node, all at once.
    pub(super) fn start_agents(&mut self) -> Result<()> {
        let folder = self.site.folder();
        for (name, client) in &self.clients {
            let agent = Agent::start(client.node().clone(), &folder, self.manifests.folder())?;
            self.agents.insert(name, agent);
        }
        self.agents.values_mut().try_for_each(Agent::wait_until_ready)
    }

    pub(super) fn client(&self, node: &str) -> Result<&Pod> {
        self.clients.get(node).with_context(|| format!("no client on {node}"))
    }

    pub(super) fn agent(&mut self, node: &str) -> Result<&mut Agent> {
        self.agents.get_mut(node).with_context(|| format!("no agent on {node}"))
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(super) fn name(&self) -> String {
        self.site.name().to_owned()
    }
}

impl Pools {
    fn new(servers: &[Server]) -> Result<Self> {
        let mut pools: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for server in servers {
            pools.entry(pool_of(&server.node)?).or_default().insert(server.name.clone());
        }
        let found: Vec<_> = pools.iter().map(|(pool, pods)| (*pool, pods.len())).collect();
        ensure!(
            found == SERVING.map(|pool| (pool, SERVERS_IN_A_POOL)),
            "the tutorial's EndpointSlices hold other pods than the demo knows: {found:?}"
        );
        Ok(Self(pools))
    }

    /// The pool of the pod that gave this answer; none for an errno or a stranger.
    pub(super) fn of(&self, answer: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, pods)| pods.contains(answer)).map(|(pool, _)| *pool)
    }

    /// What a client gets that these pools answer: the names of their pods, or that it is refused.
    pub(super) fn labels(&self, pools: truth::Pools) -> Vec<&str> {
        match pools {
            [] => vec![REFUSED],
            pools => pools.iter().flat_map(|pool| &self.0[pool]).map(String::as_str).collect(),
        }
    }
}
