//! What was measured of one contender: blocks, in the order in which they were.

use std::collections::BTreeMap;

use super::client::Block;

/// So many times in the run a figure is taken; the median of those counts. All contenders have them in the same
/// stretches of time, so that a machine which becomes slower changes no ratio.
const STRETCHES: usize = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    blocks: Vec<Block>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    /// The microseconds below which this part of all lies.
    Quantile(f64),
    PerSecond,
}

impl Samples {
    pub(super) fn add(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// Who answered how often.
    pub(super) fn answered(&self) -> BTreeMap<u8, u64> {
        let mut all = BTreeMap::new();
        for (id, times) in self.blocks.iter().flat_map(|block| &block.answered) {
            *all.entry(*id).or_default() += times;
        }
        all
    }

    /// The median over the stretches.
    pub(super) fn figure(&self, figure: Figure) -> f64 {
        median(self.stretches(figure))
    }

    /// How many times that of `base` it is, in the same stretch.
    pub(super) fn ratio(&self, base: &Self, figure: Figure) -> f64 {
        let (own, base) = (self.stretches(figure), base.stretches(figure));
        median(own.iter().zip(base).map(|(own, base)| own / base).collect())
    }

    /// What it is more than that of `base`, in the same stretch.
    pub(super) fn added(&self, base: &Self, figure: Figure) -> f64 {
        let (own, base) = (self.stretches(figure), base.stretches(figure));
        median(own.iter().zip(base).map(|(own, base)| own - base).collect())
    }

    fn stretches(&self, figure: Figure) -> Vec<f64> {
        let length = self.blocks.len().div_ceil(STRETCHES).max(1);
        self.blocks.chunks(length).map(|blocks| figure.of(blocks)).collect()
    }
}

impl Figure {
    fn of(self, blocks: &[Block]) -> f64 {
        match self {
            Self::Quantile(part) => {
                let mut times: Vec<u32> = blocks.iter().flat_map(|block| &block.times).copied().collect();
                times.sort_unstable();
                let at = (times.len().saturating_sub(1) as f64 * part) as usize;
                times.get(at).map_or(f64::NAN, |nanoseconds| f64::from(*nanoseconds) / 1e3)
            }
            Self::PerSecond => {
                let times: usize = blocks.iter().map(|block| block.times.len()).sum();
                let took: u64 = blocks.iter().map(|block| block.took).sum();
                times as f64 / took as f64 * 1e9
            }
        }
    }
}

/// The mean of the two in the middle, if need be; NaN of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    f64::midpoint(values[last / 2], values[last.div_ceil(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three blocks a stretch, `slower` in the second half.
    fn samples(microseconds: u32, slower: u32) -> Samples {
        let mut samples = Samples::default();
        for block in 0..30 {
            let time = if block < 15 { microseconds } else { microseconds * slower } * 1_000;
            samples.add(Block {
                times: vec![time; 100],
                took: u64::from(time) * 100,
                answered: [(1, 100)].into(),
            });
        }
        samples
    }

    #[test]
    fn a_machine_that_becomes_slower_changes_no_ratio() {
        let (none, ours) = (samples(20, 3), samples(30, 3));
        for figure in [Figure::Quantile(0.5), Figure::Quantile(0.99)] {
            assert!((ours.ratio(&none, figure) - 1.5).abs() < 1e-9);
        }
        assert!((ours.ratio(&none, Figure::PerSecond) - 1.0 / 1.5).abs() < 1e-9);
        assert!((samples(30, 1).added(&samples(20, 1), Figure::Quantile(0.5)) - 10.0).abs() < 1e-9);
        assert_eq!(none.answered(), [(1, 3_000)].into());
    }

    #[test]
    fn figures_are_those_of_the_times() {
        let times = (1..=1_000).map(|number| number * 1_000).collect();
        let mut samples = Samples::default();
        samples.add(Block { times, took: 500_000_000, answered: BTreeMap::new() });
        for (figure, expected) in
            [(Figure::Quantile(0.5), 500.0), (Figure::Quantile(0.99), 990.0), (Figure::PerSecond, 2_000.0)]
        {
            assert!((samples.figure(figure) - expected).abs() < 1e-9, "{figure:?}");
        }
        assert!(Samples::default().figure(Figure::PerSecond).is_nan());
    }
}
