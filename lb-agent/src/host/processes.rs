//! The processes of this machine: the network namespaces that they are in, and the sockets that they have open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Process;

/// The network namespaces in which a process is.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// The number of the calling thread's own.
    pub own: u64,
    /// By number, a process that is in it.
    pub by_number: BTreeMap<u64, i32>,
    /// Processes of which it is not known, since this process may not look at them.
    pub unknown: usize,
}

impl Namespaces {
    /// Looks at each process that can be seen from here.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read() -> io::Result<Self> {
        let own = number(Path::new("/proc/thread-self/ns/net"))?;
        let mut found = Self { own, by_number: BTreeMap::new(), unknown: 0 };
        for pid in pids()? {
            match number(&of(pid, "ns/net")) {
                Ok(number) => {
                    found.by_number.entry(number).or_insert(pid);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.unknown += 1,
                // It has ended.
                Err(_) => {}
            }
        }
        Ok(found)
    }
}

/// What opens to the network namespace `expected`, in which process `pid` was.
///
/// # Errors
/// When the process has ended or has gone elsewhere, or may not be looked at.
pub fn namespace(pid: i32, expected: u64) -> io::Result<File> {
    let path = of(pid, "ns/net");
    let file = File::open(&path)?;
    if number(&path)? == expected { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The processes that have these sockets open, by the inode of each.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn owners(sockets: &BTreeSet<u32>) -> io::Result<BTreeMap<u32, Vec<Process>>> {
    let mut found: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for pid in pids()? {
        let descriptors = fs::read_dir(of(pid, "fd")).into_iter().flatten().filter_map(Result::ok);
        let open: Vec<(u32, i32)> = descriptors.filter_map(|entry| socket(&entry)).collect();
        let mut wanted = open.iter().filter(|(socket, _)| sockets.contains(socket)).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let name = fs::read_to_string(of(pid, "comm")).unwrap_or_default().trim_end().to_owned();
        for (socket, descriptor) in wanted {
            let process = Process { pid, name: name.clone(), descriptor: *descriptor };
            let processes = found.entry(*socket).or_default();
            // It may have the same socket open more than once.
            if processes.last().is_none_or(|last| last.pid != pid) {
                processes.push(process);
            }
        }
    }
    Ok(found)
}

/// The inode of a socket, and the number of the descriptor.
fn socket(descriptor: &DirEntry) -> Option<(u32, i32)> {
    let inode = inode(&fs::read_link(descriptor.path()).ok()?, "socket")?;
    Some((inode.try_into().ok()?, descriptor.file_name().to_str()?.parse().ok()?))
}

fn pids() -> io::Result<Vec<i32>> {
    let names = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pids: Vec<i32> = names.filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

fn of(pid: i32, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{what}"))
}

fn number(namespace: &Path) -> io::Result<u64> {
    inode(&fs::read_link(namespace)?, "net").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The number in a link of `/proc` such as `socket:[4711]`.
fn inode(link: &Path, kind: &str) -> Option<u64> {
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_number_in_a_link_is_read() {
        for (link, kind, number) in [
            ("socket:[4711]", "socket", Some(4711)),
            ("net:[4026531840]", "net", Some(4_026_531_840)),
            ("pipe:[4711]", "socket", None),
            ("/dev/null", "socket", None),
            ("socket:[x]", "socket", None),
        ] {
            assert_eq!(inode(Path::new(link), kind), number, "{link}");
        }
    }

    #[test]
    fn this_process_is_found_by_its_socket_and_in_its_namespace() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let own: u32 = inode(&link, "socket").unwrap().try_into().unwrap();
        let found = owners(&BTreeSet::from([own])).unwrap();
        let [Process { pid, name, descriptor }] = &found[&own][..] else { panic!("{found:?}") };
        assert_eq!((*pid, *descriptor), (std::process::id().cast_signed(), socket.as_raw_fd()));
        assert!(!name.is_empty());

        let namespaces = Namespaces::read().unwrap();
        let pid = namespaces.by_number[&namespaces.own];
        namespace(pid, namespaces.own).unwrap();
        let elsewhere = namespace(pid, namespaces.own + 1).unwrap_err();
        assert_eq!(elsewhere.kind(), io::ErrorKind::NotFound);
    }
}
