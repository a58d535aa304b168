//! Choosing a backend.

/// An index below `count`, uniform where `random` is. Zero when `count` is zero.
///
/// Multiply and shift (Lemire 2016): off from uniform by less than `count` / 2^32.
#[must_use]
pub const fn pick(random: u32, count: u16) -> u32 {
    ((random as u64 * count as u64) >> 32) as u32
}

/// What a client of a Service with session affinity draws in place of a random number: the same one each time, so that two
/// connections of it at once are given the same backend, and one that is not remembered mostly is, too.
///
/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014) over both numbers.
#[must_use]
pub const fn draw(netns: u64, service: u32) -> u32 {
    let mut word = netns ^ (service as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 32) as u32
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

    /// Cookies and ids are small numbers, one after the other.
    #[test]
    fn what_clients_draw_is_spread_evenly() {
        for (shows, step_of_clients, step_of_services) in
            [("clients of one Service", 1, 0), ("Services of one client", 0, 1), ("both", 1, 1)]
        {
            let mut times = [0_u32; 10];
            for number in 0..100_000_u32 {
                let drawn = draw(1 + u64::from(number * step_of_clients), 1 + number * step_of_services);
                times[pick(drawn, 10) as usize] += 1;
            }
            // Chi-square with 9 degrees of freedom: 43.9 has p = 1.5e-6.
            let chi: f64 = times.iter().map(|seen| (f64::from(*seen) - 1e4).powi(2) / 1e4).sum();
            assert!(chi < 43.9, "{shows}: {chi}, {times:?}");
        }
    }
}
