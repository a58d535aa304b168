//! The constants that programs in the kernel were loaded with: read from the kernel, not from who loaded them.

use std::io;
use std::os::fd::AsFd as _;

use aya::programs::ProgramInfo;

use crate::datapath::btf::Btf;
use crate::datapath::sys;

/// The section of the object that the constants lie in.
const SECTION: &str = ".rodata";
/// No such section is larger, in bytes.
const MOST: u32 = 1 << 16;
const ARRAY: u32 = 2;

/// As in `lb-ebpf/src/settings.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Constants {
    pub(super) loads_reorder: u8,
    pub(super) replaces: u8,
    pub(super) tcp_peername: u8,
}

impl Constants {
    /// Those of a program that was loaded with its types.
    pub(super) fn of(program: &ProgramInfo) -> io::Result<Self> {
        let types = sys::types_by_id(program.btf_id().ok_or_else(unknown)?)?;
        let types = Btf::parse(&types).map_err(io::Error::other)?;
        let values = section(program)?;
        let value = |name: &str| {
            let at = types.variable(SECTION, name).ok_or_else(unknown)?;
            values.get(at as usize).copied().ok_or_else(unknown)
        };
        Ok(Self {
            loads_reorder: value("LOADS_REORDER")?,
            replaces: value("REPLACES")?,
            tcp_peername: value("TCP_PEERNAME")?,
        })
    }
}

/// The only map of the program that cannot be written any more.
fn section(program: &ProgramInfo) -> io::Result<Vec<u8>> {
    /// `BPF_F_RDONLY_PROG`.
    const READ_ONLY: u32 = 1 << 7;
    for id in program.map_ids().map_err(io::Error::other)?.unwrap_or_default() {
        let map = sys::map_by_id(id)?;
        let info = sys::map_info(map.as_fd())?;
        let is_section = info.kind == ARRAY && info.flags & READ_ONLY != 0 && info.value_size <= MOST;
        if is_section {
            let mut values = vec![0; info.value_size as usize];
            sys::lookup(map.as_fd(), &[0; 4], &mut values)?;
            return Ok(values);
        }
    }
    Err(unknown())
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel does not show them")
}
