//! The maps of both shapes. The bench sets the sizes, and fills them.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;
use lb_common::layout::{Backend4, Frontend4, NO_PREALLOC};
use lb_common::outcome::Outcome;

/// A service: its id, and how many backends it has.
pub(crate) type Service = [u32; 2];
/// A service's id, and the number of one of its backends.
type Slot = [u32; 2];
/// A socket's cookie, and where it is connected to.
type Connection = [u64; 2];

/// Bits of a key that count: address, port, protocol.
const PREFIX: u32 = 56;

#[btf_map]
static SERVICES: HashMap<Frontend4, Service, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static SLOTS: HashMap<Slot, u32, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static BACKENDS: HashMap<u32, Backend4, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static TRIE: LpmTrie<Frontend4, Service, 1024> = LpmTrie::new();

/// A service's id and a client, to the backend that the client had last.
#[btf_map]
static AFFINITIES: LruHashMap<[u64; 2], Backend4, 1024> = LruHashMap::new();

#[btf_map]
static ENDPOINTS: HashMap<Slot, Backend4, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static CONNECTIONS: LruHashMap<Connection, Frontend4, 1024> = LruHashMap::new();

#[btf_map]
static OUTCOMES: PerCpuArray<u64, { Outcome::ALL.len() }> = PerCpuArray::new();

#[inline(always)]
pub(crate) fn service(address: &Frontend4) -> Result<Service, Outcome> {
    // SAFETY: the bench writes no element while the programs run.
    unsafe { SERVICES.get(address) }.copied().ok_or(Outcome::NotAService)
}

#[inline(always)]
pub(crate) fn service_by_prefix(address: &Frontend4) -> Result<Service, Outcome> {
    TRIE.get(&Key::new(PREFIX, *address)).copied().ok_or(Outcome::NotAService)
}

/// The id of backend number `slot` of the service `id`.
#[inline(always)]
pub(crate) fn backend_id(id: u32, slot: u32) -> Result<u32, Outcome> {
    // SAFETY: as in `service`.
    unsafe { SLOTS.get([id, slot]) }.copied().ok_or(Outcome::Unproven)
}

#[inline(always)]
pub(crate) fn backend(id: u32) -> Result<Backend4, Outcome> {
    // SAFETY: as in `service`.
    unsafe { BACKENDS.get(id) }.copied().ok_or(Outcome::Unproven)
}

#[inline(always)]
pub(crate) fn affinity(id: u32, client: u64) -> Option<Backend4> {
    // SAFETY: as in `service`.
    unsafe { AFFINITIES.get([u64::from(id), client]) }.copied()
}

#[inline(always)]
pub(crate) fn endpoint(id: u32, slot: u32) -> Result<Backend4, Outcome> {
    // SAFETY: as in `service`.
    unsafe { ENDPOINTS.get([id, slot]) }.copied().ok_or(Outcome::Unproven)
}

/// Remembers what a socket dialled, so that a reply can be shown as coming from there.
#[inline(always)]
pub(crate) fn remember(cookie: u64, backend: &Backend4, dialled: &Frontend4) -> Result<(), Outcome> {
    let backend: u64 = bytemuck::cast(*backend);
    CONNECTIONS.insert([cookie, backend], dialled, 0).map_err(|_errno| Outcome::Unproven)
}

/// Adds one to a counter of this CPU.
#[inline(always)]
pub(crate) fn count(counter: u32) {
    if let Some(slot) = OUTCOMES.get_ptr_mut(counter) {
        let times = slot.cast::<u64>();
        // SAFETY: the slot is this CPU's own and eight bytes long.
        let old = unsafe { times.read_volatile() };
        // SAFETY: as above.
        unsafe { times.write_volatile(old.wrapping_add(1)) };
    }
}
