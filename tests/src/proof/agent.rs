//! Publishes by way of the agent's own writer: Services come, go, change and hand their address on, and the
//! agent is started anew over other maps.

use std::net::{IpAddr, SocketAddrV4};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lb_agent::datapath::maps::pinned::{Counters, PinnedMaps, folder};
use lb_agent::datapath::takeover::{Datapath, TakeoverError};
use lb_agent::datapath::{Grace, cgroup, cleanup, lock};
use lb_agent::model::{Change, First, HostAddresses, Kind, SourceReport};
use lb_agent::plan::Sizes;
use lb_agent::source::{Backlog, Batch};
use lb_agent::store::{Rules, Store};
use lb_agent::writer::{SelfTestConfig, Wake, Writer, WriterConfig};
use lb_common::layout::{OUTCOMES, SERVICES4};
use lb_common::outcome::{Event, Outcome};

use super::finding::Counted;
use super::history::Histories;
use super::publisher::take_the_first_processor;
use super::services::{Draw, Elements, Held, States, allowed, is_held, objects};
use super::world::{ADDRESSES, HOST, UNTOUCHED, cluster, keeps_clients, over6};
use crate::Node;
use crate::harness::bpf;
use crate::ours::pins::assert_one_generation;

/// Batches between two starts of the agent.
const BATCHES: u32 = 200;
/// How long a batch may take until the kernel has it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Often enough to be a part of it.
const AUDIT: Duration = Duration::from_millis(500);
/// Room for the regions that wait for a grace period.
const ROOM: u32 = 16_384;

pub(super) struct AgentPublisher {
    histories: Histories,
    thread: JoinHandle<Result<Counted>>,
}

impl AgentPublisher {
    /// Every address has its first state in the kernel, and the programs are attached, when this returns.
    pub(super) fn start(
        node: &Node,
        object: &'static [u8],
        grace: Grace,
        histories: &Histories,
    ) -> Result<Self> {
        let mut world = World::new(node.clone(), object, grace, histories.clone());
        world.announce_nothing();
        world.start_agent()?;
        let on = histories.clone();
        let thread = thread::spawn(move || {
            let published = world.publish_until_stopped();
            // The clients are not to go on without a publisher.
            on.stop();
            published
        });
        Ok(Self { histories: histories.clone(), thread })
    }

    /// Ends the publisher and all clients, and takes the programs away.
    pub(super) fn finish(self) -> Result<Counted> {
        self.histories.stop();
        self.thread.join().map_err(|_panic| anyhow!("the publisher panicked"))?
    }
}

struct World {
    node: Node,
    object: &'static [u8],
    grace: Grace,
    histories: Histories,
    draw: Draw,
    held: States,
    agent: Option<Running>,
    starts: u32,
    /// The id of the front end that the last agent made.
    last_map: Option<u32>,
    counted: Totals,
    publications: u64,
}

struct Running {
    wake: Sender<Wake>,
    thread: JoinHandle<Result<(), TakeoverError>>,
    elements: Elements,
    /// What was last seen of each address in these maps.
    seen: [Held; ADDRESSES as usize],
}

impl World {
    fn new(node: Node, object: &'static [u8], grace: Grace, histories: Histories) -> Self {
        Self {
            node,
            object,
            grace,
            histories,
            draw: Draw::new(),
            held: [None; ADDRESSES as usize],
            agent: None,
            starts: 0,
            last_map: None,
            counted: Totals::default(),
            publications: 0,
        }
    }

    fn publish_until_stopped(&mut self) -> Result<Counted> {
        while !self.histories.is_stopped() {
            for _ in 0..BATCHES {
                self.change()?;
            }
            self.stop_agent()?;
            self.counted.take(&self.node)?;
            self.start_agent()?;
        }
        self.stop_agent()?;
        self.counted.take(&self.node)?;
        let lock = locked(&self.node.pin_root())?;
        cleanup::remove_all(&lock)?;
        let Totals { forwarded, lookup_retries, stale_region_reads, unstored_affinities, .. } = self.counted;
        let (publications, writes) = (self.publications, self.publications);
        Ok(Counted {
            publications,
            writes,
            forwarded,
            lookup_retries,
            stale_region_reads,
            unstored_affinities,
        })
    }

    /// Starts the agent's writer over maps of another size than before, with all that there is. It changes over.
    fn start_agent(&mut self) -> Result<()> {
        let pin_root = self.node.pin_root();
        let lock = locked(&pin_root)?;
        let cgroup = cgroup::find(Some(self.node.cgroup()))?;
        let config = WriterConfig {
            source: "the proof".to_owned(),
            node_address: None,
            sizes: Sizes { frontends: Some(64 + self.starts % 8), backends: Some(ROOM) },
            audit: AUDIT,
            first: First::Wanted,
            grace: self.grace,
            outbox: None,
            saved: None,
            peers: None,
            self_test: SelfTestConfig::Off,
        };
        let (wake, inbox) = channel();
        let datapath = Datapath::new(lock, cgroup, self.object);
        let writer = Writer::new(config, Store::new("near", Rules::default()), datapath, inbox, wake.clone());
        let thread = thread::spawn(move || {
            take_the_first_processor();
            writer.run()
        });

        // What changes while no agent runs shows when the next one has it. That one knows of no free region before a grace
        // period has passed: until then it may serve with a part of what stays.
        let (next, _changes) = self.draw.next(&self.held);
        (0..ADDRESSES).for_each(|address| self.histories.announce(address, 0));
        self.announce(&next);
        let all = (0..ADDRESSES).flat_map(|address| objects(address, next[usize::from(address)]));
        let synced = Kind::ALL.map(Change::Synced);
        wake.send(Wake::Host(host())).ok().context("the agent has ended")?;
        send(&wake, all.map(Change::Apply).chain(synced).collect())?;
        let give_up = Instant::now() + PATIENCE;
        let map = folder(&pin_root).join(SERVICES4.pin);
        let ready = || match bpf::id(&map)? {
            id if self.last_map == Some(id) => bail!("the maps are those of the agent before"),
            _ => assert_one_generation(&self.node),
        };
        while let Err(error) = ready() {
            ensure!(!thread.is_finished(), "the agent ended at its start");
            ensure!(Instant::now() < give_up, "the agent does not come up: {error}");
            thread::sleep(Duration::from_millis(1));
        }
        self.last_map = Some(bpf::id(&map)?);
        let elements = Elements::open(&folder(&pin_root))?;
        let seen = Default::default();
        self.agent = Some(Running { wake, thread, elements, seen });
        self.starts += 1;
        self.await_all(&next)
    }

