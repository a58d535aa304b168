//! Which keys of a hash map share a bucket: its readers meet each other's elements on their way.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use bytemuck::{Pod, Zeroable};
use lb_common::family::Family;

use crate::harness::bpf::{bpf, open};

const LOOKUP_BATCH: i64 = 24;

/// The part of `union bpf_attr` for batches.
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

/// The keys in the bucket of `key` in the front end pinned at `path`, which has at most `entries` elements
/// and buckets. No other thread writes meanwhile.
pub(super) fn mates<F: Family>(path: &Path, entries: u32, key: F::Frontend) -> Result<BTreeSet<F::Frontend>> {
    let map = open(path)?;
    let mut after = BTreeSet::new();
    // What comes from a bucket on, less what comes from the next one on.
    for bucket in (0..entries.next_power_of_two()).rev() {
        let from = keys_from::<F>(&map, bucket, entries).context("could not read a bucket")?;
        if from.contains(&key) {
            return Ok(from.difference(&after).copied().collect());
        }
        after = from;
    }
    anyhow::bail!("the Service under test is not in the map")
}

/// The kernel's cursor through a hash map is the number of the next bucket.
fn keys_from<F: Family>(map: &OwnedFd, bucket: u32, entries: u32) -> io::Result<BTreeSet<F::Frontend>> {
    let mut keys = vec![F::Frontend::zeroed(); entries as usize];
    let mut values = vec![F::Service::zeroed(); entries as usize];
    let mut next = bucket;
    let mut attr = Batch {
        in_batch: std::ptr::from_ref(&bucket) as u64,
        out_batch: std::ptr::from_mut(&mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: entries,
        map_fd: map.as_raw_fd().cast_unsigned(),
        ..Batch::zeroed()
    };
    match bpf(LOOKUP_BATCH, &mut attr) {
        // ENOENT: the end of the map, and what came before it.
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        Ok(_) | Err(_) => {
            keys.truncate(attr.count as usize);
            Ok(keys.into_iter().collect())
        }
    }
}
