//! One pinned map, typed: checked against the catalogue before anything is read or written.

use std::hash::Hasher;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};

use bytemuck::Pod;
use lb_common::layout::{MapKind, MapSpec};

use crate::datapath::sys::{self, Object};
use crate::plan::{Op, ReadError, WriteError};

/// Elements read in one round, at first.
const ROUND: u32 = 4096;

/// Opens what is pinned in `folder` under the name of `spec`, with its size. `Ok(None)`: it is not
/// that map.
pub(in crate::datapath) fn open_as(folder: &Path, spec: &MapSpec) -> io::Result<Option<(OwnedFd, u32)>> {
    let path = folder.join(spec.pin);
    // A folder or a symbolic link cannot be a pin.
    if !std::fs::symlink_metadata(&path)?.is_file() {
        return Ok(None);
    }
    let fd = sys::get_pinned(&path)?;
    if sys::object(fd.as_fd())? != Object::Map {
        return Ok(None);
    }
    let info = sys::map_info(fd.as_fd())?;
    let fits = info.kind == spec.kind as u32
        && info.key_size == spec.key_size
        && info.value_size == spec.value_size
        && info.flags == spec.flags
        && spec.size.fixed().is_none_or(|elements| elements == info.max_entries);
    Ok(fits.then_some((fd, info.max_entries)))
}

