//! A Bloom filter in front of the front end, small enough to stay in the processor's cache.

use crate::family::{Family, Words};
use crate::layout::BLOOM_WORDS;

/// Where the three bits of `key` are: the index of their word in the filter's map (such as
/// [`BLOOM4`](crate::layout::BLOOM4)), and the bits within it.
///
/// A word that lacks one of them proves that `key` is not in the front end. All may be set for
/// the sake of other keys: then only the front end itself can say. With 10,000 keys that is so
/// for less than one stranger in a hundred.
#[must_use]
#[inline(always)]
pub fn place<F: Family>(key: &F::Frontend) -> (u32, u64) {
    let words = bytemuck::cast::<F::Frontend, F::Key>(*key);
    let mut hash = 0;
    let mut at = 0;
    while at < F::Key::COUNT {
        // Fibonacci hashing: every bit of the key reaches the highest bits of the product.
        hash = (hash ^ words.word(at)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        at += 1;
    }
    // The upper half as a part of all words: multiply and shift (Lemire 2016).
    let word = (((hash >> 32) * BLOOM_WORDS as u64) >> 32) as u32;
    (word, 1 << (hash >> 46 & 63) | 1 << (hash >> 40 & 63) | 1 << (hash >> 34 & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::V4;
    use crate::layout::Frontend4;

    const KEYS: u32 = 10_000;

    #[test]
    fn of_ten_thousand_keys_few_others_share_the_bits() {
        for (shows, step, port_step) in [
            ("one address after the other", 1, 0),
            ("spread over a range", 104, 0),
            ("many ports of few addresses", 0, 1),
        ] {
            let key = |index: u32| Frontend4 {
                address: (0x0a60_0001_u32 + index * step).to_be_bytes(),
                port: ((80 + index * port_step) as u16).to_be_bytes(),
                protocol: 6,
                zero: 0,
            };
            let mut words = [0_u64; BLOOM_WORDS as usize];
            for index in 0..KEYS {
                let (word, bits) = place::<V4>(&key(index));
                words[word as usize] |= bits;
            }
            let others = (KEYS..5 * KEYS).map(key);
            let taken = others.filter(|other| {
                let (word, bits) = place::<V4>(other);
                words[word as usize] & bits == bits
            });
            let taken = taken.count();
            assert!(taken < 4 * KEYS as usize / 100, "{shows}: {taken} of {}", 4 * KEYS);
        }
    }
}
