//! Publishes the Service under test over and over, while its neighbours come and go.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lb_agent::datapath::{Grace, grace_period};
use lb_agent::model::Family;
use lb_common::layout::INLINE_BACKENDS;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::history::History;
use super::testbed::Regions;
use super::world::{Dice, backend, foreign, neighbour};
use super::writer::{Count, Prepared, Writer};

/// Sets of the Service under test: inline up to 6, with a region beyond.
const LARGEST: usize = 20;
/// Sets of the neighbours.
const FOREIGN: usize = 12;
/// Neighbours in the bucket of the Service under test. The rest of the map is filled with others.
const MATES: usize = 16;
/// Of these, neighbours that need a region.
const LARGE_MATES: usize = 4;
/// Below it the publisher waits for a grace period: the proof is not about a full map.
const LEAST_ROOM: u32 = 4_096;

/// How the publisher is to go about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) grace: Grace,
    /// Publications of the Service under test; `None` is as fast as it can.
    pub(super) per_second: Option<u32>,
    pub(super) regions: Regions,
}

pub(super) struct Publisher {
    history: Arc<History>,
    before: Count,
    thread: JoinHandle<Result<Writer>>,
}

impl Publisher {
    /// The Service and its neighbours are published, and the programs attached, when this returns.
    pub(super) fn start(mut writer: Writer, pace: Pace, history: &Arc<History>) -> Result<Self> {
        let mut dice = Dice::new(0xed9e);
        let mates = settle(&mut writer, history, &mut dice)?;
        let mut mates = Mates::new(&mut writer, mates)?;
        writer.attach()?;
        let before = writer.count()?;
        let on = Arc::clone(history);
        let thread = thread::spawn(move || {
            if pace.per_second.is_none() {
                take_the_first_processor();
            }
            let published = publish_until_stopped(&mut writer, pace, &mut mates, &on, dice);
            // Clients are not to go on without a publisher.
            on.stop();
            published.map(|()| writer)
        });
        Ok(Self { history: Arc::clone(history), before, thread })
    }

    /// Ends the publisher and all clients, and takes the programs away: what the kernel had counted at first,
    /// and at last.
    pub(super) fn finish(self) -> Result<(Count, Count)> {
        let Self { history, before, thread } = self;
        history.stop();
        let mut writer = thread.join().map_err(|_panic| anyhow!("the publisher panicked"))??;
        let after = writer.count()?;
        writer.remove()?;
        Ok((before, after))
    }
}

/// Publishes the Service under test, finds neighbours in its bucket, and fills the map with others.
fn settle(writer: &mut Writer, history: &History, dice: &mut Dice) -> Result<Vec<SocketAddrV4>> {
    writer.publish(&own(dice), history)?;
    let mut numbers = 0..u16::MAX;
    let mut mates = Vec::new();
    loop {
        let mut candidates = Vec::new();
        while !writer.is_full() {
            let candidate = neighbour(numbers.next().context("no key shares the bucket")?);
            writer.write(candidate, Some(&theirs(dice)))?;
            candidates.push(candidate);
        }
        mates.extend(writer.mates(&candidates)?);
        if mates.len() >= MATES {
            mates.truncate(MATES);
            return Ok(mates);
        }
        for candidate in candidates.iter().filter(|candidate| !mates.contains(candidate)) {
            writer.write(*candidate, None)?;
        }
        // No program runs yet: nothing has to be waited for.
        if let Some(age) = writer.mirror().start_grace() {
            writer.mirror().release(age);
        }
    }
}

/// The neighbours in the bucket.
struct Mates {
    /// Small ones, which come and go as fast as the kernel takes it: they are what a reader meets on its way.
    small: Vec<Prepared>,
    /// Large ones, which take and leave regions.
    large: Vec<SocketAddrV4>,
}

