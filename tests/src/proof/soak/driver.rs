//! Changes what there is, and disturbs the agent; the clients' histories say what is allowed meanwhile.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lb_common::layout::INLINE_BACKENDS;

use super::draw::Draw;
use super::ids::Ids;
use super::in_kernel::{Deletion, InKernel};
use super::manifest::manifest;
use super::process::{Process, Start};
use super::{Soaking, Strain};
use crate::Pod;
use crate::ours::agent::Folder;
use crate::proof::history::Histories;
use crate::proof::services::{Holder, States, allowed};
use crate::proof::testbed::in_memory;
use crate::proof::world::{ADDRESSES, Set, UNTOUCHED, keeps_clients};

/// How long a change may take until the kernel has it.
const PATIENCE: Duration = Duration::from_secs(20);
/// An agent that goes on with maps of an earlier one fills no region before a grace period has passed, and until then serves
/// a part of what stays.
const FENCED: Duration = Duration::from_secs(1);

/// How long clients dial before programs are attached for the first time.
const UNATTACHED: Duration = Duration::from_millis(700);
/// A life of an agent lasts that long at least, and twice as long at most.
const LIFE: Duration = Duration::from_millis(1_000);
/// The first one is longer.
const FIRST_LIFE: Duration = Duration::from_millis(2_000);

/// The thread that asks for changes and disturbs the agent.
pub(in crate::proof) struct Driver {
    histories: Histories,
    thread: JoinHandle<Result<Strain>>,
}

impl Driver {
    /// No program is attached yet when this returns: that happens under the load of the clients, which are there.
    pub(in crate::proof) fn start(host: Arc<Pod>, soaking: &Soaking, histories: &Histories) -> Result<Self> {
        let mut world = World::new(host, soaking, histories)?;
        let on = histories.clone();
        // The agent ends with the thread that started it.
        let thread = thread::spawn(move || {
            go_first();
            let strain = world.begin().and_then(|()| world.soak());
            // The clients are not to go on without a driver.
            on.stop();
            strain.with_context(|| world.process.log())
        });
        Ok(Self { histories: histories.clone(), thread })
    }

    /// What is allowed before it starts.
    pub(in crate::proof) fn announce_nothing(histories: &Histories) {
        for address in 0..ADDRESSES {
            histories.announce(address, UNTOUCHED);
            histories.done(address);
        }
    }

    /// Ends it and all clients.
    pub(in crate::proof) fn finish(self) -> Result<Strain> {
        self.histories.stop();
        self.thread.join().map_err(|_panic| anyhow!("the driver panicked"))?
    }
}

/// The agent inherits it: clients that dial as fast as they can leave no time to what is waited for.
fn go_first() {
    // SAFETY: the call takes no pointers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

struct World {
    process: Process,
    folder: Folder,
    histories: Histories,
    draw: Draw,
    /// What was asked for last.
    asked: States,
    /// What the kernel was seen to hold last.
    held: States,
    addresses: [Address; ADDRESSES as usize],
    always_resized: bool,
    /// A bit for each whose name was deleted during this life: if that is not repaired in time, its id changes.
    unnamed: Set,
    /// The maps of the agent that runs.
    maps: Option<InKernel>,
    /// Who had which service id.
    ids: Ids,
    /// Between two changes.
    pause: Duration,
    due: Instant,
    ready_at: Instant,
    strain: Strain,
}

/// How the kernel stands to what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Held,
    /// It may have something older.
    Pending,
    /// An entry was deleted: not changed before it is back.
    Spoiled,
}

/// Whether it needs a region.
fn is_large(holder: Option<Holder>) -> bool {
    holder.is_some_and(|holder| holder.backends.count_ones() as usize > INLINE_BACKENDS)
}

