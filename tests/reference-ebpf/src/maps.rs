//! The maps of all shapes. The bench sets the sizes, and fills them.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::bpf_ktime_get_ns;
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

/// A service's id and a client, to the backend that the client had last, and when.
#[btf_map]
static AFFINITIES: LruHashMap<[u64; 2], [u64; 2], 1024> = LruHashMap::new();

#[btf_map]
static ENDPOINTS: HashMap<Slot, Backend4, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static CONNECTIONS: LruHashMap<Connection, Frontend4, 1024> = LruHashMap::new();

/// A socket's cookie and what it dialled, to where that led.
#[btf_map]
static DIALLED: LruHashMap<Connection, Backend4, 1024> = LruHashMap::new();

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
    let [backend, _] = unsafe { AFFINITIES.get([u64::from(id), client]) }.copied()?;
    Some(bytemuck::cast(backend))
}

/// How long an affinity lasts that is not renewed.
const THREE_HOURS: u64 = 10_800_000_000_000;

/// The same, unless it is over; its time begins anew.
#[inline(always)]
pub(crate) fn renewed_affinity(id: u32, client: u64) -> Option<Backend4> {
    let found = AFFINITIES.get_ptr_mut([u64::from(id), client])?;
    // SAFETY: the helper takes no arguments and cannot fail.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: an LRU element is never freed while a program runs.
    let [backend, since] = unsafe { found.read_volatile() };
    if now.wrapping_sub(since) > THREE_HOURS {
        return None;
    }
    // SAFETY: as above.
    unsafe { found.write_volatile([backend, now]) };
    Some(bytemuck::cast(backend))
}

#[inline(always)]
pub(crate) fn begin_affinity(id: u32, client: u64, backend: &Backend4) -> Result<(), Outcome> {
    // SAFETY: the helper takes no arguments and cannot fail.
    let now = unsafe { bpf_ktime_get_ns() };
    let value = [bytemuck::cast(*backend), now];
    AFFINITIES.insert([u64::from(id), client], value, 0).map_err(|_errno| Outcome::Unproven)
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

/// What a socket dialled when it was sent to `backend`.
#[inline(always)]
pub(crate) fn remembered(cookie: u64, backend: &Backend4) -> Option<Frontend4> {
    let backend: u64 = bytemuck::cast(*backend);
    // SAFETY: the programs write one socket's elements in turn.
    unsafe { CONNECTIONS.get([cookie, backend]) }.copied()
}

/// Remembers where that led.
#[inline(always)]
pub(crate) fn remember_dialled(cookie: u64, dialled: &Frontend4, backend: &Backend4) -> Result<(), Outcome> {
    let dialled: u64 = bytemuck::cast(*dialled);
    DIALLED.insert([cookie, dialled], backend, 0).map_err(|_errno| Outcome::Unproven)
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
