//! Which programs run at a hook.

use std::io;
use std::os::fd::BorrowedFd;

use bytemuck::{Pod, Zeroable};

use super::{address_mut, bpf, raw};

const PROG_QUERY: i64 = 16;
const QUERY_EFFECTIVE: u32 = 1;

/// All of it, also on kernels that know the first fields alone: Linux 6.17 writes `revision` whatever size it is given (fixed in
/// 7.2, and in 6.18.44).
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    zero: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

const _: () = assert!(size_of::<Query>() == 64);

/// The ids of the programs that run at this hook of `cgroup`, inherited ones included, in order.
pub(in crate::datapath) fn effective_programs(
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; 64];
    let mut attr = Query {
        target_fd: raw(cgroup),
        attach_type,
        query_flags: QUERY_EFFECTIVE,
        attach_flags: 0,
        prog_ids: address_mut(&mut ids),
        prog_cnt: 64,
        ..Query::zeroed()
    };
    bpf(PROG_QUERY, &mut attr)?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}
