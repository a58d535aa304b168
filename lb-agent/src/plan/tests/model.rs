//! Whatever happens in whatever order, the maps say what the rules of the plan allow: after every
//! single write, to a connection that began before it as to one that begins after it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::acts::{Act, Fault, act};
use super::*;
use crate::plan::{MapOp, Owner, WriteError, topology_first};

/// For fewer elements than there are addresses.
const ROOM: Capacity = Capacity::of(5, 24);

/// An element that a connection has read.
type Seen = (Frontend, Element);

struct Model {
    fault: Fault,
    mirror: Mirror,
    maps: Fake,
    wants: BTreeMap<Frontend, Desired>,
    /// Connections that have yet to read a region, with whether they began before the grace
    /// period that runs.
    readers: Vec<(Seen, bool)>,
    grace: Option<u64>,
    /// Whose each service id is, and what each publication said, ever.
    ids: BTreeMap<u32, ServicePortKey>,
    published: BTreeMap<Owner, Vec<Backend>>,
}

type Broken = Result<(), TestCaseError>;

/// One address in three is of IPv6.
fn dialled(address: u8) -> Frontend {
    if !address.is_multiple_of(3) {
        return frontend(address);
    }
    let ip = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, address.into());
    Frontend { address: (ip, 80).into(), protocol: Protocol::Tcp }
}

fn of_ipv6(wanted: Desired) -> Desired {
    let ip = |backend: &Backend| Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, number_of(backend));
    let backends = wanted.backends.iter().map(|backend| Backend { ip: ip(backend).into(), ..*backend });
    let key = ServicePortKey { family: Family::V6, ..wanted.key };
    Desired { backends: backends.collect(), key, ..wanted }
}

impl Model {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            mirror: Mirror::new(ROOM, 1),
            maps: Fake::new(ROOM),
            wants: BTreeMap::new(),
            readers: Vec::new(),
            grace: None,
            ids: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    fn act(&mut self, act: Act) -> Broken {
        match act {
            Act::Want { address, service, backends: (from, count), has_topology } => {
                let wanted = want(&format!("s{service}"), from..from + count);
                let wanted = Desired { has_topology, ..wanted };
                let at = dialled(address);
                self.wants.insert(at, if at.family() == Family::V6 { of_ipv6(wanted) } else { wanted });
            }
            Act::Unwant { address } => _ = self.wants.remove(&dialled(address)),
            Act::Pass { fails } => self.pass(fails)?,
            Act::Read => {
                let held = self.maps.held().services.into_iter();
                self.readers.extend(held.map(|(frontend, held)| ((frontend, held.element), false)));
            }
            Act::StartGrace => self.start_grace(),
            Act::EndGrace => self.end_grace(),
            Act::Restart => self.restart()?,
            Act::ChangeOver { frontends, backends, fails } => {
                self.change_over(Capacity::of(frontends, backends), fails)?;
            }
        }
        Ok(())
    }

    fn start_grace(&mut self) {
        if self.grace.is_none() {
            self.grace = self.mirror.start_grace();
            let runs = self.grace.is_some();
            self.readers.iter_mut().for_each(|(_, before)| *before = runs);
        }
    }

    /// Every connection that began before the grace period has read what it wanted.
    fn end_grace(&mut self) {
        if let Some(period) = self.grace.take() {
            self.readers.retain(|(_, before)| !before);
            self.mirror.release(period);
        }
    }

    fn pass(&mut self, fails: Option<(u64, u64)>) -> Broken {
        self.let_fail(fails);
        let places = self.wants.keys().chain(self.mirror.entries().map(|(frontend, _)| frontend)).copied();
        let mut places: BTreeSet<Frontend> = places.collect();
        for service in self.mirror.shortages().services() {
            places.extend(self.mirror.shortages().of(service).map(|(frontend, _)| frontend));
        }
        let wants = places.into_iter().map(|frontend| (frontend, self.wants.get(&frontend).cloned()));
        let mut wants = topology_first(wants.collect());
        if self.fault == Fault::OldBackends {
            for (frontend, want) in &mut wants {
                let old = self.maps.held().services.remove(frontend).map(|held| held.element.backends);
                if let (Some(want), Some(old)) = (want, old) {
                    want.backends.extend(old.iter());
                    want.backends.sort_unstable();
                    want.backends.dedup();
                }
            }
        }
        // A second time for what was given back in the first.
        for _ in 0..2 {
            for (frontend, want) in &wants {
                self.bring(*frontend, want.as_ref())?;
            }
        }
        self.let_fail(None);
        Ok(())
    }

    fn let_fail(&mut self, fails: Option<(u64, u64)>) {
        let maps = std::mem::replace(&mut self.maps, Fake::new(Capacity::of(0, 0)));
        let (one_in, seed) = fails.unwrap_or((u64::MAX, 1));
        self.maps = maps.with_faults(one_in, seed);
    }

