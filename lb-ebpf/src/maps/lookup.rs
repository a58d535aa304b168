//! Lookups that prove what they found.

use core::hint::black_box;

use lb_common::bloom;
use lb_common::element::Element;
use lb_common::family::Words;
use lb_common::layout::INLINE_BACKENDS;
use lb_common::outcome::{Event, Outcome};
use lb_common::translation::{End, Pair};

use super::tables::{EPOCH, FENCES, Maps};
use crate::maps::count_event;
use crate::settings::loads_reorder;
use crate::unrolled::unrolled;

/// The element of the service port at `frontend`, proven by its check word.
///
/// A hash update is not atomic to a reader: it can miss a key that exists, see another key's
/// value, or a mix of two. So nothing counts before it is proven: a value by its check word, a
/// miss by a writer's sequence counter that was even and did not move while we looked. What stays
/// unproven is [`Outcome::Unproven`].
#[inline(always)]
pub(crate) fn service<F: Maps>(frontend: &F::Frontend) -> Result<Element<F>, Outcome> {
    let way_out = match look::<F>(frontend) {
        Ok(service) => return Ok(service),
        Err(way_out) => way_out,
    };
    if cfg!(feature = "plant-no-epoch") && way_out == Outcome::NotAService {
        return Err(way_out);
    }
    if F::is_missed(frontend) != 0 {
        return Err(Outcome::NotAService);
    }
    // It is there: what was read was not its own, or the writer moved it.
    count_event(Event::LookupRetry);
    match look::<F>(frontend) {
        Ok(service) => Ok(service),
        Err(_missed_or_torn) => Err(Outcome::Unproven),
    }
}

/// Whether an element is at `frontend`, whatever it holds. In little stack, for functions of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Found,
    /// It is certain that none is: a miss counts by the writer's sequence counter, as in [`service`].
    Absent,
    /// Missed eight times, while the agent wrote each time.
    Missed,
}

#[expect(unused_assignments, reason = "the last round prepares none")]
#[inline(always)]
pub(super) fn presence<F: Maps>(frontend: &F::Frontend) -> Presence {
    let mut before = first_epoch();
    unrolled!(8: {
        if F::element(frontend).is_some() {
            return Presence::Found;
        }
        let now = epoch_after();
        if now == before && now & 1 == 0 {
            return Presence::Absent;
        }
        before = before_what_follows(now);
        count_event(Event::LookupRetry);
    });
    Presence::Missed
}

/// Whether the Bloom filter proves that no service port is at `frontend`: most calls end here.
///
/// The agent sets a key's bits before the element is written, and they stay while it is there.
/// They lie in one word, so that no half of a write can be seen: no sequence counter is needed.
#[inline(always)]
pub(super) fn is_excluded<F: Maps>(frontend: &F::Frontend) -> bool {
    let (word, bits) = bloom::place::<F>(frontend);
    let Some(word) = F::bloom_word(word) else { return false };
    // SAFETY: an array element never moves and lives as long as the map; the agent may write it at
    // any time, hence volatile.
    let set = unsafe { word.read_volatile() };
    set & bits != bits
}

/// Whether the agent has entered that the address of `key` is one that we serve: `key` is its
/// [`other_ports`](lb_common::family::Family::other_ports). Nothing of the value is used, and nothing of it is copied.
#[inline(always)]
pub(super) fn is_served<F: Maps>(key: &F::Frontend) -> bool {
    if is_excluded::<F>(key) {
        return false;
    }
    presence::<F>(key) == Presence::Found
}

/// Backend number `index` of `service`, which has that many.
#[inline(always)]
pub(crate) fn backend<F: Maps>(service: &Element<F>, index: u32) -> Result<F::Backend, Outcome> {
    if index < INLINE_BACKENDS as u32 {
        return Ok(service.inline(index));
    }
    in_region(service, index)
}

