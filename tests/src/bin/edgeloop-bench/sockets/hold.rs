//! A pod of the bench: sockets that dialled the Service, held until the end.

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::net::UdpSocket;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use edgeloop_tests::{Child, Node};

use super::SERVICE;

/// Where backends are: the way leads nowhere, and nothing is sent.
const NETWORK: &str =
    "lo up && ip address add 10.0.0.1/32 dev lo && ip route add 100.64.0.0/10 dev lo src 10.0.0.1";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    sockets: u32,
}

/// Starts one in a network namespace of its own, and waits until its sockets are connected.
pub(super) fn start(node: &Node, sockets: u32) -> Result<Child> {
    let own = std::env::current_exe().context("could not find the bench itself")?;
    let script = format!("ip link set {NETWORK} && exec {} hold-sockets --sockets {sockets}", own.display());
    let mut command = node.command("unshare");
    command.args(["--net", "sh", "-ec", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().context("could not start a pod")?;
    let output = process.stdout.take().context("it has an output")?;
    let child = Child::from(process);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).context("could not read from a pod")?;
    ensure!(line.trim_end() == "ready", "a pod has no sockets");
    Ok(child)
}

/// Inside of it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let dial = |_| -> Result<UdpSocket> {
        let socket = UdpSocket::bind("0.0.0.0:0").context("could not make a socket")?;
        socket.connect(SERVICE).context("could not dial the Service")?;
        Ok(socket)
    };
    let sockets: Vec<UdpSocket> = (0..arguments.sockets).map(dial).collect::<Result<_>>()?;
    writeln!(stdout(), "ready").context("could not say so")?;
    // Until the bench ends.
    stdin().lines().for_each(drop);
    drop(sockets);
    Ok(())
}
