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

/// How often a lookup is repeated while the agent writes.
const LOOKS: u32 = 8;

/// The element of the service port at `frontend`, proven by its check word.
///
/// A hash update is not atomic to a reader: it can miss a key that exists, see another key's
/// value, or a mix of two. So nothing counts before it is proven: a value by its check word, a
/// miss by a writer's sequence counter that was even and did not move while we looked. What stays
/// unproven is [`Outcome::Unproven`].
#[inline(always)]
pub(crate) fn service<F: Maps>(frontend: &F::Frontend) -> Result<Element<F>, Outcome> {
    let mut before = first_epoch();
    let mut way_out = Outcome::NotAService;
    for _ in 0..LOOKS {
        way_out = match look::<F>(frontend) {
            Ok(service) => return Ok(service),
            Err(way_out) => way_out,
        };
        let now = epoch_after();
        if now == before && now & 1 == 0 {
            break;
        }
        before = before_what_follows(now);
        count_event(Event::LookupRetry);
    }
    Err(way_out)
}

/// Whether it is certain that no element is at `frontend`: a miss counts by the writer's sequence counter, as in [`service`]. In
/// little stack, for a function of its own.
#[inline(always)]
pub(super) fn is_absent<F: Maps>(frontend: &F::Frontend) -> bool {
    let mut before = first_epoch();
    for _ in 0..LOOKS {
        if F::element(frontend).is_some() {
            return false;
        }
        let now = epoch_after();
        if now == before && now & 1 == 0 {
            return true;
        }
        before = before_what_follows(now);
        count_event(Event::LookupRetry);
    }
    false
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
    // The first miss proves nothing: the counter may have been odd.
    let mut before = ODD;
    for _ in 0..=LOOKS {
        if F::element(key).is_some() {
            return true;
        }
        let now = epoch_after();
        if now == before && now & 1 == 0 {
            break;
        }
        before = before_what_follows(now);
    }
    false
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

/// How many backends of a set are looked through for one that has left its slot.
const LOOKED_THROUGH: u32 = 256;

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
        // All ones where there is a difference, opaque so that no branch is made of it.
        let differs = black_box(((difference | difference.wrapping_neg()) as i64 >> 63) as u64);
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
#[inline(always)]
pub(super) fn look_through<F: Maps>(range: u64, owner: u64, first: u64, second: u64, rest: u64) -> u32 {
    let wanted = End { address: [first, second], port: rest as u16 };
    let (region, count) = ((range >> 32) as u32, range as u32);
    let slot = (rest >> 16) as u32;
    if slot >= INLINE_BACKENDS as u32 && slot < count {
        let may_be = match entry::<F>(region, slot) {
            Some((of, backend)) => is_stale(of, owner) || F::backend(&backend) == wanted,
            None => true,
        };
        if may_be {
            return slot + 1;
        }
    }
    for slot in INLINE_BACKENDS as u32..count.min(LOOKED_THROUGH) {
        let Some((of, backend)) = entry::<F>(region, slot) else { break };
        if of == owner && F::backend(&backend) == wanted {
            return slot + 1;
        }
    }
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