impl World {
    fn new(host: Arc<Pod>, soaking: &Soaking, histories: &Histories) -> Result<Self> {
        let Soaking { seed, per_second, builds, always_resized } = soaking.clone();
        let folder = Folder::of(host.node())?;
        in_memory(folder.path())?;
        folder.put("node.yaml", &format!("node {}", host.node().name()))?;
        let now = Instant::now();
        Ok(Self {
            process: Process::new(host, builds),
            folder,
            histories: histories.clone(),
            draw: Draw::new(seed),
            asked: [None; ADDRESSES as usize],
            held: [None; ADDRESSES as usize],
            addresses: [Address::Held; ADDRESSES as usize],
            unnamed: 0,
            always_resized,
            maps: None,
            ids: Ids::default(),
            pause: Duration::from_secs(1) / per_second.max(1),
            due: now,
            ready_at: now,
            strain: Strain::default(),
        })
    }

    /// The first states, once the clients dial.
    fn begin(&mut self) -> Result<()> {
        thread::sleep(UNATTACHED);
        let next = self.draw.all(&self.asked);
        self.ask(&next)?;
        self.process.spawn(Start::Again)?;
        self.follow()?;
        self.await_changed()
    }

    fn soak(&mut self) -> Result<Strain> {
        let mut life = FIRST_LIFE;
        while !self.histories.is_stopped() {
            self.live(Instant::now() + life)?;
            if self.histories.is_stopped() {
                break;
            }
            self.die_and_come_back()?;
            life = LIFE + self.draw_time(LIFE);
        }
        self.process.kill()?;
        Ok(self.strain)
    }

