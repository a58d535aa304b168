//! Memory that maps take, and what is left for them: the kernel charges them to the memory cgroup of the process that
//! makes them, which is the agent's.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use lb_common::layout::{
    BACKENDS4, BACKENDS6, BLOOM_WORDS, CATALOGUE, LOOP, MOST_PLACES, MapKind, MapSpec, NAMES, PLACES_A_PAGE,
    SERVICES6,
};

use crate::plan::Capacity;

use super::maps::map::possible_cpus;

/// What version 1 shows where there is no limit: the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;
/// What an element of a hash has before its key, and what the allocator puts in front of it.
const ELEMENT_HEAD: u64 = 48 + 8;
const BUCKET: u64 = 16;
/// The programs, and arrays of a fixed size.
const REST: u64 = (1 << 20) + 2 * 8 * BLOOM_WORDS as u64;

/// Maps leave this much to the agent itself.
pub const RESERVE: u64 = 4 << 20;

/// Bytes that one generation of maps takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// When it is made.
    pub at_once: u64,
    /// When it is full.
    pub full: u64,
}

impl Demand {
    /// Of maps of this size.
    #[must_use]
    pub fn of(capacity: Capacity) -> Self {
        let frontends = u64::from(capacity.frontends);
        let buckets = 3 * BUCKET * frontends.next_power_of_two() + fixed_buckets();
        let region =
            |map: MapSpec, entries: u32| u64::from(map.value_size.next_multiple_of(8)) * u64::from(entries);
        let regions = region(BACKENDS4, capacity.backends.v4) + region(BACKENDS6, capacity.backends.v6);
        let at_once = buckets + regions + counters(possible_cpus().unwrap_or(1)) + REST;
        Self { at_once, full: at_once + frontends * per_frontend() }
    }
}

/// What the counters of the loop take: the programs' other counters are few.
fn counters(cpus: usize) -> u64 {
    u64::from(LOOP.value_size) * u64::from(MOST_PLACES / PLACES_A_PAGE) * cpus as u64
}

/// What hashes of a fixed size take before they hold anything.
fn fixed_buckets() -> u64 {
    let buckets = |map: &MapSpec| {
        let elements = map.size.fixed().filter(|_| map.kind == MapKind::Hash)?;
        Some(BUCKET * u64::from(elements.next_power_of_two()))
    };
    CATALOGUE.iter().filter_map(buckets).sum()
}

/// The most that one service port takes of the hashes.
fn per_frontend() -> u64 {
    let element = |key: u32, value: u32| {
        let bytes = ELEMENT_HEAD + u64::from(key.next_multiple_of(8) + value.next_multiple_of(8));
        // The kernel's sizes, the smallest that fits.
        [64, 96, 128, 192, 256, 512, 1024].into_iter().find(|size| bytes <= *size).unwrap_or(bytes)
    };
    // An element of IPv6 takes more than one of IPv4.
    [SERVICES6, NAMES].iter().map(|map| element(map.key_size, map.value_size)).sum()
}

/// The nearest limit of this process's memory cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub limit: u64,
    /// Bytes until there. What the kernel would give up first, pages of files, counts as left.
    pub left: u64,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, left } = *self;
        write!(f, "{} are left under the memory limit of {}", megabytes(left), megabytes(limit))
    }
}

/// As people read them.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The memory cgroup of this process, and those above it that can be seen.
#[derive(Clone, Debug)]
pub struct Limits {
    folders: Vec<PathBuf>,
    names: Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// Pages of files, in `memory.stat`, those below included.
    files: [&'static str; 2],
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_inactive_file ", "total_active_file "],
};
const V2: Names =
    Names { limit: "memory.max", usage: "memory.current", files: ["inactive_file ", "active_file "] };

impl Limits {
    /// Of this process.
    #[must_use]
    pub fn own() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::find(&own, Path::new("/sys/fs/cgroup"), std::process::id())
    }

