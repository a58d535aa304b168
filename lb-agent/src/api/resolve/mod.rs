//! The addresses of the API server's host, also where the resolver of this machine is a Service that our maps lead astray.

mod message;
mod settings;

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{sleep, timeout};

use super::dial::OwnSockets;
use message::{Kind, answers, question};
use settings::Settings;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The C library's resolver is alone for so long: it knows all that this machine knows of names.
const HEAD_START: Duration = Duration::from_millis(1500);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 4096;

/// The addresses of `host`, by the C library. The sockets of its resolver cannot be claimed: where `resolv.conf` names a cluster IP they
/// go where the maps say, and what the maps say may be as old as the last word of the very server that is looked for. So where that
/// fails or takes long, the servers of `resolv.conf` are asked by sockets of our own besides.
pub(super) async fn resolve(host: &str, port: u16, own: &OwnSockets) -> io::Result<Vec<SocketAddr>> {
    let mut first =
        std::pin::pin!(async { Ok::<Vec<_>, io::Error>(lookup_host((host, port)).await?.collect()) });
    let failure = tokio::select! {
        found = &mut first => match found {
            Ok(found) => return Ok(found),
            Err(failure) => Some(failure),
        },
        () = sleep(HEAD_START) => None,
    };
    if !own.are_claimed() {
        return match failure {
            Some(failure) => Err(failure),
            None => first.await,
        };
    }
    let second = ask_ourselves(host, port, own);
    if let Some(failure) = failure {
        return second.await.ok_or(failure);
    }
    let mut second = std::pin::pin!(second);
    tokio::select! {
        found = &mut first => match found {
            Ok(found) => Ok(found),
            Err(failure) => second.await.ok_or(failure),
        },
        Some(found) = &mut second => Ok(found),
    }
}

/// Asks each server for each name that may be meant, until one has addresses.
async fn ask_ourselves(host: &str, port: u16, own: &OwnSockets) -> Option<Vec<SocketAddr>> {
    let settings = Settings::read(&fs::read_to_string(RESOLV_CONF).ok()?);
    for name in settings.names(host) {
        for server in &settings.servers {
            let (v4, v6) =
                tokio::join!(ask(*server, &name, Kind::V4, own), ask(*server, &name, Kind::V6, own));
            let found = [v4, v6].into_iter().filter_map(Result::ok).flatten();
            let found: Vec<SocketAddr> = found.map(|ip| SocketAddr::new(ip, port)).collect();
            if !found.is_empty() {
                return Some(found);
            }
        }
    }
    None
}

/// One question to one server.
async fn ask(server: SocketAddr, name: &str, kind: Kind, own: &OwnSockets) -> io::Result<Vec<IpAddr>> {
    let id = RandomState::new().build_hasher().finish() as u16;
    let question = question(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    own.claim(&socket);
    socket.bind(&any.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    // From here on the kernel takes replies of this server alone.
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = vec![0; MOST_BYTES];
    let replied = async {
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(found) = buffer.get(..length).and_then(|reply| answers(reply, id, kind)) {
                return Ok(found);
            }
        }
    };
    timeout(PATIENCE, replied).await.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))?
}
