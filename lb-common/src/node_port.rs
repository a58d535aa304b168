//! Node ports: one element each, whatever address of the host a client dials.

use crate::translation::End;

/// The lowest and the highest node port in use, as one word; zero where there is no node port. Most calls that go to no Service
/// are known by it to go to no node port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range(pub u32);

impl Range {
    /// The same and `port` besides.
    #[must_use]
    pub const fn with(self, port: u16) -> Self {
        let (lowest, highest) = (self.0 as u16, (self.0 >> 16) as u16);
        let lowest = if self.0 == 0 || port < lowest { port } else { lowest };
        let highest = if port > highest { port } else { highest };
        Self(lowest as u32 | (highest as u32) << 16)
    }

    /// Whether `port` is in it. Port 0 is in the empty one: nothing listens there.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, port: u16) -> bool {
        let (lowest, highest) = (self.0 as u16, (self.0 >> 16) as u16);
        port.wrapping_sub(lowest) <= highest.wrapping_sub(lowest)
    }
}

/// `::ffff:127.0.0.1`.
const LOOPBACK4: u64 = mapped([127, 0, 0, 1]);
/// The second word of `::1`.
const LOOPBACK6: u64 = 1 << 56;

/// The second word of an IPv4 address.
const fn mapped(address: [u8; 4]) -> u64 {
    End::mapped(u32::from_ne_bytes(address), 0).address[1]
}

/// The words of the address of the host that a client reaches who dials `end`: all of 127.0.0.0/8 is 127.0.0.1, and the
/// unspecified address is loopback, as the kernel has it.
#[must_use]
#[inline(always)]
pub const fn host(end: &End) -> [u64; 2] {
    let [first, second] = end.address;
    if first != 0 {
        return [first, second];
    }
    let is_mapped = second as u32 == mapped([0; 4]) as u32;
    let is_loopback4 = is_mapped && ((second >> 32) as u8 == 127 || second >> 32 == 0);
    let second = match second {
        0 => LOOPBACK6,
        _ if is_loopback4 => LOOPBACK4,
        other => other,
    };
    [0, second]
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_range_has_its_ports_and_those_between() {
        let range = |ports: &[u16]| ports.iter().fold(Range::default(), |range, port| range.with(*port));
        for (ports, inside, outside) in [
            (&[][..], &[][..], &[1, 80, 30_000, 65_535][..]),
            (&[30_080], &[30_080], &[30_079, 30_081, 80, 0, 65_535]),
            (&[32_000, 30_000, 31_000], &[30_000, 30_001, 32_000], &[29_999, 32_001, 0]),
            (&[1, 65_535], &[1, 2, 65_534, 65_535], &[0]),
            (&[65_535], &[65_535], &[65_534, 0, 1]),
        ] {
            let range = range(ports);
            assert_eq!(range.0 == 0, ports.is_empty());
            for port in inside {
                assert!(range.has(*port), "{ports:?} {port}");
            }
            for port in outside {
                assert!(!range.has(*port), "{ports:?} {port}");
            }
        }
    }

    #[test]
    fn what_is_loopback_to_the_kernel_is_one_address_of_each_family() {
        for (dialled, expected) in [
            ("::ffff:192.168.0.1", "::ffff:192.168.0.1"),
            ("::ffff:126.255.255.255", "::ffff:126.255.255.255"),
            ("::ffff:127.0.0.0", "::ffff:127.0.0.1"),
            ("::ffff:127.255.1.2", "::ffff:127.0.0.1"),
            ("::ffff:0.0.0.0", "::ffff:127.0.0.1"),
            ("::ffff:0.0.0.1", "::ffff:0.0.0.1"),
            ("::", "::1"),
            ("::1", "::1"),
            ("::127.0.0.1", "::127.0.0.1"),
            ("fd00::1", "fd00::1"),
            ("fd00::", "fd00::"),
        ] {
            assert_eq!(host(&end(dialled)), end(expected).address, "{dialled}");
        }
    }

    fn end(address: &str) -> End {
        let octets = address.parse::<Ipv6Addr>().unwrap().octets();
        End { address: bytemuck::cast(octets), port: 80 }
    }
}
