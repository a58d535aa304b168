//! A UDP socket of a client, as the kernel shows it, and what it remembers. Pure.

use std::net::SocketAddr;

/// Which backend stands for what a socket dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Translation {
    pub dialled: SocketAddr,
    pub backend: SocketAddr,
}

/// What a socket remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// By which translation it was connected last.
    pub connected: Option<Translation>,
    /// What else it has dialled lately, the newest first.
    pub recent: Vec<Translation>,
}

/// A UDP socket. IPv4 addresses of an AF_INET6 socket are shown as the IPv4 addresses that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpEnd {
    pub local: SocketAddr,
    /// What it is connected to, as the kernel has it: a backend, where a Service was dialled.
    pub peer: Option<SocketAddr>,
    /// The number of the interface that it is bound to; 0 without one.
    pub interface: u32,
    /// Names the socket for as long as the machine runs.
    pub cookie: u64,
    /// By which the descriptors of processes name it; zero where no process has it any more.
    pub inode: u32,
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: i32,
    pub name: String,
    /// The number of its descriptor.
    pub descriptor: i32,
}
