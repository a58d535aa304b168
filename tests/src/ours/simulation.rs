//! Objects in, map writes out, without an agent around it: the loop's body on any kernel's maps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use lb_agent::convert::Interner;
use lb_agent::datapath::{Grace, grace_period};
use lb_agent::manifest::read;
use lb_agent::model::{Change, Family, Frontend, Kind, Object, ObjectKey, ObjectName};
use lb_agent::plan::{
    Capacity, Digest, Held, MapOp, Maps, Mirror, Observed, Proof, ReadError, RepairError, WriteError,
};
use lb_agent::store::{Rules, Store};
use lb_agent::writer::reconcile::Reconciler;

use crate::harness::manifests::manifests;

/// All objects that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster(BTreeMap<ObjectKey, Object>);

impl Cluster {
    /// Takes a line in: an object in the notation of [`manifests`], or `gone KIND NAME`.
    pub fn take(&mut self, line: &str) -> Result<()> {
        if let Some(gone) = line.strip_prefix("gone ") {
            let (kind, name) = gone.split_once(' ').context("gone KIND NAME")?;
            let key = match kind {
                "node" => ObjectKey { kind: Kind::Node, name: ObjectName::new("", name) },
                "service" => ObjectKey { kind: Kind::Service, name: ObjectName::new("default", name) },
                "slice" => ObjectKey { kind: Kind::EndpointSlice, name: ObjectName::new("default", name) },
                _ => bail!("not a kind: {kind}"),
            };
            ensure!(self.0.remove(&key).is_some(), "there is no {key}");
            return Ok(());
        }
        let found = read(&manifests(line)?, &mut Interner::default());
        ensure!(
            found.left_out.is_empty() && found.notes.is_empty() && found.problems.is_empty(),
            "{found:?}"
        );
        self.0.extend(found.objects.into_iter().map(|defined| (defined.object.key(), defined.object)));
        Ok(())
    }

    /// What a source reports that saw `before` last.
    fn changes(&self, before: &Self) -> Vec<Change> {
        let gone = before.0.keys().filter(|key| !self.0.contains_key(key));
        let now = self.0.iter().filter(|(key, object)| before.0.get(key) != Some(object));
        gone.map(|key| Change::Delete(key.clone()))
            .chain(now.map(|(_, object)| Change::Apply(object.clone())))
            .collect()
    }
}

/// What one address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The Service's name alone.
    pub service: String,
    /// Empty refuses.
    pub to: BTreeSet<SocketAddr>,
}

/// The front end, as people read it.
pub type State = BTreeMap<SocketAddr, Route>;

/// What the maps hold; an error when an element does not prove itself, or points at what is not its own.
pub fn state(observed: &Observed) -> Result<State> {
    let element = |(frontend, held): (&Frontend, &Held)| {
        let (at, element) = (frontend.address, &held.element);
        ensure!(held.proof == Proof::Proven, "{at} does not prove itself: {held:?}");
        let to: BTreeSet<SocketAddr> = element.backends.iter().map(SocketAddr::from).collect();
        ensure!(to.len() == element.backends.len(), "{at} has a backend twice");
        let service =
            observed.key(element.owner.id).map(|key| key.service.name.to_string()).unwrap_or_default();
        Ok((at, Route { service, to }))
    };
    observed.services.iter().map(element).collect()
}

/// Maps that are looked at after every write, and that can stop taking any.
#[derive(Debug)]
pub struct Guarded<M> {
    pub maps: M,
    /// What held before, and what will hold: in between holds what both have in common.
    between: Option<(State, State)>,
    /// Writes that are still taken; after them the writer is dead.
    left: Option<u64>,
    /// Front-end writes, and all.
    pub writes: (u64, u64),
    pub wrong: Vec<String>,
}

impl<M: Maps> Guarded<M> {
    pub fn new(maps: M) -> Self {
        Self { maps, between: None, left: None, writes: (0, 0), wrong: Vec::new() }
    }

    /// From here on a path from one state to another is walked.
    pub fn walk(&mut self, from: State, to: State) {
        self.between = Some((from, to));
        self.writes = (0, 0);
    }

    /// After so many more writes the writer is dead.
    pub fn die_after(&mut self, writes: u64) {
        self.left = Some(writes);
    }

    fn look(&mut self, after: &MapOp) {
        let looked = self.maps.dump().map_err(anyhow::Error::from).and_then(|held| state(&held));
        let wrong = match (&looked, &self.between) {
            (Err(error), _) => Some(format!("{error:#}")),
            (Ok(now), Some((from, to))) => in_between(from, to, now),
            (Ok(_), None) => None,
        };
        self.wrong.extend(wrong.map(|wrong| format!("after {after:?}: {wrong}")));
    }
}

impl<M: Maps> Maps for Guarded<M> {
    fn write(&mut self, op: &MapOp) -> Result<(), WriteError> {
        if self.left == Some(0) {
            return Err(WriteError::Full { map: "of a dead writer" });
        }
        self.left = self.left.map(|left| left - 1);
        self.maps.write(op)?;
        self.writes.0 += u64::from(matches!(op, MapOp::Put { .. } | MapOp::Remove { .. }));
        self.writes.1 += 1;
        self.look(op);
        Ok(())
    }

    fn repair(&mut self, observed: &Observed) -> Result<bool, RepairError> {
        self.maps.repair(observed)
    }

    fn digest(&mut self) -> Result<Digest, ReadError> {
        self.maps.digest()
    }

    fn distrust_hosts(&mut self) {
        self.maps.distrust_hosts();
    }

    fn dump(&mut self) -> Result<Observed, ReadError> {
        self.maps.dump()
    }

