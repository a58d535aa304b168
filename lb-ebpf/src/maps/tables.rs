//! The maps themselves. The sizes written here are the smallest; the agent sets its own when it
//! creates a map.

use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, SkStorage};
use aya_ebpf::macros::btf_map;
use lb_common::family::{Family, V4, V6};
use lb_common::layout::{
    AFFINITIES, Affinity, AgentSocket, BLOOM_WORDS, BloomWord, Cell, Client, Connections, Control, Epoch,
    Frontend4, Frontend6, HostAddress, HostKey, MMAPABLE, MOST_CELLS, MOST_PLACES, MOST_SKIPPED, NO_PREALLOC,
    Outcomes, PLACES_A_PAGE, Place, Recent, RegionEntry4, RegionEntry6, Service4, Service6, ServiceName,
    SkippedPod, Translation,
};

use super::lookup::{Presence, presence};

#[btf_map]
static SERVICES4: HashMap<Frontend4, Service4, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static BACKENDS4: Array<RegionEntry4, 1024> = Array::new();

#[btf_map]
static BLOOM4: Array<BloomWord, { BLOOM_WORDS as usize }> = Array::new();

#[btf_map]
static SERVICES6: HashMap<Frontend6, Service6, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static BACKENDS6: Array<RegionEntry6, 1024> = Array::new();

#[btf_map]
static BLOOM6: Array<BloomWord, { BLOOM_WORDS as usize }> = Array::new();

#[btf_map]
pub(super) static OUTCOMES: PerCpuArray<Outcomes, 1> = PerCpuArray::new();

#[btf_map]
pub(super) static EPOCH: Array<Epoch, 1, { MMAPABLE as usize }> = Array::new();

#[btf_map]
pub(super) static CONTROL: Array<Control, 1, { MMAPABLE as usize }> = Array::new();

/// No program reads it.
#[btf_map]
static NAMES: HashMap<u32, ServiceName, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
pub(super) static HOST_ADDRESSES: HashMap<HostKey, HostAddress, 4096, { NO_PREALLOC as usize }> =
    HashMap::new();

#[btf_map]
pub(super) static AGENT_SOCKETS: SkStorage<AgentSocket> = SkStorage::new();

#[btf_map]
pub(super) static CONNECTED: SkStorage<Translation> = SkStorage::new();

#[btf_map]
pub(super) static RECENT: SkStorage<Recent> = SkStorage::new();

#[btf_map]
pub(super) static SKIPPED: HashMap<u64, SkippedPod, { MOST_SKIPPED as usize }, { NO_PREALLOC as usize }> =
    HashMap::new();

#[btf_map]
pub(super) static AFFINITY: HashMap<Client, Affinity, { AFFINITIES as usize }, { NO_PREALLOC as usize }> =
    HashMap::new();

/// No program reads it.
#[btf_map]
static CELLS: HashMap<u32, Cell, { MOST_CELLS as usize }, { NO_PREALLOC as usize }> = HashMap::new();

/// No program reads it.
#[btf_map]
static PLACES: HashMap<u32, Place, { MOST_PLACES as usize }, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
pub(super) static LOOP: PerCpuArray<Connections, { (MOST_PLACES / PLACES_A_PAGE) as usize }> =
    PerCpuArray::new();

/// Only for the fence between loads.
#[btf_map]
pub(super) static FENCES: HashMap<u32, u32, 64> = HashMap::new();

/// The maps of one IP family. Every pointer is one to words of 64 bits.
pub(crate) trait Maps: Family {
    /// The front-end element of `frontend`. It can be recycled for another key at any time; its
    /// memory stays an element's.
    fn element(frontend: &Self::Frontend) -> Option<*const u64>;
    /// Entry number `at` of the backends map. It never moves.
    fn region_entry(at: u32) -> Option<*const u64>;
    /// [`look_through`](super::lookup::look_through), as a function of its own.
    fn look_through(range: u64, owner: u64, first: u64, second: u64, port: u64) -> u32;
    /// [`look_through_chunk`](super::lookup::look_through_chunk), as a function of its own.
    fn look_through_chunk(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32;
    /// Whether no element is at `frontend`, by [`presence`](super::lookup::presence), as a function of its own: not zero if so.
    fn is_missed(frontend: &Self::Frontend) -> u32;
    /// [`is_node_port`](super::place::is_node_port), as a function of its own.
    fn is_node_port(key: [u64; 3], may_be_exact: u64, client: u64) -> u32;
    /// [`is_served`](super::lookup::is_served) of the key's other ports, as a function of its own: not zero if so.
    fn is_served(frontend: &Self::Frontend) -> u32;
    /// Word number `word` of the Bloom filter. It never moves.
    fn bloom_word(word: u32) -> Option<*const u64>;
}

impl Maps for V4 {
    #[inline(always)]
    fn element(frontend: &Frontend4) -> Option<*const u64> {
        Some(SERVICES4.get_ptr(frontend)?.cast())
    }

