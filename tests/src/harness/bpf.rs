//! `bpf(2)` as another process on the machine would use it: looking at pins, and spoiling them.

use std::ffi::CString;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytemuck::{Pod, Zeroable};
use lb_common::layout::MapSpec;

const MAP_CREATE: i64 = 0;
const LOOKUP: i64 = 1;
const UPDATE: i64 = 2;
const DELETE: i64 = 3;
const OBJ_PIN: i64 = 6;
const OBJ_GET: i64 = 7;

/// The start of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Create {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    zero: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Element {
    map_fd: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Object {
    pathname: u64,
    fd: u32,
    flags: u32,
}

/// The kernel's id of the map or link pinned at `path`: the same as long as it is the same object.
pub fn id(path: &Path) -> Result<u32> {
    let object = open(path)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()))
        .context("could not look at a descriptor")?;
    let id = info.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        matches!(field, "map_id" | "link_id").then(|| value.trim().parse().ok())?
    });
    id.with_context(|| format!("{} is neither a map nor a link", path.display()))
}

/// A pinned map, open to be looked at many times.
pub struct Pinned<K, V> {
    map: OwnedFd,
    types: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Pinned<K, V> {
    /// # Errors
    /// It cannot be opened, or its elements are of other sizes.
    pub fn open(path: &Path) -> Result<Self> {
        let map = open(path)?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd()))
            .context("could not look at a descriptor")?;
        let size = |field: &str| info.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok());
        let sizes = (size("key_size:"), size("value_size:"));
        let expected = (Some(size_of::<K>()), Some(size_of::<V>()));
        ensure!(sizes == expected, "{} has elements of other sizes: {info}", path.display());
        Ok(Self { map, types: PhantomData })
    }

    /// The element of this key, if there is one.
    pub fn read(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = V::zeroed();
        let mut attr = Element {
            map_fd: self.map.as_raw_fd().cast_unsigned(),
            key: bytemuck::bytes_of(key).as_ptr() as u64,
            value: bytemuck::bytes_of_mut(&mut value).as_mut_ptr() as u64,
            ..Element::zeroed()
        };
        match bpf(LOOKUP, &mut attr) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one element.
    pub fn write(&self, key: &K, value: &V) -> io::Result<()> {
        let mut attr = Element {
            map_fd: self.map.as_raw_fd().cast_unsigned(),
            key: bytemuck::bytes_of(key).as_ptr() as u64,
            value: bytemuck::bytes_of(value).as_ptr() as u64,
            ..Element::zeroed()
        };
        bpf(UPDATE, &mut attr).map(|_| ())
    }
}

/// Writes one element of the map pinned at `path`.
pub fn update(path: &Path, key: &impl Pod, value: &impl Pod) -> Result<()> {
    let (key, value) = (bytemuck::bytes_of(key), bytemuck::bytes_of(value));
    element(UPDATE, path, key.as_ptr() as u64, value.as_ptr() as u64)
}

/// Takes one element out of the map pinned at `path`.
pub fn delete(path: &Path, key: &impl Pod) -> Result<()> {
    element(DELETE, path, bytemuck::bytes_of(key).as_ptr() as u64, 0)
}

/// Makes an empty map as `spec` says, with so many elements, and pins it at `path`.
pub fn create(path: &Path, spec: &MapSpec, max_entries: u32) -> Result<()> {
    let mut attr = Create {
        kind: spec.kind as u32,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries,
        flags: spec.flags,
        zero: 0,
    };
    let fd = bpf(MAP_CREATE, &mut attr).context("could not make a map")?;
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    let map = unsafe { OwnedFd::from_raw_fd(fd) };
    pin(&map, path)
}

/// Pins what is pinned at `path` a second time, as a process does that wants to keep it.
pub fn keep(path: &Path, at: &Path) -> Result<()> {
    pin(&open(path)?, at)
}

pub(crate) fn pin(object: &OwnedFd, path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let fd = object.as_raw_fd().cast_unsigned();
    let mut attr = Object { pathname: name.as_ptr() as u64, fd, flags: 0 };
    bpf(OBJ_PIN, &mut attr).with_context(|| format!("could not pin {}", path.display()))?;
    Ok(())
}

fn element(command: i64, path: &Path, key: u64, value: u64) -> Result<()> {
    let map = open(path)?;
    let mut attr = Element { map_fd: map.as_raw_fd().cast_unsigned(), key, value, ..Element::zeroed() };
    bpf(command, &mut attr).with_context(|| format!("could not change {}", path.display()))?;
    Ok(())
}

pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Object { pathname: name.as_ptr() as u64, ..Object::zeroed() };
    let fd = bpf(OBJ_GET, &mut attr).with_context(|| format!("could not open {}", path.display()))?;
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn bpf<T: Pod>(command: i64, attr: &mut T) -> io::Result<i32> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: `attr` is a live, fully initialised part of `union bpf_attr` of the size given, and every
    // pointer in it was made from a live buffer of the length that the command reads or
    // writes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(-1)) }
}