    fn bring(&mut self, at: Frontend, want: Option<&Desired>) -> Broken {
        if self.fault == Fault::TakenBack && self.mirror.owner(&at) != want.map(|want| &want.key.service) {
            let steps = self.mirror.steps(at, None);
            self.carry_out(steps)?;
        }
        let steps = self.mirror.steps(at, want);
        let done = self.carry_out(steps)?;
        if self.fault == Fault::NoGrace {
            while let Some(period) = self.mirror.start_grace() {
                self.mirror.release(period);
            }
        }
        let lacks_room = want.is_some_and(|want| {
            self.mirror.shortages().of(&want.key.service).any(|(frontend, _)| frontend == at)
        });
        if done && !lacks_room {
            let got = self.maps.held().services.remove(&at).map(|held| sorted(&held.element));
            prop_assert_eq!(
                got,
                want.map(|want| want.backends.clone()),
                "at {}, without a shortage",
                at.address
            );
        }
        Ok(())
    }

    /// As the writer does it. Whether all was written.
    fn carry_out(&mut self, steps: Vec<Step>) -> Result<bool, TestCaseError> {
        let mut failed = false;
        for mut step in steps {
            if self.fault == Fault::PutFirst {
                step.ops.sort_by_key(|op| !matches!(op, MapOp::Put { .. }));
            }
            for op in &step.ops {
                let skipped = self.fault == Fault::NotAdmitted && matches!(op, MapOp::Admit { .. });
                if failed || skipped {
                    continue;
                }
                let before = self.maps.held();
                let done = self.maps.write(op);
                failed = done.is_err() && !op.is_only_a_name() && self.fault != Fault::Forgetful;
                // Names that were written for nothing are removed by the next audit.
                if let Err(WriteError::Full { map }) = done
                    && !op.is_only_a_name()
                {
                    return Err(TestCaseError::fail(format!(
                        "{map} is fuller than the mirror knows: {op:?}"
                    )));
                }
                self.check(&before, op)?;
            }
            if failed {
                self.mirror.abort(&step);
            } else {
                self.mirror.commit(step);
            }
        }
        Ok(!failed)
    }

    /// What must hold after every write.
    fn check(&mut self, before: &super::super::Observed, op: &MapOp) -> Broken {
        prop_assert_eq!(dangling(&self.maps), None, "after {:?}", op);
        let now = self.maps.held();
        for at in before.services.keys().chain(now.services.keys()) {
            let [old, new] = [before, &now].map(|held| held.services.get(at).map(|held| &held.element));
            if old == new {
                continue;
            }
            let want = self.wants.get(at);
            let Some(new) = new else {
                // It may give way as long as the maps say that it has no topology.
                let may_go = want.is_none() || old.is_some_and(|old| !old.has_topology);
                prop_assert!(may_go, "{} was taken back for a moment: {:?}", at.address, op);
                continue;
            };
            let of = |id: u32| self.ids.get(&id).cloned();
            // A Service whose turn is yet to come can give up its region for another.
            let shrunk = old.is_some_and(|old| {
                old.owner.id == new.owner.id
                    && !new.has_topology
                    && new.backends.iter().all(|backend| old.backends.iter().any(|other| other == backend))
            });
            if !shrunk {
                let Some(want) = want else { return Err(TestCaseError::fail(format!("not wanted: {op:?}"))) };
                prop_assert_eq!(new.has_topology, want.has_topology);
                let astray: Vec<Backend> =
                    new.backends.iter().filter(|backend| !want.backends.contains(backend)).collect();
                prop_assert!(astray.is_empty(), "{:?} are not wanted, but written: {:?}", astray, op);
                let key = of(new.owner.id).unwrap_or_else(|| want.key.clone());
                prop_assert_eq!(&key, &want.key, "of service id {}", new.owner.id);
                self.ids.insert(new.owner.id, key);
            }
            let said: Vec<Backend> = new.backends.iter().collect();
            let published = self.published.entry(new.owner).or_insert_with(|| said.clone());
            prop_assert_eq!(&*published, &said, "{:?} says another thing than before", new.owner);
        }
        for ((at, element), _) in &self.readers {
            let from = element.region as usize;
            let tail = element.backends.iter().skip(element.backends.len() - element.tail());
            for (entry, backend) in self.maps.memory().entries.of(at.family()).iter().skip(from).zip(tail) {
                prop_assert_eq!(
                    entry,
                    &(element.owner, Some(backend)),
                    "a reader of {}, after {:?}",
                    at.address,
                    op
                );
            }
        }
        Ok(())
    }

