//! The agent's own rooms over maps of the proof's sizes: programs, maps and the mirror over them.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lb_agent::datapath::maps::bpf::Bpf;
use lb_agent::datapath::maps::pinned::{Counters, folder};
use lb_agent::datapath::programs::links::Links;
use lb_agent::datapath::programs::load::{Features, Programs, load};
use lb_agent::datapath::{cgroup, cleanup, lock};
use lb_agent::model::{Family, Frontend, ObjectName, Protocol, ServicePortKey};
use lb_agent::plan::{Backend, Capacity, Desired, MapOp, Maps, Mirror};
use lb_agent::writer::reconcile::Reconciler;
use lb_common::family::{V4, V6};
use lb_common::layout::{SERVICES4, SERVICES6};
use lb_common::outcome::Outcome;

use super::bucket;
use super::history::History;
use super::services::{key4, key6};
use super::world::{CLUSTER, Reached, Set, over6, under6};
use crate::Node;

/// As few buckets as can be, and as full as can be. Room for the regions that wait for a grace period, which
/// lasts longer than hundreds of publications.
const CAPACITY: Capacity = Capacity::of(64, 16_384);

pub(super) struct Writer {
    kernel: Reconciler<Bpf>,
    programs: Programs,
    links: Option<Links>,
    lock: lock::Lock,
    pin_root: PathBuf,
    cgroup: cgroup::Cgroup,
    family: Family,
}

/// A neighbour whose writes are known beforehand.
pub(super) struct Prepared {
    put: MapOp,
    remove: MapOp,
    is_published: bool,
}

/// What the kernel has counted so far.
#[derive(Clone, Debug)]
pub(super) struct Count {
    /// How often the Service under test was published.
    pub(super) publications: u64,
    /// Writes to the front end, neighbours included.
    pub(super) writes: u64,
    pub(super) counters: Counters,
}

impl Writer {
    pub(super) fn load(object: &[u8], machine: Features, node: &Node, family: Family) -> Result<Self> {
        let pin_root = node.pin_root();
        let lock = lock::acquire(&pin_root)?;
        let programs = load(object, &folder(&pin_root), CAPACITY, machine)?;
        let maps = Bpf::open(&folder(&pin_root))?;
        let cgroup = cgroup::find(Some(node.cgroup()))?;
        let kernel = Reconciler::new(maps, Mirror::new(CAPACITY, 1));
        Ok(Self { kernel, programs, links: None, lock, pin_root, cgroup, family })
    }

    pub(super) fn attach(&mut self) -> Result<()> {
        let links = self.links.insert(Links::open(&self.pin_root, &self.cgroup));
        Ok(links.put(&self.programs, &self.cgroup)?)
    }

    /// Detaches and unpins.
    pub(super) fn remove(self) -> Result<()> {
        cleanup::remove_all(&self.lock)?;
        Ok(())
    }

    pub(super) const fn mirror(&mut self) -> &mut Mirror {
        &mut self.kernel.mirror
    }

    fn frontend(&self, at: SocketAddrV4) -> Frontend {
        Frontend { address: over(self.family, at), protocol: Protocol::Tcp }
    }

    pub(super) fn is_full(&self) -> bool {
        self.kernel.mirror.entries().count() >= CAPACITY.frontends as usize
    }

    /// Publishes these backends of the Service under test, and says so on `history`.
    pub(super) fn publish(&mut self, backends: &[SocketAddrV4], history: &History) -> Result<()> {
        let (frontend, want) = (self.frontend(CLUSTER), want(self.family, CLUSTER, backends));
        let steps = self.kernel.mirror.steps(frontend, Some(&want));
        let ops = steps.iter().flat_map(|step| &step.ops);
        if let Some(set) = published(frontend, ops) {
            ensure!(set != 0, "the mirror publishes an empty set");
            history.announce(set);
            self.kernel.carry_out(steps)?;
            history.done();
        }
        Ok(())
    }

    /// Publishes a neighbour, or takes it back.
    pub(super) fn write(&mut self, at: SocketAddrV4, backends: Option<&[SocketAddrV4]>) -> Result<()> {
        let wanted = backends.map(|backends| want(self.family, at, backends));
        let steps = self.kernel.mirror.steps(self.frontend(at), wanted.as_ref());
        Ok(self.kernel.carry_out(steps)?)
    }

