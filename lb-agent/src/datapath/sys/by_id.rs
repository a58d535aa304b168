//! Maps and types of the kernel by their ids. It takes CAP_SYS_ADMIN.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use bytemuck::{Pod, Zeroable};

use super::{FdById, InfoByFd, address_mut, bpf, owned, raw};

const MAP_GET_FD_BY_ID: i64 = 14;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const BTF_GET_FD_BY_ID: i64 = 19;
/// No types of a program take more, in bytes.
const MOST: u32 = 16 << 20;

/// The start of `struct bpf_btf_info`.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct BtfInfo {
    btf: u64,
    size: u32,
    id: u32,
}

/// Opens a map.
pub(in crate::datapath) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    open(MAP_GET_FD_BY_ID, id)
}

/// The types of this id, as they were loaded.
pub(in crate::datapath) fn types_by_id(id: u32) -> io::Result<Vec<u8>> {
    let types = open(BTF_GET_FD_BY_ID, id)?;
    let ask = |bytes: &mut [u8]| {
        let mut info = [BtfInfo { btf: address_mut(bytes), size: bytes.len() as u32, id: 0 }];
        let info_len = size_of::<BtfInfo>() as u32;
        let mut attr = InfoByFd { bpf_fd: raw(types.as_fd()), info_len, info: address_mut(&mut info) };
        bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
        Ok::<u32, io::Error>(info[0].size)
    };
    let size = ask(&mut [])?;
    if size > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; size as usize];
    ask(&mut bytes)?;
    Ok(bytes)
}

fn open(command: i64, id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(command, &mut FdById { id, next_id: 0, open_flags: 0 })?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}
