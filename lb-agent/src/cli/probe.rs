//! `lb-agent probe`: the server and the client in the pods of `lb-agent check --cluster --live`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::output::unless_closed;

/// For each step of a connection, and for the answer to a datagram.
const PATIENCE: Duration = Duration::from_secs(2);
/// A name is a label's value.
const MOST_OF_A_NAME: usize = 63;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Answer each connection and each datagram with a name.
    Serve {
        /// What it answers with
        name: String,
        /// The port of both protocols
        #[arg(long, value_name = "PORT", default_value_t = 8080)]
        port: u16,
    },
    /// Dial, and print who answered, as JSON.
    Dial {
        /// How often each is dialled
        #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
        /// tcp/ADDRESS:PORT, udp/ADDRESS:PORT, or dns/NAME
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<Target>,
    },
}

/// What is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    /// By the resolver of the pod.
    Dns(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
        match text.split_once('/') {
            Some(("tcp", rest)) => Ok(Self::Tcp(address(rest)?)),
            Some(("udp", rest)) => Ok(Self::Udp(address(rest)?)),
            Some(("dns", name)) if !name.is_empty() => Ok(Self::Dns(name.to_owned())),
            Some(_) | None => Err("write tcp/ADDRESS:PORT, udp/ADDRESS:PORT or dns/NAME".to_owned()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp/{address}"),
            Self::Udp(address) => write!(f, "udp/{address}"),
            Self::Dns(name) => write!(f, "dns/{name}"),
        }
    }
}

/// What came of dialling one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Dialled {
    pub target: String,
    /// How often each name answered; of a name that was resolved, each address.
    pub answers: BTreeMap<String, u32>,
    /// How often it was refused.
    pub refused: u32,
    /// How often it failed in another way, and how.
    pub failed: BTreeMap<String, u32>,
}

/// # Errors
/// The port cannot be listened at, or nothing can be printed.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Serve { name, port } => serve(&name, port),
        Verb::Dial { count, targets } => {
            let dialled: Vec<Dialled> = targets.iter().map(|target| dial(target, count)).collect();
            let text = serde_json::to_string(&dialled)?;
            unless_closed(writeln!(io::stdout(), "{text}")).context("could not print")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(name: &str, port: u16) -> anyhow::Result<ExitCode> {
    // Of both families, or of IPv4 where a node has no other.
    let places =
        [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
    let doing = || format!("could not listen at port {port}");
    let datagrams = UdpSocket::bind(&places[..]).with_context(doing)?;
    let listener = TcpListener::bind(&places[..]).with_context(doing)?;
    let answer = name.to_owned();
    thread::spawn(move || {
        let mut asked = [0; 16];
        loop {
            // A client that is gone is no reason to end.
            if let Ok((_, client)) = datagrams.recv_from(&mut asked) {
                drop(datagrams.send_to(answer.as_bytes(), client));
            }
        }
    });
    for connection in listener.incoming() {
        let Ok(mut connection) = connection else { continue };
        // What is written fits into what the kernel keeps: no client holds up the next.
        drop(connection.set_write_timeout(Some(PATIENCE)));
        drop(connection.write_all(name.as_bytes()));
    }
    Ok(ExitCode::SUCCESS)
}

fn dial(target: &Target, count: u32) -> Dialled {
    let mut dialled = Dialled { target: target.to_string(), ..Dialled::default() };
    // One question does for a name: a resolver that hangs takes its time.
    let count = if matches!(target, Target::Dns(_)) { 1 } else { count };
    for _ in 0..count {
        let answers = match target {
            Target::Tcp(address) => connect(*address).map(|name| vec![name]),
            Target::Udp(address) => ask(*address).map(|name| vec![name]),
            Target::Dns(name) => resolve(name),
        };
        match answers {
            Ok(answers) => {
                for answer in answers {
                    *dialled.answers.entry(answer).or_default() += 1;
                }
            }
            // EPERM is how a datagram is refused where a program cannot choose the error.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied) =>
            {
                dialled.refused += 1;
            }
            Err(error) => *dialled.failed.entry(how(error.kind())).or_default() += 1,
        }
    }
    dialled
}

/// For people. A socket says of an answer that does not come that it would block.
fn how(failed: ErrorKind) -> String {
    if matches!(failed, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        format!("no answer within {} s", PATIENCE.as_secs())
    } else {
        failed.to_string()
    }
}

fn connect(address: SocketAddr) -> io::Result<String> {
    let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut name = Vec::new();
    connection.take(MOST_OF_A_NAME as u64).read_to_end(&mut name)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"?", address)?;
    let mut name = [0; MOST_OF_A_NAME];
    let (length, from) = socket.recv_from(&mut name)?;
    if from != address {
        return Err(io::Error::new(ErrorKind::InvalidData, "an answer that comes from elsewhere"));
    }
    Ok(String::from_utf8_lossy(&name[..length]).into_owned())
}

fn resolve(name: &str) -> io::Result<Vec<String>> {
    let found = (name, 0).to_socket_addrs()?;
    Ok(found.map(|address| address.ip().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_said_in_one_way() {
        for (kind, says) in [
            (ErrorKind::WouldBlock, "no answer within 2 s"),
            (ErrorKind::TimedOut, "no answer within 2 s"),
            (ErrorKind::HostUnreachable, "host unreachable"),
        ] {
            assert_eq!(how(kind), says);
        }
    }

    #[test]
    fn targets_are_read_as_they_are_shown() {
        for text in ["tcp/10.96.0.1:80", "udp/[fd00::1]:53", "dns/web.default.svc"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["10.96.0.1:80", "tcp/10.96.0.1", "sctp/10.96.0.1:80", "dns/"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
