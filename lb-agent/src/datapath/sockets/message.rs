//! What is asked of `sock_diag` and what it replies, as bytes. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::{Family, UdpEnd};

/// Names of the kernel's, from `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_UDP: u8 = 17;
/// The state of a UDP socket that is connected.
const ESTABLISHED: u8 = 1;

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// One message of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Socket(UdpEnd),
    /// Something that was not asked for.
    Other,
    /// The end, or an error number in its place.
    End(Result<(), i32>),
}

/// Bytes that are not as the kernel lays them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's reply ends within a message")]
pub(super) struct Short;

/// Which UDP sockets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Connected,
}

/// Asks for UDP sockets of a family.
pub(super) fn request(family: Family, which: Which) -> Vec<u8> {
    let states = match which {
        Which::All => u32::MAX,
        Which::Connected => 1 << ESTABLISHED,
    };
    let any_socket = [0; 48];
    message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, states, &any_socket)
}

/// Asks to end a connected UDP socket. The kernel looks for the socket of these addresses, and ends it if it has the cookie.
/// `None` for one that is not connected.
pub(super) fn destroy(end: &UdpEnd) -> Option<Vec<u8>> {
    let UdpEnd { local, peer, interface, cookie, inode: _ } = end;
    let peer = (*peer)?;
    let family = Family::of(peer.ip());
    let address = |at: &SocketAddr| match at.ip() {
        IpAddr::V4(v4) => [&v4.octets()[..], &[0; 12]].concat(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let ports = [local.port().to_be_bytes(), peer.port().to_be_bytes()].concat();
    let cookie = [*cookie as u32, (cookie >> 32) as u32].map(u32::to_ne_bytes).concat();
    let socket = [ports, address(local), address(&peer), interface.to_ne_bytes().to_vec(), cookie].concat();
    Some(message(SOCK_DESTROY, NLM_F_ACK, family, 0, &socket))
}

/// An `inet_diag_req_v2` behind its header; `socket` is its `inet_diag_sockid`.
fn message(kind: u16, flags: u16, family: Family, states: u32, socket: &[u8]) -> Vec<u8> {
    let family = match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    };
    let body = [&[family, IPPROTO_UDP, 0, 0][..], &states.to_ne_bytes(), socket].concat();
    let length = (HEADER + body.len()) as u32;
    let flags = NLM_F_REQUEST | flags;
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8], &body].concat()
}

/// The messages in one read of a netlink socket.
pub(super) fn messages(mut bytes: &[u8]) -> Result<Vec<Message>, Short> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_ne_bytes(field(bytes, 0)?) as usize;
        let kind = u16::from_ne_bytes(field(bytes, 4)?);
        let body = bytes.get(HEADER..length).ok_or(Short)?;
        found.push(match kind {
            NLMSG_ERROR => Message::End(errno(body)),
            // Kernels before 4.14 say nothing in it.
            NLMSG_DONE => Message::End(if body.is_empty() { Ok(()) } else { errno(body) }),
            SOCK_DIAG_BY_FAMILY => Message::Socket(socket(body)?),
            _ => Message::Other,
        });
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(found)
}

fn errno(body: &[u8]) -> Result<(), i32> {
    match field(body, 0).map(i32::from_ne_bytes) {
        Ok(0) => Ok(()),
        Ok(negative) => Err(negative.wrapping_neg()),
        Err(Short) => Err(0),
    }
}

/// The socket of an `inet_diag_msg`. What comes after that is not read.
fn socket(body: &[u8]) -> Result<UdpEnd, Short> {
    let [family, state, ..] = field::<4>(body, 0)?;
    let end = |port: usize, address: usize| -> Result<SocketAddr, Short> {
        let ip = if family == AF_INET {
            IpAddr::V4(Ipv4Addr::from(field::<4>(body, address)?))
        } else {
            Ipv6Addr::from(field::<16>(body, address)?).to_canonical()
        };
        Ok(SocketAddr::new(ip, u16::from_be_bytes(field(body, port)?)))
    };
    let (local, peer) = (end(4, 8)?, end(6, 24)?);
    let [low, high] = [44, 48].map(|at| field(body, at).map(u32::from_ne_bytes).map(u64::from));
    let cookie = low? | high? << 32;
    let [interface, inode] = [40, 68].map(|at| field(body, at).map(u32::from_ne_bytes));
    let peer = (state == ESTABLISHED).then_some(peer);
    Ok(UdpEnd { local, peer, interface: interface?, cookie, inode: inode? })
}