    fn restart(&mut self) -> Broken {
        self.grace = None;
        let mut held = self.maps.dump().map_err(|error| TestCaseError::fail(error.to_string()))?;
        if self.fault == Fault::IdsFromOne {
            held.next_id = 1;
        }
        self.mirror = Mirror::adopt(&held, self.mirror.capacity());
        for (at, held) in held.services {
            let known = self.mirror.entries().find(|(frontend, _)| **frontend == at);
            prop_assert_eq!(known.map(|(_, entry)| &entry.element), Some(&held.element));
        }
        Ok(())
    }

    fn change_over(&mut self, capacity: Capacity, fails: Option<(u64, u64)>) -> Broken {
        let next = if self.fault == Fault::NoSuccessor {
            Mirror::new(capacity, self.mirror.next_id())
        } else {
            self.mirror.successor(capacity)
        };
        let old = std::mem::replace(&mut self.mirror, next);
        let maps = std::mem::replace(&mut self.maps, Fake::new(capacity));
        // Connections that have read the maps before go on reading those.
        let readers = std::mem::take(&mut self.readers);
        let before = maps.held();
        // Maps are made with the ids that are promised already.
        self.maps
            .write(&MapOp::NextId(before.first_unused_id()))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let (ids, published) = (self.ids.clone(), self.published.clone());
        self.pass(fails)?;
        let now = self.maps.held();
        let holds_all =
            before.services.keys().all(|at| now.services.contains_key(at) || !self.wants.contains_key(at));
        if !holds_all || self.maps.writes().1 > 0 {
            (self.mirror, self.maps, self.readers) = (old, maps, readers);
            // No connection ever saw what was in the others.
            (self.ids, self.published) = (ids, published);
            return Ok(());
        }
        for (at, held) in now.services {
            let Some(was) = before.services.get(&at) else { continue };
            let key = |held: &super::super::Held| self.ids.get(&held.element.owner.id);
            // Without a name in the maps (that write may fail) nothing is known of it after a start.
            let is_named = before.key(was.element.owner.id).is_some();
            if is_named && key(was) == key(&held) {
                prop_assert_eq!(
                    was.element.owner.id,
                    held.element.owner.id,
                    "the id of {} changed",
                    at.address
                );
            }
        }
        self.grace = None;
        Ok(())
    }

    /// Once nothing fails and time passes, all that there is room for is as wanted, and what has a
    /// topology has room first.
    fn settle(&mut self) -> Broken {
        for _ in 0..4 {
            self.pass(None)?;
            self.start_grace();
            self.end_grace();
        }
        self.readers.clear();
        self.pass(None)?;
        let held = self.maps.held().services;
        let strict = self.wants.values().filter(|want| want.has_topology).count();
        let capacity = self.mirror.capacity();
        for (at, want) in &self.wants {
            let lacks_room =
                self.mirror.shortages().of(&want.key.service).find(|(frontend, _)| frontend == at);
            let got = held.get(at).map(|held| sorted(&held.element));
            if lacks_room.is_none() {
                prop_assert_eq!(got.as_ref(), Some(&want.backends));
            }
            if want.has_topology && strict <= capacity.frontends as usize {
                prop_assert!(got.is_some(), "{} is open although there is room", at.address);
            }
        }
        let regions = self.wants.values().map(|want| want.backends.len().saturating_sub(6));
        let worst: usize = regions.map(|tail| if tail == 0 { 0 } else { tail.next_power_of_two() }).sum();
        // Twice as much as is needed, whatever is in pieces.
        if self.wants.len() <= capacity.frontends as usize && worst * 4 <= capacity.backends.v4 as usize {
            prop_assert!(self.mirror.shortages().is_empty(), "{:?}", self.mirror.shortages());
        }
        Ok(())
    }
}

fn sorted(element: &Element) -> Vec<Backend> {
    let mut backends: Vec<Backend> = element.backends.iter().collect();
    backends.sort_unstable();
    backends
}

fn run(fault: Fault, cases: u32) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let acts = prop::collection::vec(act(), 1..60);
    let done = TestRunner::new_with_rng(config, rng).run(&acts, |acts| {
        let mut model = Model::new(fault);
        for act in acts {
            model.act(act)?;
        }
        model.settle()
    });
    done.map_err(|error| error.to_string())
}

#[test]
fn the_maps_never_say_what_is_not_wanted_whatever_happens_in_whatever_order() {
    if let Err(broken) = run(Fault::None, 2_000) {
        panic!("{broken}");
    }
}

#[test]
fn the_model_finds_faults_that_are_planted() {
    for fault in [
        Fault::NoGrace,
        Fault::PutFirst,
        Fault::NotAdmitted,
        Fault::Forgetful,
        Fault::IdsFromOne,
        Fault::NoSuccessor,
        Fault::OldBackends,
        Fault::TakenBack,
    ] {
        assert!(run(fault, 2_000).is_err(), "{fault:?} was not found");
    }
}
