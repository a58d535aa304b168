//! Choosing a backend, and the check word that proves a value.

use core::hint::black_box;

use crate::layout::{Backend4, Frontend4, INLINE_BACKENDS, Service4};

/// A [`Service4`] as words: what a program copies out of the map, and reads without a detour
/// over memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words4(pub [u64; size_of::<Service4>() / 8]);

impl Words4 {
    /// Whether the value's check word proves it under `key`.
    #[must_use]
    #[inline(always)]
    pub fn proven(&self, key: &Frontend4) -> bool {
        check_words(bytemuck::cast(*key), &self.0) == (self.0[8] >> 32) as u32
    }

    /// [`Service4::id`] and [`Service4::revision`], as a region entry begins with.
    #[must_use]
    #[inline(always)]
    pub const fn owner(&self) -> u64 {
        self.0[0]
    }

    /// [`Service4::count`].
    #[must_use]
    #[inline(always)]
    pub const fn count(&self) -> u16 {
        self.0[1] as u16
    }

    /// [`Service4::region`].
    #[must_use]
    #[inline(always)]
    pub const fn region(&self) -> u32 {
        self.0[8] as u32
    }

    /// Inline backend number `index`; zero from [`INLINE_BACKENDS`] on.
    ///
    /// Without a branch, which a random index would mispredict, and without a variable index
    /// into the stack, which kernels before 5.12 refuse.
    #[must_use]
    #[inline(always)]
    pub fn inline(&self, index: u32) -> Backend4 {
        let mut chosen = 0;
        let mut slot = 0;
        while slot < INLINE_BACKENDS {
            let different = slot as u64 ^ index as u64;
            // All ones where nothing differs.
            let mask = (different.wrapping_sub(1) as i64 >> 63) as u64;
            // Opaque, or the compiler sees the comparison and branches on it.
            chosen |= self.0[2 + slot] & black_box(mask);
            slot += 1;
        }
        bytemuck::cast(chosen)
    }
}

/// An index below `count`, uniform where `random` is. Zero when `count` is zero.
///
/// Multiply and shift (Lemire 2016): off from uniform by less than `count` / 2^32.
#[must_use]
pub const fn pick(random: u32, count: u16) -> u32 {
    ((random as u64 * count as u64) >> 32) as u32
}

/// One odd constant per word: the digits of pi, as in Blowfish, the last bit set.
const SALT: [u64; 10] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6d,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
    0xd131_0ba6_98df_b5ad,
];

/// The check word of `value` under `key`. [`Service4::check`] itself does not count.
///
/// A sum of the ten words of both, each times an odd constant of its own (multilinear hashing:
/// Lemire and Kaser 2014), folded to 32 bits: no word changes without the sum, and the ten
/// products do not wait for each other. It guards against torn and foreign values, not against
/// an attacker.
#[must_use]
pub fn check4(key: &Frontend4, value: &Service4) -> u32 {
    check_words(bytemuck::cast(*key), &bytemuck::cast(*value))
}

/// [`check4`] on a copy that is still words: what the kernel programs have in hand.
#[must_use]
#[inline(always)]
pub fn check_words(key: u64, value: &[u64; 9]) -> u32 {
    let mut sum = key.wrapping_mul(SALT[0]).wrapping_add((value[8] & 0xffff_ffff).wrapping_mul(SALT[9]));
    let mut at = 0;
    while at < 8 {
        sum = sum.wrapping_add(value[at].wrapping_mul(SALT[at + 1]));
        at += 1;
    }
    (sum >> 32) as u32 ^ sum as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_reached_and_none_beyond() {
        for count in [1_u16, 2, 6, 7, 5_000, u16::MAX] {
            assert_eq!(pick(0, count), 0);
            assert_eq!(pick(u32::MAX, count), u32::from(count) - 1);
        }
        assert_eq!(pick(u32::MAX, 0), 0);
    }

    #[test]
    fn the_words_read_as_the_value_does() {
        let mut value = Service4 { id: 7, revision: 9, count: 300, region: 41, ..Service4::default() };
        for (slot, backend) in value.inline.iter_mut().enumerate() {
            *backend = Backend4 { address: [10, 0, 0, slot as u8], port: [1, 2], pool: 0xffff };
        }
        let key = Frontend4::default();
        value.check = check4(&key, &value);
        let words = Words4(bytemuck::cast(value));
        assert!(words.proven(&key));
        assert_eq!((words.count(), words.region()), (300, 41));
        assert_eq!(words.owner(), bytemuck::cast::<[u32; 2], u64>([7, 9]));
        for slot in 0..INLINE_BACKENDS {
            assert_eq!(words.inline(slot as u32), value.inline[slot]);
        }
        assert_eq!(words.inline(6), Backend4::default());
        assert_eq!(words.inline(u32::MAX), Backend4::default());
    }

    #[test]
    fn any_changed_bit_of_key_or_value_changes_the_check_word() {
        let key = Frontend4 { address: [10, 96, 0, 11], port: [0, 80], protocol: 6, zero: 0 };
        let backend = Backend4 { address: [10, 244, 1, 2], port: [0x24, 0xa0], pool: 2 };
        let value = Service4 { id: 7, revision: 3, count: 6, inline: [backend; 6], ..Service4::default() };
        let expected = check4(&key, &value);

        let key_word: u64 = bytemuck::cast(key);
        let words: [u64; 9] = bytemuck::cast(value);
        for bit in 0..64 {
            assert_ne!(check_words(key_word ^ (1 << bit), &words), expected, "key bit {bit}");
        }
        // The last 32 bits are the check word itself.
        for bit in 0..9 * 64 - 32 {
            let mut torn = words;
            torn[bit / 64] ^= 1 << (bit % 64);
            assert_ne!(check_words(key_word, &torn), expected, "value bit {bit}");
        }
    }

    #[test]
    fn a_value_half_old_half_new_fails_its_check() {
        let key = Frontend4 { address: [10, 96, 0, 11], port: [0, 80], protocol: 6, zero: 0 };
        let mut old = Service4 { id: 7, revision: 3, count: 1, ..Service4::default() };
        old.check = check4(&key, &old);
        let mut new = Service4 { revision: 4, count: 2, region: 64, ..old };
        new.check = check4(&key, &new);
        let (old, new): ([u64; 9], [u64; 9]) = (bytemuck::cast(old), bytemuck::cast(new));
        for cut in 1..9 {
            let mut torn = new;
            torn[..cut].copy_from_slice(&old[..cut]);
            if torn == new {
                continue; // the words before the cut are the same in both
            }
            assert_ne!(check_words(bytemuck::cast(key), &torn), (torn[8] >> 32) as u32, "cut at {cut}");
        }
    }
}
