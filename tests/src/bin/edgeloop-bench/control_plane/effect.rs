//! From the API server's answer until a change is in effect.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::times::Times;

/// Milliseconds; below zero where it was in effect before the answer was back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Effect {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) changes: usize,
    /// Of the changes: never in effect, because a later one to the same Service was sooner.
    pub(crate) superseded: usize,
}

impl Effect {
    /// Of changes that walk over so many Services, and over all of them again.
    ///
    /// # Errors
    /// A change that was not overtaken never took effect.
    pub(crate) fn new(answered: &Times, seen: &Times, services: u32) -> Result<Self> {
        let (times, superseded) = samples(answered, seen, services)?;
        Ok(Self { superseded, ..Self::of(times) })
    }

    pub(crate) fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times.get((times.len().saturating_sub(1) as f64 * part) as usize).copied();
        let at = |part: f64| at(part).unwrap_or(f64::NAN);
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0), changes: times.len(), superseded: 0 }
    }
}

/// Each change's milliseconds, and how many changes a later one overtook.
///
/// # Errors
/// As [`Effect::new`].
pub(crate) fn samples(answered: &Times, seen: &Times, services: u32) -> Result<(Vec<f64>, usize)> {
    let mut times = Vec::new();
    let mut superseded = 0;
    for number in answered.numbers() {
        match (answered.at(number), seen.at(number)) {
            (Some(answered), Some(seen)) => times.push(signed_millis(answered, seen)),
            (_, None) => {
                let later = (number..answered.numbers().end).step_by(services as usize).skip(1);
                ensure!(
                    later.into_iter().any(|later| seen.at(later).is_some()),
                    "change {number} never took effect"
                );
                superseded += 1;
            }
            (None, Some(_)) => {}
        }
    }
    Ok((times, superseded))
}

pub(crate) fn signed_millis(from: std::time::Instant, to: std::time::Instant) -> f64 {
    let ahead = to.saturating_duration_since(from).as_secs_f64();
    let behind = from.saturating_duration_since(to).as_secs_f64();
    (ahead - behind) * 1e3
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn an_overtaken_change_is_counted_and_a_lost_one_is_an_error() {
        let (answered, seen, start) = (Times::new(10, 4), Times::new(10, 4), Instant::now());
        for number in 10..14 {
            answered.mark(number, start + Duration::from_millis(10));
        }
        // Changes 10 and 12 are made to one of two Services, 11 and 13 to the other.
        seen.mark(11, start + Duration::from_millis(14));
        seen.mark(12, start + Duration::from_millis(8));
        assert!(Effect::new(&answered, &seen, 2).is_err());
        seen.mark(13, start + Duration::from_millis(12));
        let effect = Effect::new(&answered, &seen, 2).unwrap();
        assert_eq!((effect.changes, effect.superseded), (3, 1));
        assert!((effect.p50 - 2.0).abs() < 1e-6 && (effect.max - 4.0).abs() < 1e-6, "{effect:?}");
    }
}
