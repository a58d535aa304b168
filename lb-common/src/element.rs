//! A front-end element as words: what a program copies out of the map, and its proof.

use core::hint::black_box;

use crate::family::{Family, Words};
use crate::layout::INLINE_BACKENDS;

/// An element's value, copied out once.
pub struct Element<F: Family>(pub F::Value);

impl<F: Family> Element<F> {
    /// Whether the value's check word proves it under `key`.
    #[must_use]
    #[inline(always)]
    pub fn proven(&self, key: &F::Frontend) -> bool {
        check_words(&words::<F>(key), &self.0) == (self.0.word(F::Value::COUNT - 1) >> 32) as u32
    }

    /// Id and revision, as a region entry begins with.
    #[must_use]
    #[inline(always)]
    pub fn owner(&self) -> u64 {
        self.0.word(0)
    }

    /// How many backends there are in all.
    #[must_use]
    #[inline(always)]
    pub fn count(&self) -> u16 {
        self.0.word(1) as u16
    }

    /// The session affinity timeout in seconds; zero without affinity.
    #[must_use]
    #[inline(always)]
    pub fn affinity(&self) -> u32 {
        (self.0.word(1) >> 32) as u32
    }

    /// Where its region begins.
    #[must_use]
    #[inline(always)]
    pub fn region(&self) -> u32 {
        self.0.word(F::Value::COUNT - 1) as u32
    }

    /// Inline backend number `slot`, which is known when the programs are built and below [`INLINE_BACKENDS`].
    #[must_use]
    #[inline(always)]
    pub fn at(&self, slot: usize) -> F::Backend {
        let mut backend = F::BackendWords::ZERO;
        let mut at = 0;
        while at < F::BackendWords::COUNT {
            backend.set(at, self.0.word(2 + slot * F::BackendWords::COUNT + at));
            at += 1;
        }
        bytemuck::cast(backend)
    }

    /// Inline backend number `index`; zero from [`INLINE_BACKENDS`] on.
    ///
    /// Without a branch, which a random index would mispredict, and without a variable index
    /// into the stack, which kernels before 5.12 refuse.
    #[must_use]
    #[inline(always)]
    pub fn inline(&self, index: u32) -> F::Backend {
        let mut chosen = F::BackendWords::ZERO;
        let mut slot = 0;
        while slot < INLINE_BACKENDS {
            let different = slot as u64 ^ index as u64;
            // All ones where nothing differs.
            let mask = (different.wrapping_sub(1) as i64 >> 63) as u64;
            // Opaque, or the compiler sees the comparison and branches on it.
            let mask = black_box(mask);
            let mut at = 0;
            while at < F::BackendWords::COUNT {
                let word = self.0.word(2 + slot * F::BackendWords::COUNT + at);
                chosen.set(at, chosen.word(at) | word & mask);
                at += 1;
            }
            slot += 1;
        }
        bytemuck::cast(chosen)
    }
}

/// One odd constant per word: the digits of pi, as in Blowfish, the last bit set. As many as key
/// and value of the wider family have words.
const SALT: [u64; 24] = [
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
    0x2ffd_72db_d01a_dfb7,
    0xb8e1_afed_6a26_7e97,
    0xba7c_9045_f12c_7f99,
    0x24a1_9947_b391_6cf7,
    0x0801_f2e2_858e_fc17,
    0x6369_20d8_7157_4e69,
    0xa458_fea3_f493_3d7f,
    0x0d95_748f_728e_b659,
    0x718b_cd58_8215_4aef,
    0x7b54_a41d_c25a_59b5,
    0x9c30_d539_2af2_6013,
    0xc5d1_b023_2860_85f1,
    0xca41_7918_b8db_38ef,
    0x8e79_dcb0_603a_180f,
];

/// The check word of `service` under `frontend`. The field `check` itself does not count.
///
/// A sum of the words of both, each times an odd constant of its own (multilinear hashing:
/// Lemire and Kaser 2014), folded to 32 bits: no word changes without the sum, and the
/// products do not wait for each other. It guards against torn and foreign values, not against
/// an attacker.
#[must_use]
pub fn check<F: Family>(frontend: &F::Frontend, service: &F::Service) -> u32 {
    check_words(&words::<F>(frontend), &bytemuck::cast::<F::Service, F::Value>(*service))
}

