//! Where the experiments take place, and how one runs.

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use lb_agent::datapath::Grace;
use lb_agent::datapath::maps::pinned::{PinnedMaps, folder};
use lb_agent::datapath::programs::load::Features;
use lb_agent::model::Family;
use lb_common::outcome::Event;
use nix::mount::{MsFlags, mount};

use super::agent::AgentPublisher;
use super::finding::Finding;
use super::history::Histories;
use super::publisher::{Pace, Publisher};
use super::soak::{Driver, Soaking};
use super::verdicts::Verdicts;
use super::world::{
    ADDRESSES, BACKEND_NETWORK, BACKENDS, CLUSTER, DECOY, HOST, NEIGHBOUR, NETWORK6, backend, cluster,
    foreign, node_port, over6,
};
use super::writer::Writer;
use crate::harness::helper::Helper;
use crate::{Pod, Site};

/// Processes that dial.
pub const CLIENTS: usize = 4;

/// Longer than a client takes for a connection that gets no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the clients dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The Service, up to the server's answer.
    Answer,
    /// The Service, up to the server's answer, which is the address that it has: in a pod with all of them.
    Served,
    /// The Service, up to the end of `connect(2)`: hundreds of thousands of times a second.
    Probe,
    /// The Service over UDP, up to the reply: sockets that connect, and sockets that do not.
    Datagrams,
    /// The backends themselves, up to the answer.
    Direct,
}

/// Who changes what the clients dial.
#[derive(Clone, Debug)]
pub enum Publishing {
    /// No programs are attached.
    Detached,
    /// The agent's plan, without the agent around it: one Service whose set changes, with neighbours.
    Plan {
        object: &'static [u8],
        machine: Features,
        grace: Grace,
        /// Publications of the Service; `None` is as fast as it can.
        per_second: Option<u32>,
        regions: Regions,
        family: Family,
    },
    /// The agent's writer, with its threads: Services come and go at all [`ADDRESSES`], and the agent is
    /// started anew again and again, each time over other maps.
    Agent { object: &'static [u8], grace: Grace },
    /// The agent as a process, disturbed in every way, by a driver that knows what it asked for.
    Soak(Soaking),
}

/// By which addresses the clients dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Families {
    /// IPv4, and every other time as `::ffff:a.b.c.d`.
    V4,
    /// IPv6.
    V6,
    /// All three in turn.
    Both,
}

/// Who has regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// The Service under test and some of its neighbours.
    All,
    /// The Service under test alone.
    Own,
}

/// When an experiment ends, besides its time and number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    End,
    /// When one connection has gone astray.
    Astray,
    /// Or when a program has read a region that was used again too early.
    AstrayOrStale,
}

#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    pub publishing: Publishing,
    /// Of each client.
    pub ways: [Way; CLIENTS],
    /// Over all clients.
    pub connects: u64,
    pub within: Duration,
    pub until: Until,
}

/// One node with the clients, another with the servers.
pub struct Testbed {
    _site: Site,
    client: Pod,
    /// A place in memory: who writes there is not to wait for a disk.
    histories: PathBuf,
    _servers: [Pod; 2],
}

impl Testbed {
    pub fn new() -> Result<Self> {
        let site = Site::new()?;
        let far = site.node("far")?;
        let own = serving(far.pod("own", "10.244.1.2")?, backend, u32::from)?;
        let theirs = serving(far.pod("theirs", "10.244.1.3")?, foreign, |_| NEIGHBOUR)?;
        let client = site.node("near")?.pod("client", "10.244.1.4")?;
        client.add_addresses(&dialled())?;
        client.own_network(NETWORK6)?;
        client.serve_ids(&[(SocketAddr::V4(CLUSTER), DECOY)])?;
        let histories = site.folder().join("histories");
        in_memory(&histories)?;
        Ok(Self { _site: site, client, histories, _servers: [own, theirs] })
    }

    pub fn run(&self, experiment: &Experiment) -> Result<Finding> {
        match &experiment.publishing {
            Publishing::Detached => {
                let histories = self.histories(1)?;
                // Nothing is allowed: what dials the Service goes astray.
                histories.announce(0, 0);
                histories.done(0);
                self.dial(experiment, &histories, || Ok(()))
            }
            Publishing::Plan { object, machine, grace, per_second, regions, family } => {
                let histories = self.histories(1)?;
                let writer = Writer::load(object, *machine, self.client.node(), *family)?;
                let pace = Pace { grace: *grace, per_second: *per_second, regions: *regions };
                let publisher = Publisher::start(writer, pace, &histories.first())?;
                let found =
                    self.dial(experiment, &histories, || self.look_at_regions(experiment, &histories));
                let (before, after) = publisher.finish()?;
                Ok(found?.counted(&before, &after))
            }
            Publishing::Agent { object, grace } => {
                let histories = self.histories(ADDRESSES)?;
                let publisher = AgentPublisher::start(self.client.node(), object, *grace, &histories)?;
                let found =
                    self.dial(experiment, &histories, || self.look_at_regions(experiment, &histories));
                let counted = publisher.finish()?;
                Ok(Finding { kernel: Some(counted), ..found? })
            }
            Publishing::Soak(soaking) => {
                let histories = self.histories(ADDRESSES)?;
                Driver::announce_nothing(&histories);
                let (host, driver) = (Arc::new(self.host()?), RefCell::new(None));
                let found = self.dial(experiment, &histories, || {
                    // The clients are there.
                    if driver.borrow().is_none() {
                        let driven = Driver::start(Arc::clone(&host), soaking, &histories)?;
                        *driver.borrow_mut() = Some(driven);
                    }
                    Ok(())
                });
                let strain = driver.take().map(Driver::finish).transpose()?;
                Ok(Finding { strain, ..found? })
            }
        }
    }

