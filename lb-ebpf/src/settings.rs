//! What the agent sets when it loads the programs. Constant from then on, so that the verifier
//! drops the branches that are not taken.

use aya_ebpf::Global;

/// Not zero on processors that reorder loads (arm64): the programs fence theirs.
#[unsafe(no_mangle)]
static LOADS_REORDER: Global<u8> = Global::new(0);

/// Not zero where there is no kube-proxy to leave anything to (`--mode replace`).
#[unsafe(no_mangle)]
static REPLACES: Global<u8> = Global::new(0);

/// Not zero where `getpeername` shows what TCP sockets dialled (`--tcp-peername`).
#[unsafe(no_mangle)]
static TCP_PEERNAME: Global<u8> = Global::new(0);

#[inline(always)]
pub(crate) fn replaces_kube_proxy() -> bool {
    REPLACES.load() != 0
}

#[inline(always)]
pub(crate) fn shows_tcp_peers() -> bool {
    TCP_PEERNAME.load() != 0
}

#[inline(always)]
pub(crate) fn loads_reorder() -> bool {
    LOADS_REORDER.load() != 0
}