    fn serve_node_ports_at(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), RepairError> {
        self.maps.serve_node_ports_at(addresses)
    }
}

/// What is wrong with `now` on the way `from` one state `to` another.
///
/// 1. An address that leads somewhere before and after is never gone.
/// 2. A Service that keeps a backend never refuses.
/// 3. An address leads nowhere but where it led or will lead.
fn in_between(from: &State, to: &State, now: &State) -> Option<String> {
    for (at, before) in from {
        let Some(after) = to.get(at) else { continue };
        let Some(now) = now.get(at) else { return Some(format!("{at} is gone")) };
        let is_same = before.service == after.service;
        if is_same && !before.to.is_disjoint(&after.to) && now.to.is_empty() {
            return Some(format!("{at} refuses"));
        }
        let both: BTreeSet<SocketAddr> = before.to.union(&after.to).copied().collect();
        let allowed =
            now.to.is_subset(&before.to) || now.to.is_subset(&after.to) || is_same && now.to.is_subset(&both);
        if !allowed {
            return Some(format!("{at} leads to {:?}", now.to));
        }
    }
    None
}

/// The agent without threads and clock.
pub struct SimulatedAgent<M> {
    pub store: Store,
    pub kernel: Reconciler<Guarded<M>>,
    /// How many things audits found that were not as written: none, unless a write failed.
    pub repaired: usize,
    seen: Cluster,
    node: String,
}

impl<M: Maps> SimulatedAgent<M> {
    pub fn new(node: &str, maps: M, mirror: Mirror) -> Self {
        let kernel = Reconciler::new(Guarded::new(maps), mirror);
        let store = Store::new(node, Rules::default());
        Self { store, kernel, repaired: 0, seen: Cluster::default(), node: node.to_owned() }
    }

    /// The process ends, another begins: it knows what the maps hold and nothing else.
    pub fn restarted(self) -> Result<Self> {
        let Self { kernel: Reconciler { maps: Guarded { mut maps, .. }, mirror, .. }, node, .. } = self;
        let capacity: Capacity = mirror.capacity();
        let mirror = Mirror::adopt(&maps.dump()?, capacity);
        Ok(Self::new(&node, maps, mirror))
    }

    /// Reports what is new in `cluster`.
    pub fn see(&mut self, cluster: &Cluster) {
        let first = self.seen == Cluster::default();
        for change in cluster.changes(&self.seen) {
            self.store.apply(change);
        }
        self.seen.clone_from(cluster);
        if first {
            let kinds = Kind::ALL;
            kinds.map(Change::Synced).into_iter().for_each(|change| self.store.apply(change));
            self.kernel.start(&mut self.store);
        }
    }

    /// One pass, a grace period, an audit. True when there was nothing to do.
    pub fn pass(&mut self, grace: Grace) -> Result<bool> {
        let pass = self.kernel.converge(&mut self.store);
        if let Some(age) = self.kernel.mirror.start_grace() {
            grace_period(grace);
            self.kernel.mirror.release(age);
        }
        let found = self.kernel.audit(&mut self.store)?;
        self.repaired += found;
        let is_idle = pass.written == 0 && pass.failed.is_empty() && found == 0;
        Ok(is_idle && !self.kernel.mirror.is_retryable())
    }

    /// Passes until there is nothing to do, and says what the maps then hold. Nothing is left behind.
    pub fn settle(&mut self, grace: Grace) -> Result<State> {
        let mut passes = 0;
        while !self.pass(grace)? {
            passes += 1;
            ensure!(passes < 200, "it does not come to rest");
        }
        let held = self.kernel.maps.dump()?;
        ensure!(held.names.len() == held.services.len(), "names: {:?}", held.names.keys());
        let tails = held.services.values().map(|held| held.element.tail());
        let taken: usize = tails.filter(|tail| *tail > 0).map(usize::next_power_of_two).sum();
        let (mirror, capacity) = (&self.kernel.mirror, self.kernel.mirror.capacity());
        let free = mirror.free_backends(Family::V4) as usize;
        ensure!(
            free + taken == capacity.backends.v4 as usize,
            "{free} free and {taken} taken of {capacity:?}"
        );
        state(&held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written `SERVICE:BACKENDS`, each backend one letter; the empty text is an address that is gone.
    #[test]
    fn what_holds_in_between_is_what_both_ends_have_in_common() {
        for (shows, from, to, now, holds) in [
            ("not begun", "a:xy", "a:yz", "a:xy", true),
            ("done", "a:xy", "a:yz", "a:yz", true),
            ("half way", "a:xy", "a:yz", "a:xz", true),
            ("gone", "a:xy", "a:yz", "", false),
            ("refused, though one stays", "a:xy", "a:yz", "a:", false),
            ("refused on the way to all others", "a:xy", "a:z", "a:", true),
            ("somewhere else", "a:xy", "a:yz", "a:q", false),
            ("to another Service: gone", "a:x", "b:y", "", false),
            ("to another Service: the backends of both", "a:x", "b:y", "b:xy", false),
            ("one that comes", "", "a:x", "", true),
            ("one that goes", "a:x", "", "", true),
        ] {
            let wrong = in_between(&state(from), &state(to), &state(now));
            assert_eq!(wrong.is_none(), holds, "{shows}: {wrong:?}");
        }
    }

    fn state(text: &str) -> State {
        let element = text.split_once(':').map(|(service, backends)| {
            let to = backends.bytes().map(|name| SocketAddr::from(([10, 244, 1, name], 80))).collect();
            (SocketAddr::from(([10, 96, 0, 1], 80)), Route { service: service.to_owned(), to })
        });
        element.into_iter().collect()
    }
}