    /// Changes, and now and then a deleted entry, until then.
    fn live(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until && !self.histories.is_stopped() {
            if self.draw.dice.throw(40) == 0 {
                self.spoil()?;
            }
            let next = self.draw.all(&self.asked);
            let changed = self.ask(&next)?;
            self.await_changed()?;
            // A driver that was held up makes up for it, but not for more than a moment.
            self.due = (self.due + self.pause * changed).max(Instant::now() - Duration::from_millis(100));
            thread::sleep(self.due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Kills the agent in the middle of a change, changes more, and starts it again; the start may be killed, too.
    fn die_and_come_back(&mut self) -> Result<()> {
        let began = Instant::now();
        self.ask_for_some()?;
        let unnamed = std::mem::take(&mut self.unnamed);
        for address in 0..ADDRESSES {
            let place = usize::from(address);
            let is_cut = self.addresses[place] == Address::Pending && is_large(self.asked[place]);
            if is_cut || unnamed & 1 << address != 0 {
                self.interrupt(address, 0);
            }
        }
        thread::sleep(self.draw_time(Duration::from_millis(6)));
        self.maps = None;
        self.process.kill()?;
        self.strain.deaths += 1;
        loop {
            for _ in 0..self.draw.dice.throw(3) {
                self.strain.while_dead += u64::from(self.ask_for_some()?);
            }
            let start = self.draw_start();
            self.process.spawn(start)?;
            if self.draw.dice.throw(4) == 0 {
                thread::sleep(self.draw_time(Duration::from_millis(400)));
                self.process.kill()?;
                self.strain.deaths += 1;
                self.strain.deaths_at_start += 1;
                continue;
            }
            self.strain.while_dead += u64::from(self.ask_for_some()?);
            match start {
                Start::Again => self.strain.restarts += 1,
                Start::Resized => self.strain.resizes += 1,
                Start::OtherBuild => self.strain.upgrades += 1,
            }
            self.follow()?;
            self.strain.without_agent += began.elapsed();
            return self.await_changed();
        }
    }

    /// Once the agent is ready, its maps show what the programs do.
    fn follow(&mut self) -> Result<()> {
        self.maps = Some(self.process.ready()?);
        self.ready_at = Instant::now();
        Ok(())
    }

    /// Some change, and some stay as they are through a death: what is to be kept is seen there.
    fn ask_for_some(&mut self) -> Result<u32> {
        let mut next = self.asked;
        for held in &mut next {
            if self.draw.dice.throw(3) == 0 {
                *held = self.draw.next(*held);
            }
        }
        self.ask(&next)
    }

    /// Asks for the next states, and says so first. Returns how many change.
    fn ask(&mut self, next: &States) -> Result<u32> {
        let mut changed = 0;
        for address in 0..ADDRESSES {
            let place = usize::from(address);
            let (now, then) = (self.asked[place], next[place]);
            // Asked for again, what the kernel held last would look as if it were published, before what lies between.
            let is_back = self.addresses[place] == Address::Pending && then == self.held[place];
            if now == then || is_back || self.addresses[place] == Address::Spoiled {
                continue;
            }
            // Another Service knows nothing of the clients of the one before.
            let is_another = now.map(|now| now.service) != then.map(|then| then.service);
            if self.is_fenced() && is_large(then) || keeps_clients(address) && is_another {
                self.histories.announce(address, 0);
            }
            self.histories.announce(address, allowed(then));
            self.addresses[place] = Address::Pending;
            self.asked[place] = then;
            self.put(address, then)?;
            self.count(now, then);
            changed += 1;
        }
        Ok(changed)
    }

    /// Whether the agent may fill no region.
    fn is_fenced(&self) -> bool {
        self.maps.is_none() || self.ready_at.elapsed() < FENCED
    }

    fn put(&self, address: u8, holder: Option<Holder>) -> Result<()> {
        let name = format!("s{address}.yaml");
        // A file that is removed counts as gone after 20 ms, since editors do that in between; one without an object does at once.
        let text = holder.map_or_else(|| "# nothing\n".to_owned(), |holder| manifest(address, holder));
        self.folder.put_text(&name, &text)
    }

    fn count(&mut self, now: Option<Holder>, then: Option<Holder>) {
        self.strain.changes += 1;
        match (now, then) {
            (None, Some(_)) => self.strain.created += 1,
            (Some(_), None) => self.strain.deleted += 1,
            (Some(now), Some(then)) if now.service != then.service => self.strain.reused += 1,
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Deletes an entry behind the agent's back. What may come of it is allowed until the entry is back.
    fn spoil(&mut self) -> Result<()> {
        let address = self.draw.dice.throw(usize::from(ADDRESSES)) as u8;
        let what = Deletion::ALL[self.draw.dice.throw(Deletion::ALL.len())];
        let place = usize::from(address);
        let Some(maps) = self.maps.as_ref() else { return Ok(()) };
        if self.addresses[place] != Address::Held || self.asked[place].is_none() {
            return Ok(());
        }
        self.histories.announce(address, what.allows());
        let deleted = maps.delete(address, what)?;
        self.histories.announce(address, allowed(self.asked[place]));
        self.addresses[place] = Address::Spoiled;
        self.strain.deletions += u64::from(deleted);
        if what == Deletion::Name {
            self.unnamed |= 1 << address;
        }
        Ok(())
    }

    /// For a moment this is allowed besides.
    fn interrupt(&mut self, address: u8, besides: Set) {
        let place = usize::from(address);
        self.histories.announce(address, besides);
        self.histories.announce(address, allowed(self.asked[place]));
        if self.addresses[place] == Address::Held {
            self.addresses[place] = Address::Pending;
        }
    }

    /// Waits until the kernel has all that was asked for, and says so. What was deleted may come back later.
    fn await_changed(&mut self) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        let maps = self.maps.as_ref().context("no agent runs")?;
        loop {
            for address in 0..ADDRESSES {
                let place = usize::from(address);
                if self.addresses[place] != Address::Held && maps.holds(address, self.asked[place])? {
                    self.histories.done(address);
                    self.addresses[place] = Address::Held;
                    self.held[place] = self.asked[place];
                    self.strain.ids_used_again += self.ids.note(maps.ids(address)?);
                }
            }
            if self.strain.ids_used_again > 0 {
                self.histories.stop();
            }
            if !self.addresses.contains(&Address::Pending) {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "the agent does not publish what was asked for: {:?}, {:?}\n{}",
                self.asked,
                self.addresses,
                self.process.log()
            );
            thread::sleep(Duration::from_micros(50));
        }
    }

    fn draw_start(&mut self) -> Start {
        match self.draw.dice.throw(4) {
            _ if self.always_resized => Start::Resized,
            0 => Start::Resized,
            1 if self.process.has_other_builds() => Start::OtherBuild,
            _ => Start::Again,
        }
    }

    fn draw_time(&mut self, below: Duration) -> Duration {
        Duration::from_micros(self.draw.dice.throw(below.as_micros() as usize) as u64)
    }
}
