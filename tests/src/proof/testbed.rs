//! Where the experiments take place, and how one runs.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_agent::datapath::Grace;
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};

use lb_common::outcome::Event;

use super::finding::Finding;
use super::history::History;
use super::publisher::{Pace, Publisher};
use super::verdicts::Verdicts;
use super::world::{BACKENDS, CLUSTER, DECOY, NEIGHBOUR, backend, foreign};
use super::writer::Writer;
use crate::harness::helper::Helper;
use crate::{Pod, Site};

/// Processes that dial.
pub const CLIENTS: u64 = 4;

/// Longer than a client takes for a connection that gets no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the clients dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The Service, up to the server's answer.
    Answer,
    /// The Service, up to the end of `connect(2)`: hundreds of thousands of times a second.
    Probe,
    /// The backends themselves, up to the answer.
    Direct,
}

#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    /// The programs that are attached; without, nobody publishes either.
    pub object: Option<Vec<u8>>,
    /// How long the publisher waits before it uses a region again.
    pub grace: Grace,
    /// Publications of the Service; `None` is as fast as it can.
    pub per_second: Option<u32>,
    pub way: Way,
    /// Over all clients.
    pub connects: u64,
    pub within: Duration,
    /// End when something has gone wrong.
    pub only_one: bool,
}

/// One node with the clients, another with the servers.
pub struct Testbed {
    site: Site,
    client: Pod,
    _servers: [Pod; 2],
}

impl Testbed {
    pub fn new() -> Result<Self> {
        let site = Site::new()?;
        let far = site.node("far")?;
        let own = serving(far.pod("own", "10.244.1.2")?, backend, u32::from)?;
        let theirs = serving(far.pod("theirs", "10.244.1.3")?, foreign, |_| NEIGHBOUR)?;
        let client = site.node("near")?.pod("client", "10.244.1.4")?;
        client.add_addresses(&[IpAddr::V4(*CLUSTER.ip())])?;
        client.serve_ids(&[(SocketAddr::V4(CLUSTER), DECOY)])?;
        Ok(Self { site, client, _servers: [own, theirs] })
    }

    pub fn run(&self, experiment: &Experiment) -> Result<Finding> {
        let path = self.site.folder().join("history");
        let history = Arc::new(History::create(&path)?);
        let Some(object) = &experiment.object else {
            // Nothing is allowed: whoever dials the Service goes astray.
            history.announce(0);
            history.done();
            return self.dial(experiment, &path, || Ok(()));
        };
        let node = self.client.node();
        let writer = Writer::load(object, node)?;
        let pace = Pace { grace: experiment.grace, per_second: experiment.per_second };
        let counters = PinnedMaps::open(&folder(&node.pin_root()))?;
        let publisher = Publisher::start(writer, pace, &history)?;
        // A region that moves under its reader is seen by the programs, which look again: rarely by a client.
        let looks_at_regions = experiment.only_one && experiment.grace == Grace::None;
        let found = self.dial(experiment, &path, || {
            if looks_at_regions && counters.counters()?.event(Event::StaleRegionRead) > 0 {
                history.stop();
            }
            Ok(())
        });
        let (before, after) = publisher.finish()?;
        Ok(found?.counted(&before, &after))
    }

    /// Runs the clients to their end, and calls `meanwhile` now and then.
    fn dial(
        &self,
        experiment: &Experiment,
        history: &Path,
        meanwhile: impl Fn() -> Result<()>,
    ) -> Result<Finding> {
        let began = Instant::now();
        let clients = (0..CLIENTS).map(|_| self.client.start(&arguments(experiment, history)));
        let mut clients = clients.collect::<Result<Vec<Helper>>>()?;
        let give_up = began + experiment.within + PATIENCE;
        let mut each = Vec::new();
        for client in &mut clients {
            loop {
                meanwhile()?;
                if let Some(verdicts) = client.poll::<Verdicts>(Duration::from_millis(50))? {
                    each.push(verdicts);
                    break;
                }
                ensure!(Instant::now() < give_up, "a client does not come to an end");
            }
        }
        Ok(Finding::new(&experiment.name, began.elapsed(), each))
    }
}

impl Way {
    /// As the helper program calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Probe => "probe",
            Self::Direct => "direct",
        }
    }
}

fn arguments(experiment: &Experiment, history: &Path) -> Vec<String> {
    let mut arguments = vec![
        "prove".to_owned(),
        format!("--history={}", history.display()),
        format!("--way={}", experiment.way.word()),
        format!("--count={}", experiment.connects.div_ceil(CLIENTS)),
        format!("--seconds={}", experiment.within.as_secs()),
    ];
    if experiment.only_one {
        arguments.push("--only-one".to_owned());
    }
    arguments
}

/// A pod that has all these addresses and answers at each with its id.
fn serving(pod: Pod, address: fn(u8) -> SocketAddrV4, id: fn(u8) -> u32) -> Result<Pod> {
    let addresses: Vec<IpAddr> = (0..BACKENDS).map(|number| IpAddr::V4(*address(number).ip())).collect();
    pod.add_addresses(&addresses)?;
    let servers: Vec<(SocketAddr, u32)> =
        (0..BACKENDS).map(|number| (SocketAddr::V4(address(number)), id(number))).collect();
    pod.serve_ids(&servers)?;
    Ok(pod)
}
