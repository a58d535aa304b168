//! One connection of the self-test.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Over the loopback interface a connection is there at once; a busy machine may take longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// It leaves this machine by no other interface where no program rewrites it.
const LOOPBACK: &[u8] = b"lo";

#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("could not make a socket on the loopback interface")]
    Socket(#[source] io::Error),
    #[error("it does not connect")]
    Connect(#[source] io::Error),
    #[error("it was connected to another socket than the agent's listener")]
    Elsewhere,
    #[error("the agent's listener failed")]
    Listener(#[source] io::Error),
}

/// Dials `address` as a process would that knows nothing of the agent: the programs are to lead it to `listener`.
pub(super) fn dial(address: &SocketAddr, listener: &TcpListener) -> Result<(), DialError> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None).map_err(DialError::Socket)?;
    socket.bind_device(Some(LOOPBACK)).map_err(DialError::Socket)?;
    socket.connect_timeout(&(*address).into(), PATIENCE).map_err(DialError::Connect)?;
    let from = socket.local_addr().map_err(DialError::Socket)?.as_socket();
    // Connected is accepted: the kernel has put it into the listener's queue by then.
    loop {
        match listener.accept() {
            Ok((_, peer)) if Some(peer) == from => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(DialError::Elsewhere),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(DialError::Listener(error)),
        }
    }
}
