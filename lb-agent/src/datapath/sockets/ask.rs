//! What one UDP socket remembers, asked by its addresses: no process and no descriptor of it is needed, and no iterator.
//!
//! The kernel runs a small program of ours on a packet that names the addresses. The program looks the socket up as for a datagram
//! of the peer, and as `sock_diag` does that ends it; so what it answers is of the socket that would be ended.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use lb_common::layout;

use super::memory::{Memories, translation};
use crate::datapath::instructions::{EXIT, STACK, add, call, copy, map, set, skip_if, skip_unless};
use crate::datapath::sys;
use crate::model::{Family, PerFamily, Translation, UdpEnd};

/// Of `enum bpf_func_id`.
const SKB_STORE_BYTES: i32 = 9;
const SKB_LOAD_BYTES: i32 = 26;
const SK_LOOKUP_UDP: i32 = 85;
const SK_RELEASE: i32 = 86;
const SK_STORAGE_GET: i32 = 107;

/// Where the packet names the addresses, past its Ethernet header, and how long they are: `struct bpf_sock_tuple`.
const TUPLE: usize = 16;
const TUPLE4: i32 = 12;
const TUPLE6: i32 = 36;
/// What the program returns.
const NO_SOCKET: u32 = 0;
const NOTHING: u32 = 1;
const REMEMBERS: u32 = 2;

const MEMORY: usize = size_of::<layout::Translation>();
/// How often a socket is asked that answers differently.
const TRIES: usize = 4;

/// What a socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no socket at these addresses.
    Gone,
    /// It was connected to no Service.
    Nothing,
    Connected(Translation),
    /// Something else each time.
    Changing,
}

/// The programs that ask, for one map.
#[derive(Debug)]
pub struct Asker(PerFamily<OwnedFd>);

impl Asker {
    /// Loads them for what sockets remember in `memories`.
    ///
    /// # Errors
    /// When the kernel does not take them.
    pub fn load(memories: &Memories) -> io::Result<Self> {
        let connected = memories.connected_fd().as_raw_fd();
        let load = |length| sys::load_classifier(&program(connected, length));
        Ok(Self(PerFamily { v4: load(TUPLE4)?, v6: load(TUPLE6)? }))
    }

    /// Asks a socket of the calling thread's network namespace, twice: it may be about to be connected elsewhere.
    ///
    /// # Errors
    /// When the kernel does not run the program.
    pub fn ask(&self, socket: &UdpEnd) -> io::Result<Answer> {
        let mut last = self.ask_once(socket)?;
        for _ in 0..TRIES {
            let now = self.ask_once(socket)?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
        Ok(Answer::Changing)
    }

    fn ask_once(&self, socket: &UdpEnd) -> io::Result<Answer> {
        let Some(peer) = socket.peer else { return Ok(Answer::Nothing) };
        let program = self.0.of(Family::of(peer.ip())).as_fd();
        let mut packet = packet(socket.local, peer);
        Ok(match sys::run_on(program, &mut packet, socket.interface)? {
            NO_SOCKET => Answer::Gone,
            NOTHING => Answer::Nothing,
            REMEMBERS => {
                let held = bytemuck::pod_read_unaligned(&packet[..MEMORY]);
                translation(&held).map_or(Answer::Nothing, Answer::Connected)
            }
            other => return Err(io::Error::other(format!("the program returned {other}"))),
        })
    }
}

/// A packet with the addresses of a datagram from `peer`.
fn packet(local: SocketAddr, peer: SocketAddr) -> [u8; 64] {
    let mut packet = [0; 64];
    let address = |at: SocketAddr| match at.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let ports = [peer.port().to_be_bytes(), local.port().to_be_bytes()].concat();
    let tuple = [address(peer), address(local), ports].concat();
    packet[TUPLE..TUPLE + tuple.len()].copy_from_slice(&tuple);
    packet
}

/// Looks for the socket of a tuple that is so long, and lays what it remembers in the map `connected` at the beginning of the
/// packet.
fn program(connected: i32, tuple: i32) -> Vec<u64> {
    let [first, second] = map(1, connected);
    let remembers = [
        copy(3, 0),
        copy(1, 6),
        set(2, 0),
        set(4, MEMORY as i32),
        set(5, 0),
        call(SKB_STORE_BYTES),
        set(8, REMEMBERS as i32),
    ];
    let found = [
        copy(7, 0),
        set(8, NOTHING as i32),
        first,
        second,
        copy(2, 7),
        set(3, 0),
        set(4, 0),
        call(SK_STORAGE_GET),
        skip_if(0, 0, remembers.len() as i16),
    ];
    let release = [copy(1, 7), call(SK_RELEASE), copy(0, 8), EXIT];
    let look = [
        copy(2, STACK),
        add(2, -TUPLE6),
        copy(1, 6),
        set(3, tuple),
        // In the packet's own network namespace.
        set(4, -1),
        set(5, 0),
        call(SK_LOOKUP_UDP),
        skip_unless(0, 0, 2),
        set(0, NO_SOCKET as i32),
        EXIT,
    ];
    let read = [
        copy(6, 1),
        set(2, TUPLE as i32),
        copy(3, STACK),
        add(3, -TUPLE6),
        set(4, TUPLE6),
        call(SKB_LOAD_BYTES),
        skip_if(0, 0, 2),
        set(0, NO_SOCKET as i32),
        EXIT,
    ];
    [&read[..], &look, &found, &remembers, &release].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_names_the_addresses_as_of_a_datagram_of_the_peer() {
        let at = |text: &str| text.parse().unwrap();
        let v4 = packet(at("10.0.0.2:258"), at("10.0.0.3:772"));
        assert_eq!(v4[..16], [0; 16]);
        assert_eq!(v4[16..28], [10, 0, 0, 3, 10, 0, 0, 2, 3, 4, 1, 2]);
        let v6 = packet(at("[fd00::2]:258"), at("[fd00::3]:772"));
        assert_eq!((v6[16], v6[31], v6[47]), (0xfd, 3, 2));
        assert_eq!(v6[48..56], [3, 4, 1, 2, 0, 0, 0, 0]);
    }
}
