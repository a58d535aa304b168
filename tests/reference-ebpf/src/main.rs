//! Three programs for `bench connect` alone: one that does nothing, and two shapes to compare with.
#![no_std]
#![no_main]

mod dial;
mod maps;
mod three_hashes;
mod trie;

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

/// What any program costs at all.
#[cgroup_sock_addr(connect4)]
fn empty(_: SockAddrContext) -> i32 {
    dial::PROCEED
}

/// Three hash lookups and an LRU insert.
#[cgroup_sock_addr(connect4)]
fn three_hashes(ctx: SockAddrContext) -> i32 {
    let outcome = three_hashes::to_backend(&ctx).unwrap_or_else(|way_out| way_out);
    dial::end(outcome)
}

/// A longest-prefix-match trie, two hash lookups and an LRU insert.
#[cgroup_sock_addr(connect4)]
fn trie(ctx: SockAddrContext) -> i32 {
    let outcome = trie::to_backend(&ctx).unwrap_or_else(|way_out| way_out);
    dial::end(outcome)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";