/// The words of 32 bits in the first element of the array pinned at `path`, whatever its elements
/// are.
pub(super) fn first_words(path: &Path) -> io::Result<Vec<u32>> {
    let fd = sys::get_pinned(path)?;
    let info = sys::map_info(fd.as_fd())?;
    let is_array = sys::object(fd.as_fd())? == Object::Map
        && info.kind == MapKind::Array as u32
        && info.key_size == 4
        && info.max_entries > 0;
    if !is_array {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Whole words, so that the kernel has room for a value of no bytes.
    let mut words = vec![0_u32; info.value_size.div_ceil(4) as usize];
    sys::lookup(fd.as_fd(), &[0; 4], bytemuck::cast_slice_mut(&mut words))?;
    Ok(words)
}

/// A map whose kernel object agrees with the catalogue in kind, sizes and flags.
#[derive(Debug)]
pub(in crate::datapath) struct Map<K, V> {
    fd: OwnedFd,
    spec: &'static MapSpec,
    max_entries: u32,
    types: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Map<K, V> {
    /// Opens the map pinned in `folder`. `Ok(None)`: something is pinned there, but not this map.
    pub(super) fn open(folder: &Path, spec: &'static MapSpec) -> io::Result<Option<Self>> {
        let fits = spec.key_size as usize == size_of::<K>() && spec.value_size as usize == size_of::<V>();
        let found = open_as(folder, spec)?.filter(|_| fits);
        Ok(found.map(|(fd, max_entries)| Self { fd, spec, max_entries, types: PhantomData }))
    }

    pub(in crate::datapath) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) const fn max_entries(&self) -> u32 {
        self.max_entries
    }

    pub(super) fn put(&self, key: &K, value: &V) -> Result<(), WriteError> {
        sys::update(self.fd.as_fd(), bytemuck::bytes_of(key), bytemuck::bytes_of(value))
            .map_err(|source| self.write_error(Op::Write, source))
    }

    /// Writes all of `elements`, in one call where the kernel can.
    pub(super) fn put_all(&self, keys: &[K], values: &[V]) -> Result<(), WriteError> {
        let count = keys.len().min(values.len());
        if count == 0 {
            return Ok(());
        }
        let (keys_bytes, values_bytes) = (bytemuck::cast_slice(keys), bytemuck::cast_slice(values));
        if sys::update_batch(self.fd.as_fd(), keys_bytes, values_bytes, count as u32).is_ok() {
            return Ok(());
        }
        keys.iter().zip(values).try_for_each(|(key, value)| self.put(key, value))
    }

    pub(super) fn remove(&self, key: &K) -> Result<(), WriteError> {
        match sys::delete(self.fd.as_fd(), bytemuck::bytes_of(key)) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                Err(self.write_error(Op::Delete, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// One element, if it is there.
    pub(in crate::datapath) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = V::zeroed();
        match sys::lookup(self.fd.as_fd(), bytemuck::bytes_of(key), bytemuck::bytes_of_mut(&mut value)) {
            Ok(()) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything in the map, in the kernel's order.
    pub(super) fn all(&self) -> Result<Vec<(K, V)>, ReadError> {
        self.first_elements(u32::MAX)
    }

    /// The elements of an array from the first on, as many as there are up to `limit`, in the order of their indices.
    pub(super) fn first_elements(&self, limit: u32) -> Result<Vec<(K, V)>, ReadError> {
        let mut found = Vec::new();
        self.read(limit, |keys, values| found.extend(keys.iter().copied().zip(values.iter().copied())))?;
        Ok(found)
    }

    /// Puts the elements into `hasher`, of an array the first `limit` ones. `see` sees each value.
    pub(super) fn digest(
        &self,
        limit: u32,
        hasher: &mut impl Hasher,
        mut see: impl FnMut(&V),
    ) -> Result<(), ReadError> {
        let mut elements = 0;
        self.read(limit, |keys, values| {
            hasher.write(bytemuck::cast_slice(keys));
            hasher.write(bytemuck::cast_slice(values));
            values.iter().for_each(&mut see);
            elements += keys.len();
        })?;
        hasher.write_usize(elements);
        Ok(())
    }

    /// The element of a map that has one; zeros where it has none.
    pub(super) fn first(&self) -> Result<V, ReadError> {
        Ok(self.all()?.first().map_or_else(V::zeroed, |(_, value)| *value))
    }

    /// One element per possible CPU.
    pub(super) fn per_cpu(&self, key: &K) -> Result<Vec<V>, ReadError> {
        let cpus = possible_cpus().map_err(|source| self.read_error(source))?;
        let mut values = vec![V::zeroed(); cpus];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        sys::lookup(self.fd.as_fd(), bytemuck::bytes_of(key), bytes)
            .map_err(|source| self.read_error(source))?;
        Ok(values)
    }

    /// Maps the first page of a `BPF_F_MMAPABLE` array for reading and writing.
    pub(super) fn mmap(&self) -> io::Result<Page<V>> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = self.fd.as_raw_fd();
        // SAFETY: a new mapping at a place of the kernel's choice, of a map that is at least one page.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, libc::MAP_SHARED, fd, 0) };
        if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Page(page.cast())) }
    }

    /// Hands over up to `limit` elements, as many at once as the kernel gives.
    fn read(&self, limit: u32, take: impl FnMut(&[K], &[V])) -> Result<(), ReadError> {
        let read = if limit == 0 { Ok(()) } else { self.read_rounds(limit, take) };
        read.map_err(|source| self.read_error(source))
    }

    fn read_rounds(&self, limit: u32, mut take: impl FnMut(&[K], &[V])) -> io::Result<()> {
        let mut found = 0;
        let mut room = ROUND.min(self.max_entries.max(1));
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut cursor = None;
        loop {
            let wanted = room.min(limit.saturating_sub(found));
            keys.resize(wanted as usize, K::zeroed());
            values.resize(wanted as usize, V::zeroed());
            let mut next = [0_u64];
            let (key_bytes, value_bytes) =
                (bytemuck::cast_slice_mut(&mut keys), bytemuck::cast_slice_mut(&mut values));
            match sys::lookup_batch(self.fd.as_fd(), cursor, &mut next, key_bytes, value_bytes, wanted) {
                Ok((count, ended)) => {
                    let given = (count as usize).min(keys.len());
                    take(&keys[..given], &values[..given]);
                    found += count;
                    if ended || found >= limit {
                        return Ok(());
                    }
                    cursor = Some(next[0]);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 24 => room *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn write_error(&self, op: Op, source: io::Error) -> WriteError {
        let map = self.spec.pin;
        match source.raw_os_error() {
            Some(libc::E2BIG) => WriteError::Full { map },
            Some(libc::ENOMEM) => WriteError::NoMemory { map },
            _ => WriteError::Syscall { op, map, source },
        }
    }

    fn read_error(&self, source: io::Error) -> ReadError {
        ReadError { map: self.spec.pin, source }
    }
}

/// Bytes that are mapped.
const PAGE: usize = 4096;

/// The first page of a map, shared with the kernel until it is dropped.
#[derive(Debug)]
pub(super) struct Page<V>(*mut V);

// SAFETY: the page is shared memory that is only ever touched through atomics.
unsafe impl<V> Send for Page<V> {}

impl<V> Page<V> {
    /// The word at `index`, counted in words of 32 bits.
    ///
    /// # Safety
    /// The element must have that many.
    pub(super) unsafe fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the caller knows that it lies within the element.
        let word = unsafe { self.0.cast::<u32>().add(index) };
        // SAFETY: the mapping lives as long as `self`, and is aligned to a page.
        unsafe { AtomicU32::from_ptr(word) }
    }
}

impl<V> Page<V> {
    /// The word at `index`, counted in words of 64 bits.
    ///
    /// # Safety
    /// The element must have that many.
    pub(super) unsafe fn long_word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the caller knows that it lies within the element.
        let word = unsafe { self.0.cast::<u64>().add(index) };
        // SAFETY: the mapping lives as long as `self`, and is aligned to a page.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

impl<V> Drop for Page<V> {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `Map::mmap` with this size, and nothing refers to it any more.
        let result = unsafe { libc::munmap(self.0.cast(), PAGE) };
        debug_assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }
}

/// The number of CPUs that a per-CPU element has copies for.
pub(in crate::datapath) fn possible_cpus() -> io::Result<usize> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let highest = list.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<usize>().ok());
    highest.map(|highest| highest + 1).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "/sys/devices/system/cpu/possible does not read as a list")
    })
}
