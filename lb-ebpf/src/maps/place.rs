//! Where the element of a call is: under the address that is dialled, or, where that is the host's, under any.

use aya_ebpf::helpers::bpf_get_netns_cookie;
use lb_common::family::Words as _;
use lb_common::layout::{Control, HostKey, INITIAL_NAMESPACE};
use lb_common::node_port::{Range, host};

use super::lookup::{Presence, is_excluded, presence};
use super::tables::{CONTROL, HOST_ADDRESSES, Maps};
use crate::call::Call;

/// Words of [`Control`]: the range of node ports is the upper half of the first, the last is reserved, and zero.
const WORDS: usize = size_of::<Control>() / 8;

/// Makes `key`, which is what is dialled, the key under which that is: a node port is under any address. Returns whether there may
/// be a service port. Most calls end here: the Bloom filter lets them go, and no node port is near their port.
///
/// Both kinds of key go one way from here on. The verifier is to know nothing of the bits that make the difference, or it would
/// go through all that follows twice: so what is zero is read from a map, and nothing is chosen by a branch.
#[inline(always)]
pub(crate) fn find<F: Maps>(call: &Call<'_>, key: &mut F::Frontend) -> bool {
    // Under the unspecified address lie node ports, and to dial it is to dial loopback.
    let may_be_exact = !is_excluded::<F>(key) && F::address_bits(key) != 0;
    let Some(control) = CONTROL.get_ptr(0) else { return false };
    let range = Range((control_word(control, 0) >> 32) as u32);
    let mut is_node_port = 0;
    if range.has(u16::from_be(F::service(key).port)) {
        is_node_port = F::is_node_port(words::<F>(key), may_be_exact.into(), client(call));
    } else if !may_be_exact {
        return false;
    }
    let is_node_port = u64::from(is_node_port) | control_word(control, WORDS - 1);
    if is_node_port == 0 && !may_be_exact {
        return false;
    }
    *key = F::masked(key, is_node_port.wrapping_sub(1));
    true
}

/// Whether the key of these words leads to a node port: no element is at the very address, and that is the host's.
#[inline(always)]
pub(super) fn is_node_port<F: Maps>(words: [u64; 3], may_be_exact: bool, client: u64) -> bool {
    let mut key = F::Key::ZERO;
    let mut word = 0;
    while word < F::Key::COUNT {
        key.set(word, words[word]);
        word += 1;
    }
    let frontend: F::Frontend = bytemuck::cast(key);
    if may_be_exact && presence::<F>(&frontend) != Presence::Absent {
        return false;
    }
    is_host(host(&F::service(&frontend)), client)
}

#[inline(always)]
fn words<F: Maps>(frontend: &F::Frontend) -> [u64; 3] {
    let key: F::Key = bytemuck::cast(*frontend);
    let mut words = [0; 3];
    let mut word = 0;
    while word < F::Key::COUNT {
        words[word] = key.word(word);
        word += 1;
    }
    words
}

#[inline(always)]
fn control_word(control: *const Control, word: usize) -> u64 {
    // SAFETY: the word lies within the element.
    let word = unsafe { control.cast::<u64>().add(word) };
    // SAFETY: an array element never moves and lives as long as the map; the agent may write it at any time, hence volatile.
    unsafe { word.read_volatile() }
}

/// Whether node ports are served at this address of the host, for a client in the network namespace `client`.
#[inline(always)]
fn is_host(address: [u64; 2], client: u64) -> bool {
    let key = HostKey { address: bytemuck::cast(address) };
    let Some(found) = HOST_ADDRESSES.get_ptr(key) else { return false };
    // SAFETY: an element's memory stays an element's, also when it is recycled for another address.
    let namespace = unsafe { &raw const (*found).namespace };
    // SAFETY: as above; it may be written at any time, hence volatile.
    match unsafe { namespace.read_volatile() } {
        0 => true,
        INITIAL_NAMESPACE => client == initial(),
        namespace => client == namespace,
    }
}

/// The cookie of the client's network namespace.
#[inline(always)]
fn client(call: &Call<'_>) -> u64 {
    // SAFETY: the context is the call's own.
    unsafe { bpf_get_netns_cookie(call.context().sock_addr.cast()) }
}

/// The cookie of the machine's first network namespace.
#[inline(always)]
fn initial() -> u64 {
    // SAFETY: without a context the helper returns that one.
    unsafe { bpf_get_netns_cookie(core::ptr::null_mut()) }
}