    /// Publishes a neighbour that fits its element: the writes that do so, and those that take it back. Nothing
    /// else needs to be known for them, so they can be repeated at the kernel's own speed.
    pub(super) fn prepare(&mut self, at: SocketAddrV4, backends: &[SocketAddrV4]) -> Result<Prepared> {
        self.write(at, None)?;
        let frontend = self.frontend(at);
        let steps = self.kernel.mirror.steps(frontend, Some(&want(self.family, at, backends)));
        let mut puts = steps.iter().flat_map(|step| &step.ops).filter(|op| matches!(op, MapOp::Put { .. }));
        let put = puts.next().cloned().context("a neighbour is not published")?;
        self.kernel.carry_out(steps)?;
        Ok(Prepared { put, remove: MapOp::Remove { frontend }, is_published: true })
    }

    /// Creates or deletes a neighbour that was prepared.
    pub(super) fn toggle(&mut self, neighbour: &mut Prepared) -> Result<()> {
        let op = if neighbour.is_published { &neighbour.remove } else { &neighbour.put };
        self.kernel.maps.write(op)?;
        neighbour.is_published = !neighbour.is_published;
        Ok(())
    }

    pub(super) fn is_published(&self, at: SocketAddrV4) -> bool {
        self.kernel.mirror.owner(&self.frontend(at)).is_some()
    }

    /// Those of `candidates` that share a bucket with the Service under test.
    pub(super) fn mates(&self, candidates: &[SocketAddrV4]) -> Result<Vec<SocketAddrV4>> {
        let (folder, entries) = (folder(&self.pin_root), CAPACITY.frontends);
        let is_mate: Box<dyn Fn(SocketAddrV4) -> bool> = match self.family {
            Family::V4 => {
                let mates =
                    bucket::mates::<V4>(&folder.join(SERVICES4.pin), entries, key4(CLUSTER, Protocol::Tcp))?;
                Box::new(move |at| mates.contains(&key4(at, Protocol::Tcp)))
            }
            Family::V6 => {
                let mates =
                    bucket::mates::<V6>(&folder.join(SERVICES6.pin), entries, key6(CLUSTER, Protocol::Tcp))?;
                Box::new(move |at| mates.contains(&key6(at, Protocol::Tcp)))
            }
        };
        Ok(candidates.iter().filter(|at| is_mate(**at)).copied().collect())
    }

    pub(super) fn count(&mut self) -> Result<Count> {
        let observed = self.kernel.maps.dump()?;
        let service =
            observed.services.get(&self.frontend(CLUSTER)).context("the Service is not in the map")?;
        Ok(Count {
            publications: service.element.owner.revision.into(),
            writes: u64::from(self.kernel.maps.sequence()) / 2,
            counters: self.kernel.maps.counters()?,
        })
    }
}

impl Count {
    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        self.counters.outcomes.iter().filter(|(of, _)| *of == outcome).map(|(_, times)| times).sum()
    }
}

/// Where that is in this family.
fn over(family: Family, at: SocketAddrV4) -> SocketAddr {
    match family {
        Family::V4 => at.into(),
        Family::V6 => over6(at).into(),
    }
}

fn want(family: Family, at: SocketAddrV4, backends: &[SocketAddrV4]) -> Desired {
    let mut backends: Vec<Backend> = backends.iter().map(|at| over(family, *at).into()).collect();
    backends.sort_unstable();
    let [_, _, high, low] = at.ip().octets();
    let key = ServicePortKey {
        service: ObjectName::new("proof", &format!("s{high}-{low}")),
        port_name: "".into(),
        protocol: Protocol::Tcp,
        family,
    };
    Desired { key, has_topology: false, affinity: None, backends, excess: 0 }
}

/// The set of the Service under test after `ops`, if they publish it: what is written counts, not what was
/// asked for, which may lack room.
fn published<'o>(frontend: Frontend, mut ops: impl Iterator<Item = &'o MapOp>) -> Option<Set> {
    ops.find_map(|op| match op {
        MapOp::Put { frontend: at, element } if *at == frontend => {
            Some(element.backends.iter().map(|backend| bit(&backend)).fold(0, |set, bit| set | bit))
        }
        MapOp::Put { .. }
        | MapOp::NextId(_)
        | MapOp::Name { .. }
        | MapOp::Fill { .. }
        | MapOp::Admit { .. }
        | MapOp::Remove { .. }
        | MapOp::Cell { .. }
        | MapOp::Unname { .. } => None,
    })
}

fn bit(backend: &Backend) -> Set {
    let at = match SocketAddr::from(*backend) {
        SocketAddr::V4(at) => Some(at),
        SocketAddr::V6(at) => under6(at),
    };
    let Some(at) = at else { return 0 };
    match Reached::at(0, at) {
        Reached::Backend(number) => 1 << number,
        Reached::Neighbour | Reached::Decoy | Reached::Unknown => 0,
    }
}
