//! What differs between IPv4 and IPv6: the width of keys and values, and nothing else.

use bytemuck::Pod;

use crate::layout::{
    BACKENDS4, BACKENDS6, BLOOM4, BLOOM6, Backend4, Backend6, Frontend4, Frontend6, INLINE_BACKENDS, MapSpec,
    RegionEntry4, RegionEntry6, SERVICES4, SERVICES6, Service4, Service6,
};
use crate::translation::End;

/// The same bytes as words of 64 bits, which a program reads without a detour over memory.
pub trait Words: Pod {
    /// How many there are.
    const COUNT: usize;
    /// All bits zero.
    const ZERO: Self;

    /// Word number `index`, below [`COUNT`](Self::COUNT).
    fn word(&self, index: usize) -> u64;

    /// The same with word number `index` replaced.
    fn set(&mut self, index: usize, word: u64);
}

macro_rules! words {
    ($($count:literal)*) => {$(
        impl Words for [u64; $count] {
            const COUNT: usize = $count;
            const ZERO: Self = [0; $count];

            #[inline(always)]
            fn word(&self, index: usize) -> u64 {
                self[index]
            }

            #[inline(always)]
            fn set(&mut self, index: usize, word: u64) {
                self[index] = word;
            }
        }
    )*};
}
words!(1 3 9 21);

/// One IP family. The types are empty enums: a family has no values.
///
/// A value begins with id and revision in its first word and the count in the lower 16 bits of
/// its second; then come the inline backends; its last word is region and check word.
pub trait Family: 'static {
    type Frontend: Pod + Ord;
    type Backend: Pod + Ord;
    type Service: Pod;
    type RegionEntry: Pod;
    /// The same bytes as [`Frontend`](Self::Frontend).
    type Key: Words;
    /// The same bytes as [`Service`](Self::Service).
    type Value: Words;
    /// The same bytes as [`Backend`](Self::Backend).
    type BackendWords: Words;

    /// The front end.
    const SERVICES: MapSpec;
    /// The backends behind it.
    const BACKENDS: MapSpec;
    /// The Bloom filter in front of it.
    const BLOOM: MapSpec;

    /// A service port's address and port, as a socket remembers them.
    fn service(frontend: &Self::Frontend) -> End;
    /// The same port and protocol, and of the address the bits of `mask`.
    fn masked(frontend: &Self::Frontend, mask: u64) -> Self::Frontend;
    /// Zero where the address is the unspecified one.
    fn address_bits(frontend: &Self::Frontend) -> u64;
    /// A backend's address and port, as a socket remembers them.
    fn backend(backend: &Self::Backend) -> End;
    /// The place that a connection to it counts at.
    fn place(backend: &Self::Backend) -> u16;
    /// The key that stands for all ports of the same address that are not served: no Service has port 0.
    fn other_ports(frontend: &Self::Frontend) -> Self::Frontend;
}

const TCP: u64 = 6;

/// IPv4.
#[derive(Clone, Copy, Debug)]
pub enum V4 {}

impl Family for V4 {
    type Frontend = Frontend4;
    type Backend = Backend4;
    type Service = Service4;
    type RegionEntry = RegionEntry4;
    type Key = [u64; 1];
    type Value = [u64; 9];
    type BackendWords = [u64; 1];

    const SERVICES: MapSpec = SERVICES4;
    const BACKENDS: MapSpec = BACKENDS4;
    const BLOOM: MapSpec = BLOOM4;

    #[inline(always)]
    fn service(frontend: &Frontend4) -> End {
        End::mapped(u32::from_ne_bytes(frontend.address), u16::from_ne_bytes(frontend.port))
    }

    #[inline(always)]
    fn address_bits(frontend: &Frontend4) -> u64 {
        u64::from(u32::from_ne_bytes(frontend.address))
    }

    #[inline(always)]
    fn masked(frontend: &Frontend4, mask: u64) -> Frontend4 {
        bytemuck::cast(bytemuck::cast::<Frontend4, u64>(*frontend) & (mask | 0xffff_ffff_0000_0000))
    }

    #[inline(always)]
    fn place(backend: &Backend4) -> u16 {
        backend.place
    }

    #[inline(always)]
    fn backend(backend: &Backend4) -> End {
        End::mapped(u32::from_ne_bytes(backend.address), u16::from_ne_bytes(backend.port))
    }

    #[inline(always)]
    fn other_ports(frontend: &Frontend4) -> Frontend4 {
        let address = u32::from_ne_bytes(frontend.address);
        bytemuck::cast(u64::from(address) | TCP << 48)
    }
}

/// IPv6.
#[derive(Clone, Copy, Debug)]
pub enum V6 {}

impl Family for V6 {
    type Frontend = Frontend6;
    type Backend = Backend6;
    type Service = Service6;
    type RegionEntry = RegionEntry6;
    type Key = [u64; 3];
    type Value = [u64; 21];
    type BackendWords = [u64; 3];

    const SERVICES: MapSpec = SERVICES6;
    const BACKENDS: MapSpec = BACKENDS6;
    const BLOOM: MapSpec = BLOOM6;

    #[inline(always)]
    fn service(frontend: &Frontend6) -> End {
        End::of_words(&bytemuck::cast(*frontend))
    }

    #[inline(always)]
    fn address_bits(frontend: &Frontend6) -> u64 {
        let [first, second, _] = bytemuck::cast::<Frontend6, [u64; 3]>(*frontend);
        first | second
    }

    #[inline(always)]
    fn masked(frontend: &Frontend6, mask: u64) -> Frontend6 {
        let [first, second, rest] = bytemuck::cast::<Frontend6, [u64; 3]>(*frontend);
        bytemuck::cast([first & mask, second & mask, rest])
    }

    #[inline(always)]
    fn place(backend: &Backend6) -> u16 {
        backend.place
    }

    #[inline(always)]
    fn backend(backend: &Backend6) -> End {
        End::of_words(&bytemuck::cast(*backend))
    }

    #[inline(always)]
    fn other_ports(frontend: &Frontend6) -> Frontend6 {
        let [first, second, _] = bytemuck::cast::<Frontend6, [u64; 3]>(*frontend);
        bytemuck::cast([first, second, TCP << 16])
    }
}

/// Fails to compile where the words of a family are not the bytes of its structs.
const fn fits<F: Family>() {
    assert!(size_of::<F::Key>() == size_of::<F::Frontend>());
    assert!(size_of::<F::Value>() == size_of::<F::Service>());
    assert!(size_of::<F::BackendWords>() == size_of::<F::Backend>());
    assert!(F::Value::COUNT == 2 + INLINE_BACKENDS * F::BackendWords::COUNT + 1);
    assert!(size_of::<F::RegionEntry>() == 8 + size_of::<F::Backend>());
}
const _: () = fits::<V4>();
const _: () = fits::<V6>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ports_is_port_0_of_the_same_address_whatever_is_dialled() {
        let dialled = Frontend4 { address: [10, 96, 0, 11], port: [0, 53], protocol: 17, zero: 0 };
        assert_eq!(V4::other_ports(&dialled), Frontend4 { port: [0, 0], protocol: 6, ..dialled });
        let dialled = Frontend6 { address: [0xfd; 16], port: [0x1f, 0x90], protocol: 17, zero: [0; 5] };
        assert_eq!(V6::other_ports(&dialled), Frontend6 { port: [0, 0], protocol: 6, ..dialled });
    }
}
