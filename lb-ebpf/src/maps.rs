//! Every map, and the only functions that touch one.

use aya_ebpf::Global;
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;
use lb_common::layout::{
    Backend4, Count, Epoch, Frontend4, INLINE_BACKENDS, MARK_WORDS, MMAPABLE, Marks, NO_PREALLOC,
    RegionEntry4, Service4, ServiceName,
};
use lb_common::marks;
use lb_common::outcome::{COUNTERS, LOOKED_AGAIN, Outcome};
use lb_common::pick::Words4;

// The sizes written here are the smallest; the agent sets its own when it creates a map.

#[btf_map]
static SERVICES4: HashMap<Frontend4, Service4, 1024, { NO_PREALLOC as usize }> = HashMap::new();

#[btf_map]
static BACKENDS4: Array<RegionEntry4, 1024> = Array::new();

#[btf_map]
static MARKS4: Array<Marks, { MARK_WORDS as usize }> = Array::new();

#[btf_map]
static OUTCOMES: PerCpuArray<Count, COUNTERS> = PerCpuArray::new();

#[btf_map]
static EPOCH: Array<Epoch, 1, { MMAPABLE as usize }> = Array::new();

#[btf_map]
static NAMES: HashMap<u32, ServiceName, 1024, { NO_PREALLOC as usize }> = HashMap::new();

/// Only for [`load_fence`].
#[btf_map]
static FENCES: HashMap<u32, u32, 64> = HashMap::new();

/// Not zero on processors that reorder loads (arm64). Set by the agent at load, constant from
/// then on, so that the verifier drops the fences elsewhere.
#[unsafe(no_mangle)]
static LOADS_REORDER: Global<u8> = Global::new(0);

/// How often a lookup is repeated while the agent writes.
const LOOKS: u32 = 8;

/// The element of the service port at `address`, proven by its check word.
///
/// A hash update is not atomic to a reader: it can miss a key that exists, see another key's
/// value, or a mix of two. So nothing counts before it is proven: a value by its check word, a
/// miss by a writer's epoch that was even and did not move while we looked. What stays unproven
/// is [`Outcome::Unproven`].
#[inline(always)]
pub(crate) fn service(address: &Frontend4) -> Result<Words4, Outcome> {
    if is_unmarked(address) {
        return Err(Outcome::NotAService);
    }
    let reordered = LOADS_REORDER.load() != 0;
    // Odd never passes for "nobody wrote": where loads are reordered a first miss proves nothing.
    let mut before = if reordered { 1 } else { epoch() };
    let mut way_out = Outcome::NotAService;
    for _ in 0..LOOKS {
        way_out = match look(address) {
            Ok(service) => return Ok(service),
            Err(way_out) => way_out,
        };
        if reordered {
            load_fence();
        }
        let now = epoch();
        if now == before && now & 1 == 0 {
            break;
        }
        before = now;
        if reordered {
            load_fence();
        }
        count(LOOKED_AGAIN);
    }
    Err(way_out)
}

/// Whether the marks prove that no service port is at `address`: most of what is dialled ends here.
///
/// The agent sets a key's marks before the element is written, and they stay while it is there.
/// They lie in one word, so that no half of a write can be seen: no epoch is needed.
#[inline(always)]
fn is_unmarked(address: &Frontend4) -> bool {
    let (word, bits) = marks::place4(address);
    let Some(marks) = MARKS4.get_ptr(word) else { return false };
    // SAFETY: an array element never moves and lives as long as the map; the agent may write it at
    // any time, hence volatile.
    let marked = unsafe { marks.cast::<u64>().read_volatile() };
    marked & bits != bits
}

/// Backend number `index` of `service`, which has that many.
#[inline(always)]
pub(crate) fn backend(service: &Words4, index: u32) -> Result<Backend4, Outcome> {
    if index < INLINE_BACKENDS as u32 {
        return Ok(service.inline(index));
    }
    let at = service.region().wrapping_add(index - INLINE_BACKENDS as u32);
    let entry = BACKENDS4.get_ptr(at).ok_or(Outcome::Unproven)?;
    // SAFETY: an array element never moves and is never freed while the program runs; the agent
    // may write it at any time, hence volatile, and what was read is proven below.
    let owner = unsafe { entry.cast::<u64>().read_volatile() };
    // SAFETY: as above; the entry is two words long.
    let backend = unsafe { entry.cast::<u64>().wrapping_add(1).read_volatile() };
    if owner != service.owner() {
        return Err(Outcome::Unproven);
    }
    Ok(bytemuck::cast(backend))
}

/// Adds one to a counter of this CPU. A plain add: nothing preempts between two CPUs' copies,
/// and a lost count under preemption costs less than an atomic on every connection.
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

/// One look, copied once and proven.
#[inline(always)]
fn look(address: &Frontend4) -> Result<Words4, Outcome> {
    let element = SERVICES4.get_ptr(address).ok_or(Outcome::NotAService)?.cast::<u64>();
    let mut words = Words4([0; size_of::<Service4>() / 8]);
    for (index, word) in words.0.iter_mut().enumerate() {
        // SAFETY: the element is 72 bytes at an alignment of 8. It can be recycled for another
        // key while we copy, which the check word below shows; its memory stays a hash element.
        *word = unsafe { element.wrapping_add(index).read_volatile() };
    }
    if !cfg!(feature = "plant-no-check") && !words.proven(address) {
        return Err(Outcome::Unproven);
    }
    Ok(words)
}

/// The writer's epoch: odd while the agent writes.
#[inline(always)]
fn epoch() -> u32 {
    if cfg!(feature = "plant-no-epoch") {
        return 0;
    }
    match EPOCH.get_ptr(0) {
        // SAFETY: the element is eight bytes and lives as long as the map; `writes` comes first.
        Some(epoch) => unsafe { epoch.cast::<u32>().read_volatile() },
        None => 0,
    }
}

/// Orders the loads before it against those after it, where the processor would reorder them.
///
/// Deleting a key that is not there takes and releases a bucket lock of the kernel. Loads before
/// a release stay before it, an acquire after a release stays after it (Armv8 is RCsc), and loads
/// after an acquire stay after it: two in a row are a full load barrier, on every kernel and
/// without atomics, which this target lacks.
#[inline(always)]
fn load_fence() {
    // SAFETY: the helper takes no arguments and cannot fail.
    let bucket = unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() };
    for _ in 0..2 {
        if FENCES.remove(bucket).is_ok() {
            count(LOOKED_AGAIN);
        }
    }
}
