//! A backend, and the decoy: servers whose answers say who they are, and which count them.

use std::io::{Read as _, Write as _, stdin, stdout};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};

use crate::pinned;

use super::ports::{Asked, Side};
use super::process::Process;

/// Of a request, of a datagram, and of what comes back. The first byte says who answers.
pub(super) const MESSAGE: usize = 32;
/// An answer to a query is an address in this network, whose last byte says the same.
pub(super) const KNOWN: [u8; 3] = [192, 0, 2];
/// What is asked for.
pub(super) const NAME: &str = "web.example";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    id: u8,
    #[arg(long, value_enum)]
    side: Side,
    /// For datagrams: a reply comes from the address that was asked.
    #[arg(long, required = true)]
    at: Vec<Ipv4Addr>,
}

/// A server of the bench, and a DNS server besides it.
pub(super) struct Server {
    answers: Process,
    _names: Process,
}

impl Server {
    /// At all of these addresses, which are those of the place that `command` runs programs in.
    pub(super) fn start(
        command: impl Fn(&std::path::Path) -> Command,
        id: u8,
        side: Side,
        addresses: &[Ipv4Addr],
    ) -> Result<Self> {
        let own = std::env::current_exe().context("could not find the bench itself")?;
        let mut answers = command(&own);
        answers.args(["traffic-server", &format!("--id={id}"), &format!("--side={}", side.name())]);
        answers.args(addresses.iter().map(|address| format!("--at={address}")));
        let answers = Process::start("a server", answers)?;
        answers.wait_for("ready")?;

        let mut names = command(&own);
        names.args([
            "pinned",
            "--",
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
        ]);
        names.args(["--user=root", "--no-resolv", "--no-hosts", "--log-facility=-", "--bind-interfaces"]);
        names.arg(format!("--port={}", Asked::Query.at(side, Ipv4Addr::UNSPECIFIED).port()));
        names.args(addresses.iter().map(|address| format!("--listen-address={address}")));
        let [a, b, c] = KNOWN;
        names.arg(format!("--address=/{NAME}/{a}.{b}.{c}.{id}"));
        let names = Process::start_logging("dnsmasq", names)?;
        names.wait_for("started")?;
        Ok(Self { answers, _names: names })
    }

    /// How many connections, requests and datagrams it has answered.
    pub(super) fn answered(&mut self) -> Result<[u64; 3]> {
        serde_json::from_str(&self.answers.ask("count")?).context("a server that does not count")
    }
}

#[derive(Default)]
struct Counts([AtomicU64; 3]);

impl Counts {
    fn add(&self, asked: usize) {
        self.0[asked].fetch_add(1, Ordering::Relaxed);
    }
}

/// Inside of it: until the bench ends.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { id, side, at: addresses } = arguments;
    let (id, side) = (*id, *side);
    pinned::stay_on_one_cpu()?;
    pinned::run_before_others();
    let counts = Arc::new(Counts::default());
    let at = |asked: Asked| asked.at(side, Ipv4Addr::UNSPECIFIED);
    let connections = TcpListener::bind(at(Asked::Connection)).context("could not listen")?;
    let kept = TcpListener::bind(at(Asked::Request)).context("could not listen")?;
    let sockets = addresses.iter().map(|address| UdpSocket::bind(Asked::Datagram.at(side, *address)));
    let sockets = sockets.collect::<std::io::Result<Vec<_>>>().context("could not bind a UDP socket")?;
    let to_count = Arc::clone(&counts);
    thread::spawn(move || answer_connections(&connections, id, &to_count));
    let to_count = Arc::clone(&counts);
    thread::spawn(move || answer_requests(&kept, id, &to_count));
    for socket in sockets {
        let to_count = Arc::clone(&counts);
        thread::spawn(move || answer_datagrams(&socket, id, &to_count));
    }
    writeln!(stdout(), "ready").context("could not say so")?;
    for _asked in stdin().lines() {
        let counted = counts.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        writeln!(stdout(), "{}", serde_json::to_string(&counted)?).context("could not say it")?;
    }
    Ok(())
}

/// The server closes first: the client's ports are free at once.
fn answer_connections(listener: &TcpListener, id: u8, counts: &Counts) {
    loop {
        let Ok((mut client, _from)) = listener.accept() else { continue };
        counts.add(0);
        // A client that is gone fails by itself.
        client.write_all(&[id]).ok();
    }
}

fn answer_requests(listener: &TcpListener, id: u8, counts: &Arc<Counts>) {
    loop {
        let Ok((mut client, _from)) = listener.accept() else { continue };
        let counts = Arc::clone(counts);
        thread::spawn(move || {
            client.set_nodelay(true).ok();
            let mut message = [0; MESSAGE];
            while client.read_exact(&mut message).is_ok() {
                counts.add(1);
                message[0] = id;
                client.write_all(&message).ok();
            }
        });
    }
}

fn answer_datagrams(socket: &UdpSocket, id: u8, counts: &Counts) {
    let mut message = [0; MESSAGE];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut message) else { continue };
        counts.add(2);
        message[0] = id;
        socket.send_to(&message[..length], from).ok();
    }
}
