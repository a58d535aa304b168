//! Programs for `bench connect` alone: some that do nothing, and three shapes to compare with.
#![no_std]
#![no_main]

mod dial;
mod maps;
mod remembering;
mod three_hashes;
mod trie;

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

/// One program a line: its name, the hook of the cgroup that it is attached at, and what it does with a call.
macro_rules! programs {
    ($($name:ident: $hook:ident $does:path;)*) => {$(
        #[cgroup_sock_addr($hook)]
        fn $name(ctx: SockAddrContext) -> i32 {
            dial::end($does(&ctx))
        }
    )*};
}

/// The same, but for what it does: what any program costs at all.
macro_rules! empty_programs {
    ($($name:ident: $hook:ident;)*) => {$(
        #[cgroup_sock_addr($hook)]
        fn $name(_: SockAddrContext) -> i32 {
            dial::PROCEED
        }
    )*};
}

empty_programs! {
    empty_connect4: connect4;
    empty_connect6: connect6;
    empty_sendmsg4: sendmsg4;
    empty_recvmsg4: recvmsg4;
}

programs! {
    // R1
    three_hashes: connect4 three_hashes::to_backend;
    // R2
    trie: connect4 trie::to_backend;
    trie_affine: connect4 trie::to_the_clients_backend;
    // R3
    remembering_connect4: connect4 remembering::to_backend;
    remembering_sendmsg4: sendmsg4 remembering::to_backend;
    remembering_recvmsg4: recvmsg4 remembering::to_service;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";