    /// `own` is `/proc/self/cgroup`, which a container reads as if its own cgroup were the root, also where the host's
    /// hierarchy is mounted in it: then it is searched for `pid`.
    fn find(own: &str, mounted: &Path, pid: u32) -> Self {
        let found = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let path = path.trim_start_matches('/');
            if controllers.split(',').any(|controller| controller == "memory") {
                return Some((mounted.join("memory"), path, V1));
            }
            let is_v2 = controllers.is_empty() && mounted.join("cgroup.controllers").exists();
            is_v2.then(|| (mounted.to_owned(), path, V2))
        });
        let Some((root, path, names)) = found else { return Self { folders: Vec::new(), names: V2 } };
        let said = root.join(path);
        let folder = if has(&said, pid) { said } else { search(&root, pid).unwrap_or(said) };
        let above = folder.ancestors().take_while(|folder| folder.starts_with(&root));
        Self { folders: above.map(Path::to_owned).collect(), names }
    }

    /// `None` without any limit.
    #[must_use]
    pub fn left(&self) -> Option<Left> {
        let all = self
            .with_limit()
            .map(|(folder, Left { limit, left })| Left { limit, left: limit.min(left + self.files(folder)) });
        all.min_by_key(|left| left.left)
    }

    /// Whether so many bytes are left. Pages of files are counted only where it depends on them: the kernel adds their
    /// numbers up for each reader.
    #[must_use]
    pub fn has_left(&self, bytes: u64) -> bool {
        self.with_limit()
            .all(|(folder, Left { left, .. })| left >= bytes || left + self.files(folder) >= bytes)
    }

    /// The cgroups that have a limit, with what is left there beside pages of files.
    fn with_limit(&self) -> impl Iterator<Item = (&Path, Left)> {
        self.folders.iter().filter_map(|folder| {
            let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
            let limit = number(self.names.limit).filter(|limit| *limit < NO_LIMIT)?;
            let left = limit.saturating_sub(number(self.names.usage)?);
            Some((folder.as_path(), Left { limit, left }))
        })
    }

    fn files(&self, folder: &Path) -> u64 {
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let of = |line: &str| {
            self.names.files.iter().find_map(|name| line.strip_prefix(name)?.parse::<u64>().ok())
        };
        stat.lines().filter_map(of).sum()
    }
}

fn has(folder: &Path, pid: u32) -> bool {
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    processes.lines().any(|line| line.parse() == Ok(pid))
}

fn search(root: &Path, pid: u32) -> Option<PathBuf> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if has(&folder, pid) {
            return Some(folder);
        }
        let below = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
        folders.extend(
            below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_nearest_limit_above_counts_and_pages_of_files_are_left() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| put(root.path(), path, text);
        let left = |own: &str| Limits::find(own, root.path(), 7).left().map(|left| (left.left, left.limit));
        put("cgroup.controllers", "memory\n");
        put("a/b/memory.max", "max\n");
        put("a/b/memory.current", "10\n");
        put("a/memory.max", "100\n");
        put("a/memory.current", "40\n");
        assert_eq!(left("0::/a/b\n"), Some((60, 100)));
        put("a/memory.stat", "anon 10\ninactive_file 20\nactive_file 5\n");
        assert_eq!(left("0::/a/b\n"), Some((85, 100)));
        let own = Limits::find("0::/a/b\n", root.path(), 7);
        assert_eq!([60, 85, 86].map(|bytes| own.has_left(bytes)), [true, true, false]);
        assert!(Limits::find("0::/c\n", root.path(), 7).has_left(u64::MAX), "no limit");
        assert_eq!(left("0::/c\n"), None);

        put("memory/p/memory.limit_in_bytes", "1000\n");
        put("memory/p/memory.usage_in_bytes", "100\n");
        put("memory/p/memory.stat", "inactive_file 1\ntotal_inactive_file 10\ntotal_active_file 2\n");
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("memory/memory.usage_in_bytes", "5\n");
        assert_eq!(left("4:cpu:/x\n3:hugetlb,memory:/p\n0::/a\n"), Some((912, 1000)));
        assert_eq!(left("3:memory:/\n"), None);
        assert_eq!(left(""), None);
    }

    /// A container's own cgroup is its root, while the host's hierarchy is mounted in it.
    #[test]
    fn a_container_that_sees_the_hosts_cgroups_finds_its_own() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "cgroup.controllers", "memory\n");
        put(root.path(), "cgroup.procs", "0\n0\n");
        put(root.path(), "pods/p1/c1/cgroup.procs", "0\n7\n");
        put(root.path(), "pods/p1/c1/memory.max", "100\n");
        put(root.path(), "pods/p1/c1/memory.current", "30\n");
        put(root.path(), "pods/p2/cgroup.procs", "77\n");
        assert_eq!(Limits::find("0::/\n", root.path(), 7).left(), Some(Left { limit: 100, left: 70 }));
        assert_eq!(Limits::find("0::/\n", root.path(), 8).left(), None);
    }

    /// No less than was measured on Linux 6.18, see docs/performance.md.
    #[test]
    fn maps_take_so_much() {
        let demand = Demand::of(Capacity::of(16_384, 65_536));
        // 16 and 32 bytes a backend, three buckets of 16 a service port, an element of 256 bytes and one of 512; buckets of
        // clients with affinity, of skipped pods, of the host's addresses, of cells and of places; counters, 128 KB for each CPU.
        let counters = 131_072 * possible_cpus().unwrap() as u64;
        let at_once =
            65_536 * (16 + 32) + 16_384 * 48 + 16 * (131_072 + 4096 + 4096 + 4096 + 16_384) + counters + REST;
        assert_eq!(demand, Demand { at_once, full: at_once + 16_384 * 768 });
    }
}
