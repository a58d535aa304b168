//! A DNS server that knows one address, whatever name is asked for.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process;

use anyhow::{Context, Result};

use crate::{join, say};

/// Number, flags and four counts.
const HEADER: usize = 12;
/// The type of an IPv4 address.
const A: [u8; 2] = [0, 1];

pub(crate) fn serve(at: SocketAddr, address: Ipv4Addr) -> Result<()> {
    let server = UdpSocket::bind(at).with_context(|| format!("could not bind to {at}"))?;
    say(&"ready")?;
    join::at_end_of_input(|| process::exit(0));
    let mut query = [0; 512];
    loop {
        let Ok((length, from)) = server.recv_from(&mut query) else { continue };
        if let Some(reply) = reply(&query[..length], address) {
            // A client that is gone is its own affair.
            server.send_to(&reply, from).ok();
        }
    }
}

/// `None`: that is no query.
fn reply(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let mut end = HEADER;
    // The name: parts with their lengths, up to an empty one.
    while *query.get(end)? != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 1;
    let kind = query.get(end..end + 2)?;
    let question = query.get(HEADER..end + 4)?;
    let found = u8::from(kind == A);
    let mut reply = query[..2].to_vec();
    // A response, authoritative, recursion as asked for; no error; one question, and as many answers.
    reply.extend([0x84 | query[2] & 1, 0, 0, 1, 0, found, 0, 0, 0, 0]);
    reply.extend(question);
    if found == 1 {
        // The name of the question; an address of the Internet, which nothing may keep.
        reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
