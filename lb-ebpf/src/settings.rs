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

/// Not zero where programs say in the log what they do (`lb-agent run --program-log`).
#[cfg(feature = "program-log")]
#[unsafe(no_mangle)]
static LOGS: Global<u8> = Global::new(0);

/// Not zero where programs record what they decide: 1 of calls to Services alone, 2 of all (`lb-agent trace`).
#[cfg(feature = "program-log")]
#[unsafe(no_mangle)]
static TRACES: Global<u8> = Global::new(0);

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

#[cfg(feature = "program-log")]
#[inline(always)]
pub(crate) fn logs() -> bool {
    LOGS.load() != 0
}

#[cfg(feature = "program-log")]
#[inline(always)]
pub(crate) fn traces() -> bool {
    TRACES.load() != 0
}

#[cfg(feature = "program-log")]
#[inline(always)]
pub(crate) fn traces_all() -> bool {
    TRACES.load() > 1
}
