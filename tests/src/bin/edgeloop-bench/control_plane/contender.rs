//! What is measured: a program that follows the API server, and what it took.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::changes::make;
use super::control::Control;
use super::effect::Effect;
use super::gate::Gate;
use super::ground::Ground;
use super::times::Times;
use super::weigh::{Memory, memory, processor_time};

/// When nothing more has taken effect for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(20);

/// A program that has everything, and serves it.
pub(crate) trait Contender {
    fn pid(&self) -> u32;
    fn gate(&self) -> &Gate;
    fn cold(&self) -> Cold;
    /// Sees when changes are in the kernel.
    fn watch(&self, ground: &Ground, times: Times) -> Result<Box<dyn Watch>>;
}

pub(crate) trait Watch {
    /// To be called with a change and its Service, before it is made.
    fn announcer(&self) -> Box<dyn Fn(u32, u32) -> Result<()> + Send>;
    fn end(self: Box<Self>) -> Result<()>;
}

/// How it came up.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cold {
    /// Seconds from the start of the process until the kernel had everything.
    pub(crate) in_sync: f64,
    /// Milliseconds of that from the end of the lists on; `None` where the program does not tell.
    pub(crate) completing: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Trial {
    pub(crate) cold: Cold,
    /// After a rest.
    pub(crate) memory: Memory,
    pub(crate) changes: Effect,
    pub(crate) control: Effect,
    /// Milliseconds that kube-proxy says it takes to bring its rules up to what has changed.
    pub(crate) partial_sync: Option<f64>,
    /// Seconds until it was in sync, and altogether.
    pub(crate) processor_cold: f64,
    pub(crate) processor: f64,
    /// MB from the API server until it was in sync, and altogether.
    pub(crate) bytes_cold: f64,
    pub(crate) bytes: f64,
}

/// Lets it rest, and makes changes with these numbers.
pub(crate) fn try_out(
    ground: &Ground,
    contender: &impl Contender,
    rest: Duration,
    numbers: std::ops::Range<u32>,
) -> Result<Trial> {
    let (processor_cold, bytes_cold) = so_far(contender)?;
    thread::sleep(rest);
    let memory = memory(contender.pid())?;
    let (changes, control) = effects(ground, contender, numbers)?;
    let (processor, bytes) = so_far(contender)?;
    let cold = contender.cold();
    let partial_sync = None;
    Ok(Trial { cold, memory, changes, control, partial_sync, processor_cold, processor, bytes_cold, bytes })
}

fn so_far(contender: &impl Contender) -> Result<(f64, f64)> {
    let processor = processor_time(contender.pid())?.as_secs_f64();
    Ok((processor, contender.gate().bytes() as f64 / 1e6))
}

fn effects(
    ground: &Ground,
    contender: &impl Contender,
    numbers: std::ops::Range<u32>,
) -> Result<(Effect, Effect)> {
    let times = || Times::new(numbers.start, numbers.end - numbers.start);
    let (arrived, effective) = (times(), times());
    let _control = Control::start(&ground.cluster, arrived.clone())?;
    let watch = contender.watch(ground, effective.clone())?;
    let answered = make(ground.cluster.api(), ground.population, numbers.clone(), watch.announcer())?;
    effective.wait(QUIET);
    arrived.wait(QUIET);
    watch.end()?;
    let services = ground.population.services;
    let changes = Effect::new(&answered, &effective, services).context("in the kernel")?;
    let control = Effect::new(&answered, &arrived, services).context("at the bare watcher")?;
    Ok((changes, control))
}
