//! Making changes at a steady pace, and noting when the API server has answered each.

use std::time::{Duration, Instant};

use anyhow::Result;
use edgeloop_tests::cluster::{Api, Patch};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::population::{Population, SliceChange};
use super::times::Times;

/// 100 a second.
const PERIOD: Duration = Duration::from_millis(10);
/// For the last answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Changes with these numbers, of which each is announced before it is made.
pub(crate) fn make(
    api: &Api,
    population: Population,
    numbers: std::ops::Range<u32>,
    announce: impl Fn(u32, u32) -> Result<()> + Send + 'static,
) -> Result<Times> {
    let answered = Times::new(numbers.start, numbers.end - numbers.start);
    let (times, at) = (answered.clone(), api.clone());
    let lasts = PERIOD * (numbers.end - numbers.start) + PATIENCE;
    api.run_within(lasts, async move {
        let mut clock = interval(PERIOD);
        // A pace that is kept on the whole.
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut running = JoinSet::new();
        for number in numbers {
            clock.tick().await;
            let service = population.changed_by(number);
            announce(number, service)?;
            let SliceChange { path, patch } = SliceChange::new(number, service);
            let (api, times) = (at.clone(), times.clone());
            running.spawn(async move {
                times.mark(number, answer(&api, &path, Patch::Json, &patch).await?);
                anyhow::Ok(())
            });
            while let Some(done) = running.try_join_next() {
                done??;
            }
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        anyhow::Ok(())
    })??;
    Ok(answered)
}

/// Makes one change, and says when it was answered.
pub(crate) fn make_one(api: &Api, path: String, patch: Value) -> Result<Instant> {
    let at = api.clone();
    api.run(async move { answer(&at, &path, Patch::Merge, &patch).await })?
}

async fn answer(api: &Api, path: &str, how: Patch, patch: &Value) -> Result<Instant> {
    api.change(path, how, patch).await?;
    Ok(Instant::now())
}