/// The same, for one that is not inline.
#[inline(always)]
fn in_region<F: Maps>(service: &Element<F>, index: u32) -> Result<F::Backend, Outcome> {
    let (owner, backend) = entry::<F>(service.region(), index).ok_or(Outcome::Unproven)?;
    if is_stale(owner, service.owner()) {
        return Err(Outcome::Unproven);
    }
    Ok(backend)
}

/// The region's entry of a backend that is not inline: whose it is, and the backend.
#[inline(always)]
fn entry<F: Maps>(region: u32, index: u32) -> Option<(u64, F::Backend)> {
    let at = region.wrapping_add(index - INLINE_BACKENDS as u32);
    let entry = F::region_entry(at)?;
    // SAFETY: an array element never moves and is never freed while the program runs; the agent
    // may write it at any time, hence volatile, and what was read is proven by its owner.
    let owner = unsafe { entry.read_volatile() };
    let mut backend = F::BackendWords::ZERO;
    let mut word = 0;
    while word < F::BackendWords::COUNT {
        // SAFETY: the backend follows the first word of the entry.
        let part = unsafe { entry.add(1 + word) };
        // SAFETY: as for the owner.
        backend.set(word, unsafe { part.read_volatile() });
        word += 1;
    }
    Some((owner, bytemuck::cast(backend)))
}

/// How many backends of a set are looked through for one that has left its slot, a chunk at a time.
const LOOKED_THROUGH: u32 = 256;
/// As many as `unrolled!` has in it.
const CHUNK: u32 = 16;

/// The slot of the backend of `service` that `remembered` leads to; `None` when it has left the set. Backends keep
/// their slot, but for the last ones of a set that shrinks: those are found again, in a set of up to 256.
///
/// Without branches as far as backends are inline: the verifier would go through all that follows once for each.
#[inline(always)]
pub(crate) fn slot<F: Maps>(service: &Element<F>, remembered: &Pair) -> Option<u32> {
    let mut behind = 0;
    let mut slot = 0;
    while slot < INLINE_BACKENDS {
        let difference = F::backend(&service.at(slot)).difference(&remembered.backend);
        // Opaque, so that no branch is made of it; and before it is all ones or zeros: of a number with bounds, kernels before 6.8
        // let no part be written over without CAP_PERFMON, and the compiler keeps other things at its place on the stack.
        let difference = black_box(difference | difference.wrapping_neg());
        // All ones where there is a difference.
        let differs = (difference as i64 >> 63) as u64;
        behind |= !differs & (slot as u64 + 1);
        slot += 1;
    }
    if behind == 0 {
        let range = u64::from(service.region()) << 32 | u64::from(service.count());
        let [first, second] = remembered.backend.address;
        let rest = u64::from(remembered.backend.port) | u64::from(remembered.slot) << 16;
        behind = F::look_through(range, service.owner(), first, second, rest).into();
    }
    (behind as u32).checked_sub(1)
}

/// The number behind the slot of a backend in a region, as far as that is looked through; 0 where it is not there.
/// `range` is where the region begins, and the count of all backends; `rest` the backend's port, and the slot that it had.
///
/// An entry that is stale may be the one: its slot is returned, and is found stale again.
#[expect(unused_assignments, reason = "the last round prepares none")]
#[inline(always)]
pub(super) fn look_through<F: Maps>(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
    let port = rest as u16;
    let (region, count) = ((range >> 32) as u32, range as u32);
    let slot = (rest >> 16) as u32;
    if slot >= INLINE_BACKENDS as u32 && slot < count {
        let may_be = match entry::<F>(region, slot) {
            Some((of, backend)) => {
                is_stale(of, owner) || F::backend(&backend) == End { address: [first, second], port }
            }
            None => true,
        };
        if may_be {
            return slot + 1;
        }
    }
    let mut first_slot = INLINE_BACKENDS as u32;
    unrolled!(16: {
        if first_slot >= count {
            return 0;
        }
        let chunk = u64::from(port) | u64::from(first_slot) << 16;
        let behind = F::look_through_chunk(range, owner, first, second, chunk);
        if behind != 0 {
            return behind;
        }
        first_slot += CHUNK;
    });
    0
}

