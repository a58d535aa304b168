//! `bpf(2)` and its neighbours, raw: what aya 0.14 does not offer.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};

mod by_id;
mod iterate;
mod packet;
mod query;
mod trial;

pub(super) use by_id::{map_by_id, types_by_id};
pub(super) use iterate::{iterate, link_iterator, load_iterator};
pub(super) use packet::{load_classifier, run_on};
pub(super) use query::effective_programs;
pub(super) use trial::{load_program, named_program_info};

const LOOKUP: i64 = 1;
const UPDATE: i64 = 2;
const DELETE: i64 = 3;
const OBJ_PIN: i64 = 6;
const OBJ_GET: i64 = 7;
const PROG_GET_FD_BY_ID: i64 = 13;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const LOOKUP_BATCH: i64 = 24;
const UPDATE_BATCH: i64 = 26;
const LINK_CREATE: i64 = 28;
const LINK_UPDATE: i64 = 29;
const LINK_DETACH: i64 = 34;

/// `BPF_F_BEFORE`: before all others, where no other is named. At cgroups since about Linux 6.18.
const BEFORE: u32 = 1 << 3;

/// The time since the boot, also while the machine slept: what `bpf_ktime_get_boot_ns` returns in a program.
pub fn since_boot() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the time into `now`. It does not fail for a clock that exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// `struct { map_fd, key, value, flags }` of `union bpf_attr`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Elem {
    map_fd: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `struct … batch` of `union bpf_attr`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// For `OBJ_PIN` and `OBJ_GET`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Obj {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FdById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkDetach {
    link_fd: u32,
}

/// The start of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct MapInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
}

/// The start of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct ProgramInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
}

/// `BPF_LINK_TYPE_CGROUP` of `enum bpf_link_type`.
pub(super) const CGROUP_LINK: u32 = 3;

/// The start of `struct bpf_link_info`, for a cgroup link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct LinkInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) prog_id: u32,
    zero: u32,
    /// Zero once the cgroup is gone.
    pub(super) cgroup_id: u64,
    pub(super) attach_type: u32,
    zero2: u32,
}

fn bpf<T: Pod>(command: i64, attr: &mut T) -> io::Result<i32> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: `attr` is a live, fully initialised part of `union bpf_attr` of the size given, and
    // every pointer in it was made from a live buffer of the length that the command reads or writes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

fn address_mut<T>(slice: &mut [T]) -> u64 {
    slice.as_mut_ptr() as u64
}

/// The descriptor that a command returned.
///
/// # Safety
/// `fd` is open, and has no other owner.
unsafe fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the caller says so.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Opens what is pinned at `path`.
pub(super) fn get_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Obj { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    let fd = bpf(OBJ_GET, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

/// Pins an object at `path`, where nothing may be yet.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Obj { pathname: path.as_ptr() as u64, bpf_fd: raw(object), file_flags: 0 };
    bpf(OBJ_PIN, &mut attr).map(drop)
}

/// What a descriptor of `bpf(2)` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Map,
    Program,
    Link,
    Other,
}

/// Asks `/proc`: the information that `bpf(2)` gives about an object does not say what it is.
pub(super) fn object(fd: BorrowedFd<'_>) -> io::Result<Object> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    Ok(match name.as_os_str().as_bytes() {
        b"anon_inode:bpf-map" => Object::Map,
        b"anon_inode:bpf-prog" => Object::Program,
        // By kernel version, and by whether the link was made or opened by its pin.
        b"anon_inode:bpf-link" | b"anon_inode:bpf_link" => Object::Link,
        _ => Object::Other,
    })
}

pub(super) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    info(program)
}

/// Opens a program by its id. It takes CAP_SYS_ADMIN.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut FdById { id, next_id: 0, open_flags: 0 })?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

pub(super) fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    info(map)
}

pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    info(link)
}

fn info<T: Pod + Default>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = [T::default()];
    let mut attr =
        InfoByFd { bpf_fd: raw(fd), info_len: size_of::<T>() as u32, info: address_mut(&mut info) };
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info[0])
}

pub(super) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = Elem { map_fd: raw(map), zero: 0, key: address(key), value: address(value), flags: 0 };
    bpf(UPDATE, &mut attr).map(drop)
}

pub(super) fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let mut attr = Elem { map_fd: raw(map), zero: 0, key: address(key), value: 0, flags: 0 };
    bpf(DELETE, &mut attr).map(drop)
}

/// Reads one element. `value` is as long as the map says, for a per-CPU map once per possible CPU.
pub(super) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let mut attr = Elem { map_fd: raw(map), zero: 0, key: address(key), value: address_mut(value), flags: 0 };
    bpf(LOOKUP, &mut attr).map(drop)
}

/// Writes `count` elements. `keys` and `values` hold that many.
pub(super) fn update_batch(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: u32) -> io::Result<()> {
    let mut attr =
        Batch { keys: address(keys), values: address(values), count, map_fd: raw(map), ..Batch::zeroed() };
    bpf(UPDATE_BATCH, &mut attr).map(drop)
}

/// One round of a batch read: how many elements came, and whether they were the last.
///
/// `cursor` is what the kernel said last, `None` in the first round. ENOSPC means that a bucket
/// holds more than fits: try again with larger buffers.
pub(super) fn lookup_batch(
    map: BorrowedFd<'_>,
    cursor: Option<u64>,
    next: &mut [u64; 1],
    keys: &mut [u8],
    values: &mut [u8],
    room: u32,
) -> io::Result<(u32, bool)> {
    let from = [cursor.unwrap_or(0)];
    let mut attr = Batch {
        in_batch: if cursor.is_some() { address(&from) } else { 0 },
        out_batch: address_mut(next),
        keys: address_mut(keys),
        values: address_mut(values),
        count: room,
        map_fd: raw(map),
        ..Batch::zeroed()
    };
    match bpf(LOOKUP_BATCH, &mut attr) {
        Ok(_) => Ok((attr.count, false)),
        // The end, and what came before it.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((attr.count, true)),
        Err(error) => Err(error),
    }
}

/// Attaches a program at a hook of `cgroup`, before those that run there: EINVAL where the kernel cannot.
pub(super) fn link_create_first(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    link_create_with(program, raw(cgroup), attach_type, BEFORE)
}

/// Attaches a program at a hook of `cgroup`, besides those that run there.
pub(super) fn link_create(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    link_create_with(program, raw(cgroup), attach_type, 0)
}

/// Whether the kernel can attach a program before others, asked without a cgroup: it looks at the flags first.
pub(super) fn can_be_first(program: BorrowedFd<'_>, attach_type: u32) -> bool {
    let refused = link_create_with(program, u32::MAX, attach_type, BEFORE).err();
    refused.is_some_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

fn link_create_with(
    program: BorrowedFd<'_>,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate { prog_fd: raw(program), target_fd, attach_type, flags };
    let fd = bpf(LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call.
    Ok(unsafe { owned(fd) })
}

/// Puts another program behind a link, without a moment in between.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdate { link_fd: raw(link), new_prog_fd: raw(program), flags: 0, old_prog_fd: 0 };
    bpf(LINK_UPDATE, &mut attr).map(drop)
}

/// Takes a link off its hook at once, also while other processes hold it.
pub(super) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_DETACH, &mut LinkDetach { link_fd: raw(link) }).map(drop)
}

/// The magic number of the file system that `file` lies on.
pub(super) fn filesystem(file: &std::fs::File) -> io::Result<i64> {
    // SAFETY: all bytes zero is a valid `statfs`.
    let mut buffer: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the buffer is as large as the call writes.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut buffer) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(buffer.f_type) }
}