    fn histories(&self, addresses: u8) -> Result<Histories> {
        Histories::create(&self.histories, addresses)
    }

    /// A region that moves under its reader is seen by the programs, which look again: rarely by a client.
    fn look_at_regions(&self, experiment: &Experiment, histories: &Histories) -> Result<()> {
        if experiment.until == Until::AstrayOrStale {
            // A change-over may be in its midst.
            let Ok(maps) = PinnedMaps::open(&folder(&self.client.node().pin_root())) else { return Ok(()) };
            if maps.counters()?.event(Event::StaleRegionRead) > 0 {
                histories.stop();
            }
        }
        Ok(())
    }

    /// Of a client over UDP, which has all that it dials in a pod of its own, and of one that a Service may keep: of two at
    /// once in one pod, the later one is what is remembered. The others share one.
    fn pod_of(&self, publishing: &Publishing, way: Way, number: u8) -> Result<Option<Pod>> {
        let may_be_kept = matches!(publishing, Publishing::Agent { .. } | Publishing::Soak(_));
        if way != Way::Datagrams && !may_be_kept {
            return Ok(None);
        }
        let pod = self.client.node().pod(&format!("client{number}"), &format!("10.244.2.{}", number + 1))?;
        pod.own_network(BACKEND_NETWORK)?;
        pod.own_network(NETWORK6)?;
        pod.add_addresses(&dialled())?;
        if way == Way::Served {
            let node_ports = (0..ADDRESSES).filter_map(node_port).map(|at| at.port());
            for port in node_ports.chain([CLUSTER.port(), backend(0).port()]) {
                pod.serve_addresses(port)?;
            }
        }
        Ok(Some(pod))
    }

    /// Where the agent is a process: its network, with the addresses at which node ports are served.
    fn host(&self) -> Result<Pod> {
        let host = self.client.node().pod("host", "10.244.1.5")?;
        host.add_addresses(&[HOST.into(), (*over6(SocketAddrV4::new(HOST, 0)).ip()).into()])?;
        Ok(host)
    }

    /// Runs the clients to their end, and calls `meanwhile` now and then.
    fn dial(
        &self,
        experiment: &Experiment,
        histories: &Histories,
        meanwhile: impl Fn() -> Result<()>,
    ) -> Result<Finding> {
        let began = Instant::now();
        let pods = experiment.ways.iter().zip(0..);
        let pods = pods.map(|(way, number)| self.pod_of(&experiment.publishing, *way, number));
        let pods = pods.collect::<Result<Vec<Option<Pod>>>>()?;
        let clients = experiment.ways.iter().zip(&pods).map(|(way, pod)| {
            pod.as_ref().unwrap_or(&self.client).start(&arguments(experiment, *way, histories))
        });
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

impl Publishing {
    const fn families(&self) -> Families {
        match self {
            Self::Detached | Self::Plan { family: Family::V4, .. } => Families::V4,
            Self::Plan { family: Family::V6, .. } => Families::V6,
            Self::Agent { .. } | Self::Soak(_) => Families::Both,
        }
    }
}

impl Families {
    /// As the helper program calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::Both => "both",
        }
    }
}

impl Way {
    /// As the helper program calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Served => "served",
            Self::Probe => "probe",
            Self::Datagrams => "datagrams",
            Self::Direct => "direct",
        }
    }
}

fn dialled() -> Vec<IpAddr> {
    let both = |number| [(*cluster(number).ip()).into(), (*over6(cluster(number)).ip()).into()];
    (0..ADDRESSES).flat_map(both).chain([HOST.into()]).collect()
}

fn arguments(experiment: &Experiment, way: Way, histories: &Histories) -> Vec<String> {
    let mut arguments = vec![
        "prove".to_owned(),
        format!("--way={}", way.word()),
        format!("--count={}", experiment.connects.div_ceil(CLIENTS as u64)),
        format!("--seconds={}", experiment.within.as_secs()),
    ];
    arguments.push(format!("--families={}", experiment.publishing.families().word()));
    arguments.extend(histories.paths().map(|path| format!("--history={}", path.display())));
    if matches!(experiment.publishing, Publishing::Soak(_)) {
        // Beside processes that start and end, timers by the thousand hold up the kernel's own threads for many seconds.
        arguments.push("--calm".to_owned());
    }
    if experiment.until != Until::End {
        arguments.push("--only-one".to_owned());
    }
    arguments
}

/// Makes a folder that lies in memory, and goes with the site.
pub(super) fn in_memory(folder: &Path) -> Result<()> {
    let failed = || format!("could not mount a tmpfs at {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    mount(Some("edgeloop"), folder, Some("tmpfs"), MsFlags::empty(), None::<&str>).with_context(failed)
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