    #[inline(always)]
    fn region_entry(at: u32) -> Option<*const u64> {
        Some(BACKENDS4.get_ptr(at)?.cast())
    }

    #[inline(always)]
    fn look_through(range: u64, owner: u64, first: u64, second: u64, port: u64) -> u32 {
        look_through4(range, owner, first, second, port)
    }

    #[inline(always)]
    fn look_through_chunk(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
        look_through_chunk4(range, owner, first, second, rest)
    }

    #[inline(always)]
    fn is_missed(frontend: &Frontend4) -> u32 {
        is_missed4(bytemuck::cast(*frontend))
    }

    #[inline(always)]
    fn is_node_port([key, ..]: [u64; 3], may_be_exact: u64, client: u64) -> u32 {
        is_node_port4(key, may_be_exact, client)
    }

    #[inline(always)]
    fn is_served(frontend: &Frontend4) -> u32 {
        is_served4(bytemuck::cast(*frontend))
    }

    #[inline(always)]
    fn bloom_word(word: u32) -> Option<*const u64> {
        Some(BLOOM4.get_ptr(word)?.cast())
    }
}

impl Maps for V6 {
    #[inline(always)]
    fn element(frontend: &Frontend6) -> Option<*const u64> {
        Some(SERVICES6.get_ptr(frontend)?.cast())
    }

    #[inline(always)]
    fn region_entry(at: u32) -> Option<*const u64> {
        Some(BACKENDS6.get_ptr(at)?.cast())
    }

    #[inline(always)]
    fn look_through(range: u64, owner: u64, first: u64, second: u64, port: u64) -> u32 {
        look_through6(range, owner, first, second, port)
    }

    #[inline(always)]
    fn look_through_chunk(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
        look_through_chunk6(range, owner, first, second, rest)
    }

    #[inline(always)]
    fn is_missed(frontend: &Frontend6) -> u32 {
        let [first, second, third] = bytemuck::cast(*frontend);
        is_missed6(first, second, third)
    }

    #[inline(always)]
    fn is_node_port([first, second, third]: [u64; 3], may_be_exact: u64, client: u64) -> u32 {
        is_node_port6(first, second, third, may_be_exact, client)
    }

    #[inline(always)]
    fn is_served(frontend: &Frontend6) -> u32 {
        let [first, second, _] = bytemuck::cast::<Frontend6, [u64; 3]>(*frontend);
        is_served6(first, second)
    }

    #[inline(always)]
    fn bloom_word(word: u32) -> Option<*const u64> {
        Some(BLOOM6.get_ptr(word)?.cast())
    }
}

/// A global function: the verifier goes through it once, and not on each path that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn look_through4(range: u64, owner: u64, first: u64, second: u64, port: u64) -> u32 {
    super::lookup::look_through::<V4>(range, owner, first, second, port)
}

/// The same for IPv6.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn look_through6(range: u64, owner: u64, first: u64, second: u64, port: u64) -> u32 {
    super::lookup::look_through::<V6>(range, owner, first, second, port)
}

/// A part of [`look_through4`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn look_through_chunk4(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
    super::lookup::look_through_chunk::<V4>(range, owner, first, second, rest)
}

/// The same for IPv6.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn look_through_chunk6(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
    super::lookup::look_through_chunk::<V6>(range, owner, first, second, rest)
}

/// As above.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_missed4(key: u64) -> u32 {
    let frontend: Frontend4 = bytemuck::cast(key);
    (presence::<V4>(&frontend) != Presence::Found).into()
}

/// The same for IPv6.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_missed6(first: u64, second: u64, third: u64) -> u32 {
    let frontend: Frontend6 = bytemuck::cast([first, second, third]);
    (presence::<V6>(&frontend) != Presence::Found).into()
}

/// As [`look_through4`]. It has no argument that it does not use: the compiler would leave that out at the call.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_node_port4(key: u64, may_be_exact: u64, client: u64) -> u32 {
    u32::from(super::place::is_node_port::<V4>([key, 0, 0], may_be_exact != 0, client))
}

/// The same for IPv6.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_node_port6(first: u64, second: u64, third: u64, may_be_exact: u64, client: u64) -> u32 {
    u32::from(super::place::is_node_port::<V6>([first, second, third], may_be_exact != 0, client))
}

/// As above: [`count`](super::cells::count) for both families.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn count_connection(place: u64) -> u32 {
    super::cells::count(place as u16)
}

/// As above: [`count_word`](super::count_word).
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn count_event(word: u64) -> u32 {
    super::count_word(word)
}

/// As above.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_served4(dialled: u64) -> u32 {
    let key = V4::other_ports(&bytemuck::cast(dialled));
    super::lookup::is_served::<V4>(&key).into()
}

/// The same for IPv6, by the two halves of an address.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_served6(first: u64, second: u64) -> u32 {
    let key = V6::other_ports(&bytemuck::cast([first, second, 0]));
    super::lookup::is_served::<V6>(&key).into()
}
