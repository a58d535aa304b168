//! Memory that is left for maps: they are charged to the agent's own memory cgroup.

use std::fs;
use std::path::{Path, PathBuf};

use lb_common::layout::{BACKENDS4, NAMES, SERVICES4};

use crate::plan::Capacity;

use super::finding::Finding;

const WHAT: &str = "memory for maps";
/// What version 1 shows where there is no limit: the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;
/// What an element of a hash takes besides its key and value, on 64 bits.
const HASH_OVERHEAD: u64 = 56;

pub(super) fn findings(room: Capacity) -> Vec<Finding> {
    let limits = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    vec![of(left(&limits, Path::new("/sys/fs/cgroup")), need(room))]
}

/// Bytes that maps of this size take once they are full. Two sets are there while one takes the other's place.
#[must_use]
pub(super) fn need(room: Capacity) -> u64 {
    let hash = |key: u32, value: u32, elements: u32| {
        (u64::from(key.next_multiple_of(8) + value.next_multiple_of(8)) + HASH_OVERHEAD) * u64::from(elements)
    };
    let of_hashes = [SERVICES4, NAMES].map(|map| hash(map.key_size, map.value_size, room.frontends));
    let regions = u64::from(BACKENDS4.value_size.next_multiple_of(8)) * u64::from(room.backends);
    2 * (of_hashes.iter().sum::<u64>() + regions)
}

/// Bytes until the nearest limit of this process's memory cgroup or one above it; `None` without any. `own` is
/// `/proc/self/cgroup`.
fn left(own: &str, mounted: &Path) -> Option<u64> {
    let (folder, root, names) = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|controller| controller == "memory") {
            let root = mounted.join("memory");
            let names = ("memory.limit_in_bytes", "memory.usage_in_bytes");
            return Some((root.join(path), root, names));
        }
        let is_v2 = controllers.is_empty() && mounted.join("cgroup.controllers").exists();
        is_v2.then(|| (mounted.join(path), mounted.to_owned(), ("memory.max", "memory.current")))
    })?;
    let limits = folder.ancestors().take_while(|folder| folder.starts_with(&root)).filter_map(|folder| {
        let read = |name: &str| -> Option<u64> {
            fs::read_to_string(PathBuf::from(folder).join(name)).ok()?.trim().parse().ok()
        };
        let limit = read(names.0).filter(|limit| *limit < NO_LIMIT)?;
        Some(limit.saturating_sub(read(names.1)?))
    });
    limits.min()
}

fn of(left: Option<u64>, need: u64) -> Finding {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    match left {
        None => Finding::ok(WHAT, "no limit"),
        Some(left) if left >= need => {
            Finding::ok(WHAT, format!("{} left, {} for maps that are full", megabytes(left), megabytes(need)))
        }
        Some(left) => Finding::degraded(
            WHAT,
            format!("{} left, {} for maps that are full", megabytes(left), megabytes(need)),
            "a Service that finds no memory is not written, as if the map were full",
            "raise the memory limit, or lower --max-services and --max-backends",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn the_nearest_limit_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("cgroup.controllers", "memory\n");
        put("a/b/memory.max", "max\n");
        put("a/b/memory.current", "10\n");
        put("a/memory.max", "100\n");
        put("a/memory.current", "40\n");
        assert_eq!(left("0::/a/b\n", root.path()), Some(60));
        assert_eq!(left("0::/c\n", root.path()), None);

        put("memory/p/memory.limit_in_bytes", "1000\n");
        put("memory/p/memory.usage_in_bytes", "1\n");
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("memory/memory.usage_in_bytes", "5\n");
        assert_eq!(left("4:cpu:/x\n3:hugetlb,memory:/p\n0::/a\n", root.path()), Some(999));
        assert_eq!(left("3:memory:/\n", root.path()), None);
    }

    #[test]
    fn less_than_full_maps_need_is_said() {
        assert_eq!(of(None, 5).state, State::Ok);
        assert_eq!(of(Some(5), 5).state, State::Ok);
        assert_eq!(of(Some(4), 5).state, State::Degraded);
    }
}
