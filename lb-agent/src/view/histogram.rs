//! How long something took, counted by ranges. Pure.

/// Counts by ranges, each up to a bound; the last one has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// In seconds, ascending.
    bounds: Vec<f64>,
    /// One more than there are bounds.
    counts: Vec<u64>,
    /// In seconds.
    sum: f64,
}

impl Histogram {
    /// With the bounds of kube-proxy's `network_programming_duration_seconds` (pkg/proxy/metrics).
    #[must_use]
    pub fn of_kube_proxy() -> Self {
        let seconds =
            |from: u32, step: u32, count: u32| (0..count).map(move |number| f64::from(from + step * number));
        let bounds = [0.25, 0.5].into_iter().chain(seconds(1, 1, 59)).chain(seconds(60, 5, 12));
        Self::new(bounds.chain(seconds(120, 30, 7)).collect())
    }

    /// From 1 ms to 16 s, each bound twice the one before.
    #[must_use]
    pub fn of_passes() -> Self {
        Self::new((0..15).map(|power| f64::from(1 << power) / 1000.0).collect())
    }

    fn new(bounds: Vec<f64>) -> Self {
        Self { counts: vec![0; bounds.len() + 1], bounds, sum: 0.0 }
    }

    /// A time that is negative, as clocks differ, counts as none.
    pub fn observe(&mut self, seconds: f64) {
        let seconds = seconds.max(0.0);
        let place = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        self.counts[place] += 1;
        self.sum += seconds;
    }

    /// Each range by its upper bound, with how often it was met; the last one is infinite.
    #[must_use]
    pub fn ranges(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied()).collect()
    }

    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_the_range_whose_bound_it_does_not_pass() {
        let mut histogram = Histogram::of_kube_proxy();
        assert_eq!(histogram.ranges().len(), 81);
        for seconds in [-3.0, 0.25, 0.26, 1.0, 59.0, 59.5, 61.0, 118.0, 121.0, 300.0, 301.0] {
            histogram.observe(seconds);
        }
        let met: Vec<f64> =
            histogram.ranges().into_iter().filter(|(_, count)| *count > 0).map(|(bound, _)| bound).collect();
        assert_eq!(met, [0.25, 0.5, 1.0, 59.0, 60.0, 65.0, 120.0, 150.0, 300.0, f64::INFINITY]);
        assert_eq!(histogram.count(), 11);
        assert!((histogram.sum() - 1021.01).abs() < 1e-9, "{}", histogram.sum());
    }
}
