//! Programs that are loaded to see whether the kernel takes them, and the names of those that run.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytemuck::{Pod, Zeroable};

use super::{address, bpf, info, owned};

const PROG_LOAD: i64 = 5;

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(in crate::datapath) struct NamedProgramInfo {
    kind: u32,
    pub(in crate::datapath) id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by_uid: u32,
    /// Zero: the ids of the maps are not asked for.
    map_ids_length: u32,
    map_ids: u64,
    /// Up to the first zero.
    pub(in crate::datapath) name: [u8; 16],
}

/// The start of what `PROG_LOAD` takes.
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
}

/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
const CGROUP_SOCK_ADDR: u32 = 18;

/// What a program is called, of one that is open.
pub(in crate::datapath) fn named_program_info(program: BorrowedFd<'_>) -> io::Result<NamedProgramInfo> {
    info(program)
}

/// Loads a program for a hook of sockets in a cgroup. Each instruction is 8 bytes, as the kernel has it.
pub(in crate::datapath) fn load_program(instructions: &[u64], attach_type: u32) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = ProgLoad {
        kind: CGROUP_SOCK_ADDR,
        instruction_count: instructions.len() as u32,
        instructions: address(instructions),
        license: license.as_ptr() as u64,
        attach_type,
        ..ProgLoad::zeroed()
    };
    let fd = bpf(PROG_LOAD, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}
