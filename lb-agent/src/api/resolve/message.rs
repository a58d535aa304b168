//! Questions to a DNS server and its replies (RFC 1035), as bytes. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
/// Flags of a question: recursion is desired.
const QUERY: [u8; 2] = [0x01, 0x00];
const RESPONSE: u8 = 0x80;
/// The low bits of the second byte of flags: no error.
const CODE: u8 = 0x0f;
const CLASS_IN: u16 = 1;
const MOST_LABEL: usize = 63;
const MOST_NAME: usize = 253;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    V4,
    V6,
}

impl Kind {
    /// A and AAAA.
    const fn number(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// `None` where `name` can be no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    if name.len() > MOST_NAME {
        return None;
    }
    let mut bytes = [&id.to_be_bytes()[..], &QUERY, &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        if label.is_empty() || label.len() > MOST_LABEL {
            return None;
        }
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.number().to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    Some(bytes)
}

/// The addresses in a reply, those of names that a chain of aliases leads to as well: a server that was asked to resolve puts no
/// others there. Empty where it says that it knows no address; `None` where it is no reply to this question.
pub(super) fn answers(reply: &[u8], id: u16, kind: Kind) -> Option<Vec<IpAddr>> {
    let [high, low, flags, code, q1, q0, a1, a0, ..] = *reply else { return None };
    if u16::from_be_bytes([high, low]) != id || flags & RESPONSE == 0 {
        return None;
    }
    let mut found = Vec::new();
    if code & CODE != 0 {
        return Some(found);
    }
    let mut rest = reply.get(HEADER..)?;
    for _ in 0..u16::from_be_bytes([q1, q0]) {
        rest = after_name(rest)?.get(4..)?;
    }
    for _ in 0..u16::from_be_bytes([a1, a0]) {
        // A reply that was cut ends anywhere: what there is of it counts.
        let Some((number, value, next)) = record(rest) else { break };
        if number == kind.number() {
            found.extend(address(value));
        }
        rest = next;
    }
    Some(found)
}

/// Kind and value of a record, and what comes after it.
fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let after = after_name(bytes)?;
    let [k1, k0, _, _, _, _, _, _, l1, l0, ..] = *after else { return None };
    let end = 10 + usize::from(u16::from_be_bytes([l1, l0]));
    Some((u16::from_be_bytes([k1, k0]), after.get(10..end)?, after.get(end..)?))
}

/// A name ends with an empty label, or with a reference to another one.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match *bytes.first()? {
            0 => return bytes.get(1..),
            length if length & 0xc0 == 0xc0 => return bytes.get(2..),
            length => bytes = bytes.get(1 + usize::from(length)..)?,
        }
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `web.example`, an alias of `a.example`, which has 192.0.2.1.
    const REPLY: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03web\x07example\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10\
        \xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    #[test]
    fn a_question_is_as_a_server_reads_it() {
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\x07example\0\0\x1c\0\x01";
        assert_eq!(question(0x1234, "web.example", Kind::V6).unwrap(), expected);
        for name in ["", "a..b", ".a", &"x".repeat(64), &"x.".repeat(127)] {
            assert_eq!(question(1, name, Kind::V4), None, "{name}");
        }
    }

    #[test]
    fn the_addresses_of_a_reply_are_read() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(answers(REPLY, 0x1234, Kind::V4), Some(vec![address]));
        assert_eq!(answers(REPLY, 0x1234, Kind::V6), Some(Vec::new()), "none of this kind");
        assert_eq!(answers(REPLY, 0x1235, Kind::V4), None, "another question's");
        let mut no_such_name = REPLY.to_vec();
        no_such_name[3] |= 3;
        assert_eq!(answers(&no_such_name, 0x1234, Kind::V4), Some(Vec::new()));
        let mut asked = REPLY.to_vec();
        asked[2] &= !RESPONSE;
        assert_eq!(answers(&asked, 0x1234, Kind::V4), None, "a question");
        let v6 = b"\0\x01\x81\x80\0\0\0\x01\0\0\0\0\0\0\x1c\0\x01\0\0\0\x3c\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        assert_eq!(answers(v6, 1, Kind::V6), Some(vec!["fd00::1".parse().unwrap()]));
    }

    #[test]
    fn a_reply_that_ends_anywhere_or_has_any_byte_changed_is_no_panic() {
        for cut in 0..REPLY.len() {
            assert!(answers(&REPLY[..cut], 0x1234, Kind::V4).is_none_or(|found| found.is_empty()), "{cut}");
        }
        for at in 0..REPLY.len() {
            for byte in [0, 0x3f, 0xc0, 0xff] {
                let mut reply = REPLY.to_vec();
                reply[at] = byte;
                answers(&reply, 0x1234, Kind::V4);
            }
        }
    }
}