#[inline(always)]
fn words<F: Family>(frontend: &F::Frontend) -> F::Key {
    bytemuck::cast(*frontend)
}

/// [`check`] on copies that are words: what the kernel programs have in hand.
#[inline(always)]
fn check_words<K: Words, V: Words>(key: &K, value: &V) -> u32 {
    let last = V::COUNT - 1;
    let mut sum = (value.word(last) & 0xffff_ffff).wrapping_mul(SALT[K::COUNT + last]);
    let mut at = 0;
    while at < K::COUNT {
        sum = sum.wrapping_add(key.word(at).wrapping_mul(SALT[at]));
        at += 1;
    }
    at = 0;
    while at < last {
        sum = sum.wrapping_add(value.word(at).wrapping_mul(SALT[K::COUNT + at]));
        at += 1;
    }
    (sum >> 32) as u32 ^ sum as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::V4;
    use crate::layout::{Backend4, Frontend4, Service4};

    #[test]
    fn the_words_read_as_the_value_does() {
        let mut value =
            Service4 { id: 7, revision: 9, count: 300, affinity: 60, region: 41, ..Service4::default() };
        for (slot, backend) in value.inline.iter_mut().enumerate() {
            *backend = Backend4 { address: [10, 0, 0, slot as u8], port: [1, 2], place: 0xffff };
        }
        let key = Frontend4::default();
        value.check = check::<V4>(&key, &value);
        let element = Element::<V4>(bytemuck::cast(value));
        assert!(element.proven(&key));
        assert_eq!((element.count(), element.affinity(), element.region()), (300, 60, 41));
        assert_eq!(element.owner(), bytemuck::cast::<[u32; 2], u64>([7, 9]));
        for slot in 0..INLINE_BACKENDS {
            assert_eq!(element.inline(slot as u32), value.inline[slot]);
            assert_eq!(element.at(slot), value.inline[slot]);
        }
        assert_eq!(element.inline(6), Backend4::default());
        assert_eq!(element.inline(u32::MAX), Backend4::default());
    }

    #[test]
    fn any_changed_bit_of_key_or_value_changes_the_check_word() {
        let key = Frontend4 { address: [10, 96, 0, 11], port: [0, 80], protocol: 6, zero: 0 };
        let backend = Backend4 { address: [10, 244, 1, 2], port: [0x24, 0xa0], place: 2 };
        let value = Service4 { id: 7, revision: 3, count: 6, inline: [backend; 6], ..Service4::default() };
        let expected = check::<V4>(&key, &value);

        let key_word: [u64; 1] = bytemuck::cast(key);
        let words: [u64; 9] = bytemuck::cast(value);
        for bit in 0..64 {
            assert_ne!(check_words(&[key_word[0] ^ (1 << bit)], &words), expected, "key bit {bit}");
        }
        // The last 32 bits are the check word itself.
        for bit in 0..9 * 64 - 32 {
            let mut torn = words;
            torn[bit / 64] ^= 1 << (bit % 64);
            assert_ne!(check_words(&key_word, &torn), expected, "value bit {bit}");
        }
    }

    #[test]
    fn a_value_half_old_half_new_fails_its_check() {
        let key = Frontend4 { address: [10, 96, 0, 11], port: [0, 80], protocol: 6, zero: 0 };
        let mut old = Service4 { id: 7, revision: 3, count: 1, ..Service4::default() };
        old.check = check::<V4>(&key, &old);
        let mut new = Service4 { revision: 4, count: 2, region: 64, ..old };
        new.check = check::<V4>(&key, &new);
        let (old, new): ([u64; 9], [u64; 9]) = (bytemuck::cast(old), bytemuck::cast(new));
        for cut in 1..9 {
            let mut torn = new;
            torn[..cut].copy_from_slice(&old[..cut]);
            if torn == new {
                continue; // the words before the cut are the same in both
            }
            assert!(!Element::<V4>(torn).proven(&key), "cut at {cut}");
        }
    }

    #[test]
    fn no_two_words_share_a_constant_and_all_constants_are_odd() {
        for (at, salt) in SALT.iter().enumerate() {
            assert_eq!(salt & 1, 1, "{at}");
            assert!(!SALT[..at].contains(salt), "{at}");
        }
    }
}