/// Messages begin at every fourth byte.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Short> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.18 sent of a pod: an AF_INET socket connected to 10.244.1.3:5353; of AF_INET6 one that is not connected, and
    /// one connected to the same backend as `::ffff:10.244.1.3`, whose cookie was made longer; and the end.
    const V4: &[u8] = b"\x7c\0\0\0\x14\0\x02\0\0\0\0\0\x52\x66\0\0\
        \x02\x01\0\0\xbb\xe5\x14\xe9\x0a\xf4\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\
        \x0a\xf4\x01\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x67\x46\x13\x01\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xbf\x95\xca\x0a\
        \x05\0\x08\0\0\0\0\0\x08\0\x0f\0\0\0\0\0\x0c\0\x15\0\x28\x7f\x04\0\0\0\0\0\x06\0\x16\0\x50\0\0\0";
    const V6: &[u8] = b"\x84\0\0\0\x14\0\x02\0\0\0\0\0\x52\x66\0\0\
        \x0a\x07\0\0\xbb\x31\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x6b\x46\x13\x01\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xc9\x95\xca\x0a\
        \x05\0\x08\0\0\0\0\0\x05\0\x0b\0\0\0\0\0\x08\0\x0f\0\0\0\0\0\x0c\0\x15\0\x28\x7f\x04\0\0\0\0\0\x06\0\x16\0\x10\0\0\0\
        \x7c\0\0\0\x14\0\x02\0\0\0\0\0\x52\x66\0\0\
        \x0a\x01\0\0\x9d\0\x14\xe9\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\xf4\x01\x02\
        \0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\xf4\x01\x03\0\0\0\0\x6c\x46\x13\x01\x01\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xc4\x95\xca\x0a\
        \x05\0\x08\0\0\0\0\0\x08\0\x0f\0\0\0\0\0\x0c\0\x15\0\x28\x7f\x04\0\0\0\0\0\x06\0\x16\0\x10\0\0\0";
    const END: &[u8] = b"\x14\0\0\0\x03\0\x02\0\0\0\0\0\x52\x66\0\0\0\0\0\0";

    fn end(local: &str, peer: Option<&str>, cookie: u64, inode: u32) -> Message {
        let at = |text: &str| text.parse().unwrap();
        Message::Socket(UdpEnd { local: at(local), peer: peer.map(at), interface: 0, cookie, inode })
    }

    #[test]
    fn recorded_replies_are_read() {
        let backend = Some("10.244.1.3:5353");
        assert_eq!(messages(V4).unwrap(), [end("10.244.1.2:48101", backend, 0x0113_4667, 0x0aca_95bf)]);
        assert_eq!(
            messages(V6).unwrap(),
            [
                end("[::]:47921", None, 0x0113_466b, 0x0aca_95c9),
                end("10.244.1.2:40192", backend, 0x1_0113_466c, 0x0aca_95c4),
            ]
        );
        assert_eq!(messages(END).unwrap(), [Message::End(Ok(()))]);
    }

    #[test]
    fn errors_are_read_wherever_the_kernel_puts_them() {
        let message = |kind: u16, body: &[u8]| -> Vec<u8> {
            let length = (HEADER + body.len()) as u32;
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
        };
        let enoent = (-2_i32).to_ne_bytes();
        for (shows, bytes, found) in [
            ("instead of a list", message(NLMSG_ERROR, &enoent), Message::End(Err(2))),
            ("at its end", message(NLMSG_DONE, &enoent), Message::End(Err(2))),
            ("an end that says nothing", message(NLMSG_DONE, &[]), Message::End(Ok(()))),
            ("nothing of interest", message(99, &[1, 2, 3, 4]), Message::Other),
        ] {
            assert_eq!(messages(&bytes).unwrap(), [found], "{shows}");
        }
    }

    #[test]
    fn a_reply_that_ends_anywhere_or_says_any_length_is_an_error_and_no_panic() {
        for cut in 1..V4.len() {
            assert_eq!(messages(&V4[..cut]), Err(Short), "{cut} bytes");
        }
        for length in 0..HEADER as u8 + DIAG {
            let mut bytes = V4.to_vec();
            bytes[0] = length;
            assert_eq!(messages(&bytes), Err(Short), "length {length}");
        }
    }

    /// Of `inet_diag_msg`.
    const DIAG: u8 = 72;

    #[test]
    fn a_request_is_as_the_kernel_reads_it() {
        let bytes = request(Family::V6, Which::All);
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[..8], *b"\x48\0\0\0\x14\0\x01\x03", "length, kind, flags");
        assert_eq!(bytes[16..24], *b"\x0a\x11\0\0\xff\xff\xff\xff", "family, protocol, states");
        assert_eq!(request(Family::V4, Which::Connected)[16..24], *b"\x02\x11\0\0\x02\0\0\0");
    }

    #[test]
    fn a_socket_is_ended_by_its_addresses_and_its_cookie() {
        let at = |text: &str| text.parse().unwrap();
        let v4 = UdpEnd {
            local: at("10.244.1.2:48101"),
            peer: Some(at("10.244.1.3:5353")),
            interface: 7,
            cookie: 0x1_0113_4667,
            inode: 1,
        };
        let bytes = destroy(&v4).unwrap();
        assert_eq!(bytes[..8], *b"\x48\0\0\0\x15\0\x05\0", "length, kind, flags");
        assert_eq!(bytes[16..24], *b"\x02\x11\0\0\0\0\0\0", "family, protocol");
        assert_eq!(
            bytes[24..44],
            *b"\xbb\xe5\x14\xe9\x0a\xf4\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0",
            "ports, local"
        );
        assert_eq!(bytes[44..60], *b"\x0a\xf4\x01\x03\0\0\0\0\0\0\0\0\0\0\0\0", "peer");
        assert_eq!(bytes[60..], *b"\x07\0\0\0\x67\x46\x13\x01\x01\0\0\0", "interface, cookie");
        let v6 = UdpEnd { local: at("[fd00::2]:1"), peer: Some(at("[fd00::3]:2")), ..v4 };
        let bytes = destroy(&v6).unwrap();
        assert_eq!((bytes[16], bytes.len(), bytes[43], bytes[59]), (10, 72, 2, 3));
        assert_eq!(destroy(&UdpEnd { peer: None, ..v4 }), None);
    }
}
