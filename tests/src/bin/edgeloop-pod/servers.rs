//! Servers that say who they are.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::Site;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::{join, say, socket};

/// One that waits for a silent client must not hold up the others.
const THREADS: usize = 8;

/// How long a client has to send a request; one that sends none is answered all the same.
const REQUEST: Duration = Duration::from_millis(200);

pub(crate) fn serve(at: SocketAddr, text: &str) -> Result<()> {
    let listener = Arc::new(socket::listener(at)?);
    let body = format!("{text}\n");
    let response = Arc::new(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    for _ in 0..THREADS {
        let (listener, response) = (Arc::clone(&listener), Arc::clone(&response));
        thread::spawn(move || {
            loop {
                if let Ok((client, _from)) = listener.accept() {
                    // A client that goes away is the client's own affair.
                    respond(client, response.as_bytes()).ok();
                }
            }
        });
    }
    say(&"ready")?;
    join::wait_for_end_of_input();
    Ok(())
}

pub(crate) fn serve_ids(servers: &[(SocketAddr, u32)]) -> Result<()> {
    let listeners = servers
        .iter()
        .map(|(at, id)| {
            let listener = socket::listener(*at)?;
            listener.set_nonblocking(true).context("could not make a socket non-blocking")?;
            Ok((listener, id.to_be_bytes()))
        })
        .collect::<Result<Vec<_>>>()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("could not make an epoll")?;
    for (index, (listener, _id)) in listeners.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        epoll.add(listener, event).context("could not watch a socket")?;
    }
    say(&"ready")?;
    join::at_end_of_input(|| process::exit(0));
    answer_ids(&epoll, &listeners)
}

/// One listener for thousands of addresses, of both families.
pub(crate) fn serve_addresses(port: u16) -> Result<()> {
    let listener = socket::listener(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    say(&"ready")?;
    join::at_end_of_input(|| process::exit(0));
    loop {
        let Ok((mut client, _from)) = listener.accept() else { continue };
        // The client may be gone; that is its own affair.
        if let Ok(IpAddr::V6(own)) = client.local_addr().map(|at| at.ip()) {
            let [.., a, b, c, d] = own.octets();
            client.write_all(&[a, b, c, d]).ok();
        }
    }
}

/// For connections that are to stay: says everything back, until the client ends.
pub(crate) fn echo(at: SocketAddr) -> Result<()> {
    let listener = socket::listener(at)?;
    say(&"ready")?;
    join::at_end_of_input(|| process::exit(0));
    loop {
        let Ok((client, _from)) = listener.accept() else { continue };
        // A client that goes away is the client's own affair.
        thread::spawn(move || io::copy(&mut &client, &mut &client).ok());
    }
}

/// For others to look at, and to be killed: see `tests/harness.rs`.
pub(crate) fn hold_site() -> Result<()> {
    let site = Site::new()?;
    let pod = site.node("n1")?.pod("web", "10.244.1.2")?;
    pod.serve_name(80)?;
    say(&site.name())?;
    join::wait_for_end_of_input();
    Ok(())
}

/// `ADDRESS:PORT=NUMBER`
pub(crate) fn address_and_id(text: &str) -> Result<(SocketAddr, u32)> {
    let (address, id) = text.split_once('=').context("not ADDRESS:PORT=NUMBER")?;
    Ok((address.parse().context("not ADDRESS:PORT")?, id.parse().context("not a number")?))
}

/// What is unread when a socket is closed resets the connection, before the client has read the answer: so
/// the whole request is read first.
fn respond(mut client: TcpStream, response: &[u8]) -> io::Result<()> {
    client.set_read_timeout(Some(REQUEST))?;
    let mut request = [0; 4096];
    let mut length = 0;
    while !request[..length].ends_with(b"\r\n\r\n") {
        match client.read(&mut request[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    client.write_all(response)
}

fn answer_ids(epoll: &Epoll, listeners: &[(TcpListener, [u8; 4])]) -> Result<()> {
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).context("could not wait for connections"),
        };
        let ready = events.iter().take(ready).filter_map(|event| listeners.get(event.data() as usize));
        for (listener, id) in ready {
            while let Ok((mut client, _from)) = listener.accept() {
                // Closed in the ordinary way: a reset could reach the client inside its connect(2).
                client.write_all(id).ok();
            }
        }
    }
}