    fn stop_agent(&mut self) -> Result<()> {
        let Some(Running { wake, thread, .. }) = self.agent.take() else { return Ok(()) };
        wake.send(Wake::Stop).ok().context("the agent has ended")?;
        thread.join().map_err(|_panic| anyhow!("the agent panicked"))??;
        Ok(())
    }

    /// One batch of changes, until the kernel has it.
    fn change(&mut self) -> Result<()> {
        let (next, changes) = self.draw.next(&self.held);
        self.announce(&next);
        let agent = self.agent.as_ref().context("no agent runs")?;
        send(&agent.wake, changes)?;
        self.await_all(&next)
    }

    /// As it is before there is anything.
    fn announce_nothing(&self) {
        for address in 0..ADDRESSES {
            self.histories.announce(address, UNTOUCHED);
            self.histories.done(address);
        }
    }

    fn announce(&self, next: &States) {
        for address in 0..ADDRESSES {
            let (now, then) = (self.held[usize::from(address)], next[usize::from(address)]);
            let is_another = now.zip(then).is_some_and(|(now, then)| !now.is(then));
            if keeps_clients(address) && is_another {
                // It knows nothing of what the clients of the other were given.
                self.histories.announce(address, 0);
            }
            if now != then {
                self.histories.announce(address, allowed(then));
            }
        }
    }

    /// Waits until the kernel has the next states, and says so.
    fn await_all(&mut self, next: &States) -> Result<()> {
        let Running { elements, seen, .. } = self.agent.as_mut().context("no agent runs")?;
        let give_up = Instant::now() + PATIENCE;
        for address in 0..ADDRESSES {
            let place = usize::from(address);
            let (now, then) = (self.held[place], next[place]);
            loop {
                let held = elements.of(address)?;
                let is_due = held.iter().zip(&seen[place]).all(|(element, seen)| {
                    let is_new = now == then || element != seen || element.is_none();
                    is_new && is_held(address, then, *element)
                });
                if is_due {
                    seen[place] = held;
                    break;
                }
                ensure!(
                    Instant::now() < give_up,
                    "the agent does not publish {then:?} at {}: {held:?}",
                    cluster(address)
                );
                thread::sleep(Duration::from_micros(20));
            }
            if now != then {
                self.histories.done(address);
                self.publications += 1;
            }
        }
        self.held = *next;
        Ok(())
    }
}

/// A child that another thread of this process starts holds our lock, too, until it has become its program.
fn locked(pin_root: &Path) -> Result<lock::Lock> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match lock::acquire(pin_root) {
            Err(_) if Instant::now() < give_up => thread::sleep(Duration::from_millis(1)),
            acquired => return Ok(acquired?),
        }
    }
}

/// What the host has, in both families.
fn host() -> HostAddresses {
    let v6 = *over6(SocketAddrV4::new(HOST, 0)).ip();
    [IpAddr::V4(HOST), IpAddr::V6(v6)].into_iter().map(|ip| (ip, "eth0".into())).collect()
}

fn send(wake: &Sender<Wake>, changes: Vec<Change>) -> Result<()> {
    let batch =
        Batch { changes, report: SourceReport::default(), at: Instant::now(), backlog: Backlog::default() };
    if wake.send(Wake::Source(batch)).is_err() {
        bail!("the agent has ended");
    }
    Ok(())
}

/// What the kernel has counted, over all maps.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// The map that was read last.
    map: u32,
    /// What it said.
    last: [u64; 4],
    forwarded: u64,
    lookup_retries: u64,
    stale_region_reads: u64,
    unstored_affinities: u64,
}

impl Totals {
    /// Adds what came since, or all that new maps have.
    fn take(&mut self, node: &Node) -> Result<()> {
        let folder = folder(&node.pin_root());
        let counters = PinnedMaps::open(&folder)?.counters()?;
        let now = [
            forwarded(&counters),
            counters.event(Event::LookupRetry),
            counters.event(Event::StaleRegionRead),
            counters.event(Event::UnstoredAffinity),
        ];
        let map = bpf::id(&folder.join(OUTCOMES.pin))?;
        let before = if map == self.map { self.last } else { [0; 4] };
        self.forwarded += now[0] - before[0];
        self.lookup_retries += now[1] - before[1];
        self.stale_region_reads += now[2] - before[2];
        self.unstored_affinities += now[3] - before[3];
        (self.map, self.last) = (map, now);
        Ok(())
    }
}

fn forwarded(counters: &Counters) -> u64 {
    counters.outcomes.iter().filter(|(of, _)| *of == Outcome::Forwarded).map(|(_, times)| times).sum()
}
