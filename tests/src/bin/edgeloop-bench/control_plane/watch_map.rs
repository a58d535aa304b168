//! Looking at elements of the pinned map until each is as a change wants it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use edgeloop_tests::Node;
use edgeloop_tests::bpf::Pinned;
use lb_agent::datapath::maps::pinned::folder;
use lb_common::layout::{Frontend4, SERVICES4, Service4};

use super::contender::Watch;
use super::population::frontend;
use super::times::Times;

/// Between two looks. With the kernel's slack and on busy CPUs it is a little more.
pub(crate) const PAUSE: Duration = Duration::from_micros(200);
/// No more elements are looked at in one go: of many that wait, all but the first wait for those.
const AT_ONCE: usize = 16;
/// A look at the end of what is waited for.
const IDLE: Duration = Duration::from_secs(60);

/// When a change is in effect.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// The element is another one than when it was announced.
    Differs,
    /// The Service has so many backends.
    Backends(u16),
}

/// A thread that looks. A change is marked with the last of its elements.
pub(crate) struct MapWatch {
    announcer: Announcer,
    thread: JoinHandle<Result<()>>,
}

type ServiceMap = Pinned<Frontend4, Service4>;

/// An element that a change will write.
struct Wanted {
    change: u32,
    key: Frontend4,
    until: Until,
    before: Option<Service4>,
}

impl MapWatch {
    pub(crate) fn start(node: &Node, times: Times) -> Result<Self> {
        let map: Arc<ServiceMap> = Arc::new(Pinned::open(&folder(&node.pin_root()).join(SERVICES4.pin))?);
        let (tell, told) = channel();
        let look = Look { map: Arc::clone(&map), times, waiting: VecDeque::new() };
        let thread = thread::Builder::new().name("look at the map".to_owned());
        let thread = thread.spawn(move || look.run(&told))?;
        Ok(Self { announcer: Announcer { map, tell }, thread })
    }

    pub(crate) fn announce(&self, change: u32, key: Frontend4, until: Until) -> Result<()> {
        self.announcer.announce(change, key, until)
    }
}

impl Watch for MapWatch {
    fn announcer(&self) -> Box<dyn Fn(u32, u32) -> Result<()> + Send> {
        let announcer = self.announcer.clone();
        Box::new(move |change, service| announcer.announce(change, frontend(service), Until::Differs))
    }

    /// Once no more are announced. What still waits is given up.
    fn end(self: Box<Self>) -> Result<()> {
        let Self { announcer, thread } = *self;
        drop(announcer);
        match thread.join() {
            Ok(result) => result,
            Err(_panic) => bail!("the thread that looks at the map panicked"),
        }
    }
}

/// Elements are announced before their change is made.
#[derive(Clone)]
struct Announcer {
    map: Arc<ServiceMap>,
    tell: Sender<Wanted>,
}

impl Announcer {
    fn announce(&self, change: u32, key: Frontend4, until: Until) -> Result<()> {
        let before = self.map.read(&key).context("could not look at the map")?;
        self.tell.send(Wanted { change, key, until, before }).ok().context("the map is no longer watched")
    }
}

struct Look {
    map: Arc<ServiceMap>,
    times: Times,
    waiting: VecDeque<Wanted>,
}

impl Look {
    fn run(mut self, told: &Receiver<Wanted>) -> Result<()> {
        loop {
            let pause = if self.waiting.is_empty() { IDLE } else { PAUSE };
            match told.recv_timeout(pause) {
                Ok(wanted) => self.take(wanted),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.look()?;
        }
    }

    fn take(&mut self, wanted: Wanted) {
        // An earlier change of the same element is overtaken: what will be seen is no longer its own.
        if matches!(wanted.until, Until::Differs) {
            self.waiting.retain(|earlier| earlier.key != wanted.key);
        }
        self.waiting.push_back(wanted);
    }

    fn look(&mut self) -> Result<()> {
        let mut at = 0;
        while at < AT_ONCE
            && let Some(wanted) = self.waiting.get(at)
        {
            let now = self.map.read(&wanted.key).context("could not look at the map")?;
            let is_so = match wanted.until {
                Until::Differs => now != wanted.before,
                Until::Backends(count) => now.is_some_and(|now| now.count == count),
            };
            if !is_so {
                at += 1;
                continue;
            }
            let change = wanted.change;
            self.waiting.remove(at);
            if !self.waiting.iter().any(|wanted| wanted.change == change) {
                self.times.mark(change, Instant::now());
            }
        }
        Ok(())
    }
}
