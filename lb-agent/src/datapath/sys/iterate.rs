//! A program that the kernel runs on each element of a map: loaded, linked to the map, and read.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytemuck::{Pod, Zeroable};

use super::{address, bpf, owned, raw};

const PROG_LOAD: i64 = 5;
const LINK_CREATE: i64 = 28;
const ITER_CREATE: i64 = 33;

/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// `BPF_TRACE_ITER`.
const TRACE_ITER: u32 = 28;

/// What `PROG_LOAD` takes, up to the BTF id of what the program is for.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ProgLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    btf: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    info: u64,
    info_length: u32,
    zero: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct IterCreate {
    link: u32,
    flags: u32,
}

/// Loads a program for the iterator whose function has this id in the kernel's BTF. It takes CAP_PERFMON.
pub(in crate::datapath) fn load_iterator(instructions: &[u64], function: u32) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = ProgLoad {
        kind: TRACING,
        instruction_count: instructions.len() as u32,
        instructions: address(instructions),
        license: license.as_ptr() as u64,
        name: *b"edgeloop_walk\0\0\0",
        attach_type: TRACE_ITER,
        attach_btf_id: function,
        ..ProgLoad::zeroed()
    };
    let fd = bpf(PROG_LOAD, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

/// Links `program` to the elements of `map`. It runs on them whenever the link is [read](iterate).
pub(in crate::datapath) fn link_iterator(
    program: BorrowedFd<'_>,
    map: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    // `union bpf_iter_link_info`.
    let info = [raw(map)];
    let mut attr = LinkCreate {
        program: raw(program),
        attach_type: TRACE_ITER,
        info: address(&info),
        info_length: size_of_val(&info) as u32,
        ..LinkCreate::zeroed()
    };
    let fd = bpf(LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

/// What the program writes on all elements from now on, as a file.
pub(in crate::datapath) fn iterate(link: BorrowedFd<'_>) -> io::Result<File> {
    let fd = bpf(ITER_CREATE, &mut IterCreate { link: raw(link), flags: 0 })?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) }.into())
}