/// [`look_through`] of the slots from the one that is in `rest` beside the backend's port.
#[expect(unused_assignments, reason = "the last round prepares none")]
#[inline(always)]
pub(super) fn look_through_chunk<F: Maps>(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
    let wanted = End { address: [first, second], port: rest as u16 };
    let (region, count) = ((range >> 32) as u32, range as u32);
    let mut slot = (rest >> 16) as u32;
    unrolled!(16: {
        if slot >= count || slot >= LOOKED_THROUGH {
            return 0;
        }
        let Some((of, backend)) = entry::<F>(region, slot) else { return 0 };
        if of == owner && F::backend(&backend) == wanted {
            return slot + 1;
        }
        slot += 1;
    });
    0
}

/// Whether an entry belongs to another publication than the element that points at it.
#[inline(always)]
fn is_stale(entry: u64, element: u64) -> bool {
    if cfg!(feature = "plant-no-revision") {
        return entry as u32 != element as u32;
    }
    entry != element
}

/// One look, copied once and proven.
#[inline(always)]
fn look<F: Maps>(frontend: &F::Frontend) -> Result<Element<F>, Outcome> {
    let element = F::element(frontend).ok_or(Outcome::NotAService)?;
    let mut copy = Element::<F>(F::Value::ZERO);
    let mut index = 0;
    while index < F::Value::COUNT {
        #[cfg(feature = "plant-slow-look")]
        if index == F::Value::COUNT / 2 && is_slow_look() {
            crate::dawdle::dawdle_a_little();
        }
        // SAFETY: the element has that many words.
        let word = unsafe { element.add(index) };
        // SAFETY: the element is aligned to 8. It can be recycled for another key while we copy,
        // which the check word below shows; its memory stays a hash element.
        copy.0.set(index, unsafe { word.read_volatile() });
        index += 1;
    }
    if !cfg!(feature = "plant-no-check") && !copy.proven(frontend) {
        return Err(Outcome::Unproven);
    }
    Ok(copy)
}

/// One look in 64.
#[cfg(feature = "plant-slow-look")]
#[inline(always)]
fn is_slow_look() -> bool {
    // SAFETY: the helper takes no arguments and cannot fail.
    unsafe { aya_ebpf::helpers::bpf_get_prandom_u32() }.is_multiple_of(64)
}

/// The writer's sequence counter: odd while the agent writes.
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

/// ENOENT, as a helper returns it.
const NOT_THERE: i32 = -2;
/// What the sequence counter counts as where it proves nothing.
const ODD: u32 = 1;

/// The counter before a first look. A first miss proves nothing where loads are reordered, and is repeated.
#[inline(always)]
fn first_epoch() -> u32 {
    if loads_reorder() { ODD } else { epoch() }
}

/// The counter, read after all that was loaded before.
#[inline(always)]
fn epoch_after() -> u32 {
    if loads_reorder() && load_fence() == 0 {
        return ODD;
    }
    epoch()
}

/// The counter that was read, if that is before all that is loaded from here on.
#[inline(always)]
fn before_what_follows(read: u32) -> u32 {
    if loads_reorder() && load_fence() == 0 { ODD } else { read }
}

/// Orders the loads before it against those after it, where the processor would reorder them; 0 where it could not.
///
/// Deleting a key that is not there takes and releases a bucket lock of the kernel. Loads before
/// a release stay before it, an acquire after a release stays after it (Armv8 is RCsc), and loads
/// after an acquire stay after it: two in a row are a full load barrier, on every kernel and
/// without atomics, which this target lacks. ENOENT alone says that the lock was taken: a kernel can also say that it gave up
/// (docs/design/0028).
///
/// A global function: the verifier goes through it once, and not on each path that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn load_fence() -> u32 {
    // SAFETY: the helper takes no arguments and cannot fail.
    let bucket = unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() };
    for _ in 0..2 {
        if FENCES.remove(bucket) != Err(NOT_THERE) {
            return 0;
        }
    }
    1
}
