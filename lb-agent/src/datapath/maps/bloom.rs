//! The marks of the front end's keys: which write an element needs before it, and what an audit mends.

use lb_common::layout::{Frontend4, MARK_WORDS, Marks};
use lb_common::marks::place4;

/// What the map of marks holds.
///
/// A key is marked before its element is written, and for as long as it is there. Marks of keys
/// that are gone cost a lookup and nothing else; the next audit clears them.
#[derive(Debug)]
pub(super) struct Marked {
    words: Vec<u64>,
}

impl Marked {
    /// From the elements of the map.
    pub(super) fn new(elements: Vec<(u32, Marks)>) -> Self {
        let mut marked = Self { words: vec![0; MARK_WORDS as usize] };
        for (index, marks) in elements {
            marked.wrote(index, marks);
        }
        marked
    }

    /// The write that must succeed before the element of `frontend` is written; none where the
    /// key is marked.
    pub(super) fn lacks(&self, frontend: &Frontend4) -> Option<(u32, Marks)> {
        let (index, bits) = place4(frontend);
        let word = self.words[index as usize];
        (word & bits != bits).then_some((index, Marks { bits: word | bits }))
    }

    /// A write succeeded.
    pub(super) fn wrote(&mut self, index: u32, marks: Marks) {
        if let Some(word) = self.words.get_mut(index as usize) {
            *word = marks.bits;
        }
    }

    /// The writes after which the marks are those of `frontends`, all that there are, and whether
    /// one of them was unmarked.
    pub(super) fn differences<'f>(
        &self,
        frontends: impl Iterator<Item = &'f Frontend4>,
    ) -> (Vec<(u32, Marks)>, bool) {
        let mut right = vec![0; self.words.len()];
        for frontend in frontends {
            let (index, bits) = place4(frontend);
            right[index as usize] |= bits;
        }
        let pairs = (0..).zip(self.words.iter().zip(right));
        let differ = pairs.filter(|(_, (word, right))| *word != right);
        let mut unmarked = false;
        let writes = differ.map(|(index, (word, right))| {
            unmarked |= right & !word != 0;
            (index, Marks { bits: right })
        });
        (writes.collect(), unmarked)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few addresses and many changes, so that keys share words and bits.
        #[test]
        fn a_key_is_marked_before_its_element_is_written_and_while_it_is_there(
            changes in prop::collection::vec((0_u16..40_000, any::<bool>(), any::<bool>()), 1..400),
        ) {
            let mut marked = Marked::new(Vec::new());
            let mut there = BTreeSet::new();
            for (number, goes, audited) in changes {
                let frontend = key(number);
                if goes {
                    there.remove(&frontend);
                } else {
                    if let Some((index, marks)) = marked.lacks(&frontend) {
                        marked.wrote(index, marks);
                    }
                    there.insert(frontend);
                }
                if audited {
                    let (writes, unmarked) = marked.differences(there.iter());
                    prop_assert!(!unmarked, "nobody but us wrote");
                    for (index, marks) in writes {
                        marked.wrote(index, marks);
                        prop_assert_eq!(there.iter().find_map(|key| marked.lacks(key)), None);
                    }
                    prop_assert_eq!(marked.differences(there.iter()), (Vec::new(), false));
                }
                prop_assert_eq!(there.iter().find_map(|key| marked.lacks(key)), None);
            }
        }
    }

    #[test]
    fn marks_that_a_stranger_cleared_are_noticed_and_set_again() {
        let (one, other) = (key(1), key(2));
        let mut marked = Marked::new(Vec::new());
        for frontend in [one, other] {
            let (index, marks) = marked.lacks(&frontend).unwrap();
            marked.wrote(index, marks);
        }
        marked.wrote(place4(&one).0, Marks::default());
        let (writes, unmarked) = marked.differences([one, other].iter());
        assert!(unmarked);
        assert_eq!(writes, [(place4(&one).0, Marks { bits: place4(&one).1 })]);
    }

    fn key(number: u16) -> Frontend4 {
        let [high, low] = number.to_be_bytes();
        Frontend4 { address: [10, 96, high, low], port: [0, 80], protocol: 6, zero: 0 }
    }
}
