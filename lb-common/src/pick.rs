//! Choosing a backend.

/// An index below `count`, uniform where `random` is. Zero when `count` is zero.
///
/// Multiply and shift (Lemire 2016): off from uniform by less than `count` / 2^32.
#[must_use]
pub const fn pick(random: u32, count: u16) -> u32 {
    ((random as u64 * count as u64) >> 32) as u32
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
}
