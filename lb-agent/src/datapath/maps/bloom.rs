//! The agent's picture of the Bloom filter: which write an element needs before it, and what an audit repairs. Pure.

use std::marker::PhantomData;

use lb_common::bloom::place;
use lb_common::family::Family;
use lb_common::layout::{BLOOM_WORDS, BloomWord};

/// What the filter's map of one IP family holds.
///
/// The bits of a key are set before its element is written, and for as long as it is there. Bits
/// of keys that are gone cost a lookup and nothing else; the next audit clears them.
#[derive(Debug)]
pub(super) struct Filter<F: Family> {
    words: Vec<u64>,
    family: PhantomData<F>,
}

impl<F: Family> Filter<F> {
    /// From the elements of the map.
    pub(super) fn new(elements: Vec<(u32, BloomWord)>) -> Self {
        let mut filter = Self { words: vec![0; BLOOM_WORDS as usize], family: PhantomData };
        for (index, word) in elements {
            filter.wrote(index, word);
        }
        filter
    }

    /// The write that must succeed before the element of `frontend` is written; none where the
    /// key has its bits.
    pub(super) fn lacks(&self, frontend: &F::Frontend) -> Option<(u32, BloomWord)> {
        let (index, bits) = place::<F>(frontend);
        let word = self.words[index as usize];
        (word & bits != bits).then_some((index, BloomWord { bits: word | bits }))
    }

    /// A write succeeded.
    pub(super) fn wrote(&mut self, index: u32, word: BloomWord) {
        if let Some(held) = self.words.get_mut(index as usize) {
            *held = word.bits;
        }
    }

    /// The writes after which the bits are those of `frontends`, all that there are, and whether
    /// one of them lacked its bits.
    pub(super) fn differences<'f>(
        &self,
        frontends: impl Iterator<Item = &'f F::Frontend>,
    ) -> (Vec<(u32, BloomWord)>, bool) {
        let mut right = vec![0; self.words.len()];
        for frontend in frontends {
            let (index, bits) = place::<F>(frontend);
            right[index as usize] |= bits;
        }
        let pairs = (0..).zip(self.words.iter().zip(right));
        let differ = pairs.filter(|(_, (word, right))| *word != right);
        let mut lacked = false;
        let writes = differ.map(|(index, (word, right))| {
            lacked |= right & !word != 0;
            (index, BloomWord { bits: right })
        });
        (writes.collect(), lacked)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use lb_common::family::V4;
    use lb_common::layout::Frontend4;

    use super::*;

    proptest! {
        /// Few addresses and many changes, so that keys share words and bits.
        #[test]
        fn the_bits_of_a_key_are_set_before_its_element_is_written_and_while_it_is_there(
            changes in prop::collection::vec((0_u16..40_000, any::<bool>(), any::<bool>()), 1..400),
        ) {
            let mut filter = Filter::<V4>::new(Vec::new());
            let mut there = BTreeSet::new();
            for (number, goes, audited) in changes {
                let frontend = key(number);
                if goes {
                    there.remove(&frontend);
                } else {
                    if let Some((index, word)) = filter.lacks(&frontend) {
                        filter.wrote(index, word);
                    }
                    there.insert(frontend);
                }
                if audited {
                    let (writes, lacked) = filter.differences(there.iter());
                    prop_assert!(!lacked, "no other program wrote");
                    for (index, word) in writes {
                        filter.wrote(index, word);
                        prop_assert_eq!(there.iter().find_map(|key| filter.lacks(key)), None);
                    }
                    prop_assert_eq!(filter.differences(there.iter()), (Vec::new(), false));
                }
                prop_assert_eq!(there.iter().find_map(|key| filter.lacks(key)), None);
            }
        }
    }

    #[test]
    fn bits_that_another_program_cleared_are_noticed_and_set_again() {
        let (one, other) = (key(1), key(2));
        let mut filter = Filter::<V4>::new(Vec::new());
        for frontend in [one, other] {
            let (index, word) = filter.lacks(&frontend).unwrap();
            filter.wrote(index, word);
        }
        filter.wrote(place::<V4>(&one).0, BloomWord::default());
        let (writes, lacked) = filter.differences([one, other].iter());
        assert!(lacked);
        assert_eq!(writes, [(place::<V4>(&one).0, BloomWord { bits: place::<V4>(&one).1 })]);
    }

    fn key(number: u16) -> Frontend4 {
        let [high, low] = number.to_be_bytes();
        Frontend4 { address: [10, 96, high, low], port: [0, 80], protocol: 6, zero: 0 }
    }
}
