//! UDP: a server that says who it is, and one socket that does what it is asked to.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::size_of;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, getpeername, recvfrom, recvmsg,
    sendmsg, sendto, setsockopt, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::{join, many, say, socket};

/// Replies with the text and what came.
pub(crate) fn serve(at: SocketAddr, text: &str) -> Result<()> {
    let server = UdpSocket::bind(at).with_context(|| format!("could not bind to {at}"))?;
    say(&"ready")?;
    join::at_end_of_input(|| process::exit(0));
    let mut buffer = [0; 512];
    loop {
        let Ok((length, from)) = server.recv_from(&mut buffer) else { continue };
        let came = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let reply = format!("{text} {came}");
        let later = came.strip_prefix("later ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(later) = later.map(Duration::from_millis) else {
            // A client that is gone is its own affair.
            server.send_to(reply.as_bytes(), from).ok();
            continue;
        };
        let server = server.try_clone().context("could not share a socket")?;
        thread::spawn(move || {
            thread::sleep(later);
            server.send_to(reply.as_bytes(), from).ok();
        });
    }
}

/// Carries out one line of the input after the other, with one line of output each.
pub(crate) fn follow(family: u8) -> Result<()> {
    let family = if family == 4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = nix::sys::socket::socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("could not make a UDP socket")?;
    let patience = TimeVal::seconds(socket::PATIENCE.as_secs().cast_signed());
    setsockopt(&socket, ReceiveTimeout, &patience).context("could not limit the wait of a socket")?;
    say(&"ready")?;
    for line in io::stdin().lines() {
        let line = line.context("could not read what to do")?;
        say(&call(&socket, &line)?.unwrap_or_else(errno_name))?;
    }
    Ok(())
}

fn errno_name(errno: Errno) -> String {
    socket::name(if errno == Errno::EAGAIN { socket::TIMEOUT } else { errno })
}

fn call(socket: &OwnedFd, line: &str) -> Result<Result<String, Errno>> {
    let fd = socket.as_raw_fd();
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (to, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let to = || -> Result<SockaddrStorage> {
        let to: SocketAddr = to.parse().with_context(|| format!("no address in `{line}`"))?;
        Ok(SockaddrStorage::from(to))
    };
    let done = |_| "ok".to_owned();
    Ok(match verb {
        "connect" => connect(fd, &to()?).map(|()| "ok".to_owned()),
        "disconnect" => disconnect(fd).map(|()| "ok".to_owned()),
        "sendto" => sendto(fd, text.as_bytes(), &to()?, MsgFlags::empty()).map(done),
        "sendmsg" => {
            sendmsg(fd, &[IoSlice::new(text.as_bytes())], &[], MsgFlags::empty(), Some(&to()?)).map(done)
        }
        "sendmmsg" => many::send(fd, rest)?,
        "recvmmsg" => {
            let count = rest.parse().with_context(|| format!("no number in `{line}`"))?;
            many::receive(fd, count).map(|all| {
                let each = all.iter().map(|(text, from)| format!("{text} from {}", shown(from.as_ref())));
                each.collect::<Vec<_>>().join(", ")
            })
        }
        "send" => nix::sys::socket::send(fd, rest.as_bytes(), MsgFlags::empty()).map(done),
        "recvfrom" => {
            let mut buffer = [0; 512];
            recvfrom::<SockaddrStorage>(fd, &mut buffer)
                .map(|(length, from)| came(&buffer[..length], from.as_ref()))
        }
        "recvmsg" => {
            let mut buffer = [0; 512];
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<SockaddrStorage>(fd, &mut parts, None, MsgFlags::empty());
            let received = received.map(|message| (message.bytes, message.address));
            received.map(|(length, from)| came(&buffer[..length], from.as_ref()))
        }
        "pause" => {
            thread::sleep(Duration::from_millis(
                rest.parse().with_context(|| format!("no time in `{line}`"))?,
            ));
            Ok("ok".to_owned())
        }
        "peer" => getpeername::<SockaddrStorage>(fd).map(|peer| shown(Some(&peer))),
        _ => anyhow::bail!("`{line}` is no call"),
    })
}

fn came(bytes: &[u8], from: Option<&SockaddrStorage>) -> String {
    format!("{} from {}", String::from_utf8_lossy(bytes), shown(from))
}

fn shown(address: Option<&SockaddrStorage>) -> String {
    address.map_or_else(|| "nowhere".to_owned(), ToString::to_string)
}

/// `connect(2)` to no address, which ends a connection of a UDP socket.
fn disconnect(fd: i32) -> Result<(), Errno> {
    let address = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: the address lives as long as the call, and its size is its own.
    let result =
        unsafe { libc::connect(fd, &raw const address, size_of::<libc::sockaddr>() as libc::socklen_t) };
    Errno::result(result).map(drop)
}
