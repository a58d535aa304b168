//! Programs of another process at a cgroup's hooks, and what it can do to our links.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use bytemuck::{Pod, Zeroable};

use crate::harness::bpf::{bpf, open, pin};

const PROG_LOAD: i64 = 5;
const PROG_GET_FD_BY_ID: i64 = 13;
const PROG_QUERY: i64 = 16;
const LINK_CREATE: i64 = 28;
const LINK_UPDATE: i64 = 29;
const LINK_DETACH: i64 = 34;

/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
const SOCK_ADDR: u32 = 18;
/// `BPF_PROG_TYPE_EXT`.
const EXTENSION: u32 = 28;

/// `r0 = 1; exit`: lets every call pass as it is.
const LET_PASS: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
/// `r0 = 0; exit`: every call gets EPERM.
const REFUSE: [u64; 2] = [0x0000_0000_0000_00b7, 0x95];
/// `r1 = -111; call bpf_set_retval; r0 = 0; exit`.
const SET_ERRNO: [u64; 4] = [0xffff_ff91_0000_01b7, 0x0000_00bb_0000_0085, 0x0000_0000_0000_00b7, 0x95];

/// The start of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Link {
    first: u32,
    second: u32,
    third: u32,
    flags: u32,
}

/// All of it: Linux 6.17 writes the last field whatever size it is given (`sys/query.rs`).
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Query {
    cgroup: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    room: u32,
    zero: [u32; 7],
    revision: u64,
}

/// A program that lets every call pass, loaded for a hook (`enum bpf_attach_type`).
fn load(attach_type: u32) -> Result<OwnedFd> {
    load_code(&LET_PASS, attach_type)
}

fn load_code(code: &[u64], attach_type: u32) -> Result<OwnedFd> {
    load_kind(SOCK_ADDR, code, attach_type)
}

fn load_kind(kind: u32, code: &[u64], attach_type: u32) -> Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = Load {
        kind,
        instructions: u32::try_from(code.len())?,
        code: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        attach_type,
        ..Load::zeroed()
    };
    let fd = bpf(PROG_LOAD, &mut attr).context("could not load a program")?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches such a program at a hook of `cgroup`, and pins the link.
pub fn attach(cgroup: &Path, attach_type: u32, at: &Path) -> Result<()> {
    attach_with(cgroup, attach_type, at, 0)
}

/// The same before all that run there, where the kernel can (`BPF_F_BEFORE`).
pub fn attach_first(cgroup: &Path, attach_type: u32, at: &Path) -> Result<()> {
    attach_with(cgroup, attach_type, at, 1 << 3)
}

/// The same before all that did not ask for this (`BPF_F_PREORDER`, 6.15).
pub fn attach_in_preorder(cgroup: &Path, attach_type: u32, at: &Path) -> Result<()> {
    attach_with(cgroup, attach_type, at, 1 << 6)
}

/// Attaches a program that refuses every call, until the descriptor is closed.
pub fn refuse(cgroup: &Path, attach_type: u32) -> Result<OwnedFd> {
    link(&load_code(&REFUSE, attach_type)?, cgroup, attach_type, 0)
}

/// Whether programs of this kernel may choose the error of a call that they refuse.
pub fn may_set_errno() -> Result<bool> {
    const CONNECT4: u32 = 10;
    match load_code(&SET_ERRNO, CONNECT4) {
        Ok(_) => Ok(true),
        // What a verifier says of a helper that it does not know.
        Err(error) if is_invalid(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a program may take the place of one that runs. Some machines forbid it to everyone.
pub fn may_extend() -> Result<bool> {
    // It names no program that it could take the place of.
    is_invalid_at_most(load_kind(EXTENSION, &LET_PASS, 0))
}

/// Whether a load that lacks something was refused for that, and not forbidden.
fn is_invalid_at_most(loaded: Result<OwnedFd>) -> Result<bool> {
    match loaded {
        Ok(_) => Ok(true),
        Err(error) if is_invalid(&error) => Ok(true),
        Err(error) => {
            let cause = error.root_cause().downcast_ref::<std::io::Error>();
            if cause.and_then(std::io::Error::raw_os_error) == Some(libc::EPERM) {
                Ok(false)
            } else {
                Err(error)
            }
        }
    }
}

/// What the kernel shows of a loaded program that differs where its instructions do: its tag, its size in memory, and how many
/// instructions were verified.
pub fn shape(id: u32) -> Result<Vec<String>> {
    // A descriptor of the program, by its id, which comes first.
    let fd = bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0]).context("could not open a program")?;
    // SAFETY: the kernel made this descriptor for this call.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
    let is_shown = |line: &&str| {
        ["prog_id:", "prog_type:", "prog_jited:", "prog_tag:", "memlock:", "verified_insns:"]
            .iter()
            .any(|field| line.starts_with(field))
    };
    Ok(info.lines().filter(is_shown).map(str::to_owned).collect())
}

fn is_invalid(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.and_then(std::io::Error::raw_os_error) == Some(libc::EINVAL)
}

fn attach_with(cgroup: &Path, attach_type: u32, at: &Path, flags: u32) -> Result<()> {
    pin(&link(&load(attach_type)?, cgroup, attach_type, flags)?, at)
}

fn link(program: &OwnedFd, cgroup: &Path, attach_type: u32, flags: u32) -> Result<OwnedFd> {
    let cgroup = File::open(cgroup)?;
    let mut attr = Link { first: number(program), second: number(&cgroup), third: attach_type, flags };
    let fd = bpf(LINK_CREATE, &mut attr).context("could not attach")?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts such a program behind the link that is pinned at `link`.
pub fn replace(link: &Path, attach_type: u32) -> Result<()> {
    let (program, link) = (load(attach_type)?, open(link)?);
    // The flags come third.
    let mut attr = Link { first: number(&link), second: number(&program), third: 0, flags: 0 };
    bpf(LINK_UPDATE, &mut attr).context("could not put another program behind the link")?;
    Ok(())
}

/// Takes the link that is pinned at `link` off its hook.
pub fn detach(link: &Path) -> Result<()> {
    let link = open(link)?;
    let mut attr = Link { first: number(&link), second: 0, third: 0, flags: 0 };
    bpf(LINK_DETACH, &mut attr).context("could not detach the link")?;
    Ok(())
}

/// The ids of the programs that run at a hook of `cgroup` itself.
pub fn running(cgroup: &Path, attach_type: u32) -> Result<Vec<u32>> {
    let cgroup = File::open(cgroup)?;
    let mut ids = vec![0_u32; 64];
    let mut attr = Query {
        cgroup: number(&cgroup),
        attach_type,
        ids: ids.as_mut_ptr() as u64,
        room: 64,
        ..Query::zeroed()
    };
    bpf(PROG_QUERY, &mut attr).context("could not ask what is attached")?;
    ids.truncate(attr.room as usize);
    Ok(ids)
}

fn number(fd: &impl AsRawFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}
