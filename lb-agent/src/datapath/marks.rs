//! The marks of the front end's keys: set before an element is written, cleared when all is read back.

use lb_common::layout::{Frontend4, MARK_WORDS, Marks};
use lb_common::marks::place4;

use super::map::Map;
use super::{ReadError, WriteError};

/// What the map of marks holds.
///
/// Every prefix of the writes leaves each key that is in the front end marked. Marks of keys that
/// are gone cost time and nothing else, until [`settle`](Self::settle).
#[derive(Debug)]
pub(super) struct Marked {
    words: Vec<u64>,
}

impl Marked {
    pub(super) fn read(map: &Map<u32, Marks>) -> Result<Self, ReadError> {
        let mut words = vec![0; MARK_WORDS as usize];
        for (index, marks) in map.all()? {
            if let Some(word) = words.get_mut(index as usize) {
                *word = marks.bits;
            }
        }
        Ok(Self { words })
    }

    /// Marks `frontend`, whose element may be written once this has succeeded.
    pub(super) fn mark(&mut self, map: &Map<u32, Marks>, frontend: &Frontend4) -> Result<(), WriteError> {
        let (index, bits) = place4(frontend);
        let word = &mut self.words[index as usize];
        if *word & bits != bits {
            map.put(&index, &Marks { bits: *word | bits })?;
            *word |= bits;
        }
        Ok(())
    }

    /// Brings the marks to those of `frontends`, all that there are; how many words were wrong for
    /// lack of a mark, which nobody but a stranger can have taken away.
    pub(super) fn settle<'f>(
        &mut self,
        map: &Map<u32, Marks>,
        frontends: impl Iterator<Item = &'f Frontend4>,
    ) -> Result<usize, WriteError> {
        let mut right = vec![0; self.words.len()];
        for frontend in frontends {
            let (index, bits) = place4(frontend);
            right[index as usize] |= bits;
        }
        let mut lacking = 0;
        for (index, (word, right)) in (0..).zip(self.words.iter_mut().zip(right)) {
            if *word != right {
                map.put(&index, &Marks { bits: right })?;
                lacking += usize::from(right & !*word != 0);
                *word = right;
            }
        }
        Ok(lacking)
    }
}