impl Mates {
    fn new(writer: &mut Writer, mut addresses: Vec<SocketAddrV4>) -> Result<Self> {
        let large = addresses.split_off(MATES - LARGE_MATES);
        let backends: Vec<SocketAddrV4> = (0..INLINE_BACKENDS as u8).map(foreign).collect();
        let small = addresses.into_iter().map(|at| writer.prepare(at, &backends));
        Ok(Self { small: small.collect::<Result<_>>()?, large })
    }

    fn come_and_go(&mut self, writer: &mut Writer, regions: Regions, dice: &mut Dice) -> Result<()> {
        if regions == Regions::All {
            // First, so that it is there for the region that was given up just now.
            let at = self.large[dice.throw(self.large.len())];
            let backends = theirs(dice);
            writer.write(at, (!writer.is_published(at)).then_some(backends.as_slice()))?;
        }
        for _ in 0..self.small.len() {
            let chosen = dice.throw(self.small.len());
            writer.toggle(&mut self.small[chosen])?;
        }
        Ok(())
    }
}

fn publish_until_stopped(
    writer: &mut Writer,
    pace: Pace,
    mates: &mut Mates,
    history: &History,
    mut dice: Dice,
) -> Result<()> {
    let mut graces = Graces::new(pace.grace);
    let pause = pace.per_second.map_or(Duration::ZERO, |per_second| Duration::from_secs(1) / per_second);
    let mut due = Instant::now();
    while !history.is_stopped() {
        // A publisher that was held up makes up for it, but not for more than a moment.
        due = (due + pause).max(Instant::now() - Duration::from_millis(100));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        writer.publish(&own(&mut dice), history)?;
        graces.see_to(writer)?;
        // At times the same Service once more, which wants a region at once.
        if dice.throw(2) == 0 {
            mates.come_and_go(writer, pace.regions, &mut dice)?;
        }
    }
    Ok(())
}

/// As fast as it can is faster on a processor of its own, which the clients leave to the publisher. Where that may
/// not be, the publisher is slower, and says so in its numbers.
pub(super) fn take_the_first_processor() {
    let mut first = CpuSet::new();
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    if let Some(cpu) = (0..CpuSet::count()).find(|cpu| ours.is_set(*cpu) == Ok(true)) {
        first.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &first)).ok();
    }
    // SAFETY: the call takes no pointers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

fn own(dice: &mut Dice) -> Vec<SocketAddrV4> {
    let count = 1 + dice.throw(LARGEST);
    dice.hand(count).into_iter().map(backend).collect()
}

fn theirs(dice: &mut Dice) -> Vec<SocketAddrV4> {
    let count = 1 + dice.throw(FOREIGN);
    dice.hand(count).into_iter().map(foreign).collect()
}

/// Grace periods are waited for in a thread of their own, as the agent does.
struct Graces {
    grace: Grace,
    begin: Sender<u64>,
    passed: Receiver<u64>,
    is_running: bool,
}

impl Graces {
    fn new(grace: Grace) -> Self {
        let (begin, begun) = channel::<u64>();
        let (pass_on, passed) = channel();
        // It ends when one of the channels does.
        thread::spawn(move || {
            for age in begun {
                grace_period(grace);
                if pass_on.send(age).is_err() {
                    return;
                }
            }
        });
        Self { grace, begin, passed, is_running: false }
    }

    fn see_to(&mut self, writer: &mut Writer) -> Result<()> {
        if self.grace == Grace::None {
            if let Some(age) = writer.mirror().start_grace() {
                writer.mirror().release(age);
            }
            return Ok(());
        }
        let is_short = Family::ALL.iter().any(|family| writer.mirror().free_backends(*family) < LEAST_ROOM);
        let passed =
            if self.is_running && is_short { self.passed.recv().ok() } else { self.passed.try_recv().ok() };
        if let Some(age) = passed {
            writer.mirror().release(age);
            self.is_running = false;
        }
        if !self.is_running
            && let Some(age) = writer.mirror().start_grace()
        {
            self.begin.send(age).context("the thread for grace periods has ended")?;
            self.is_running = true;
        }
        Ok(())
    }
}
