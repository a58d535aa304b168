//! One connection that stays open while other things happen.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};

use crate::harness::child::Child;
use crate::harness::pod::Pod;

/// An open connection to a server of [`Pod::echo`], held by a process in another pod.
pub struct Talk {
    // Ended first: reads then end too.
    _client: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    /// Connects; returns once the connection stands.
    pub fn start(client: &Pod, to: SocketAddr) -> Result<Self> {
        let (address, port) = (to.ip(), to.port());
        let script = format!(
            "exec 3<>/dev/tcp/{address}/{port} && echo open && \
             while read -r line; do echo \"$line\" >&3; read -r -t 5 back <&3; echo \"$back\"; done"
        );
        let mut process = client
            .command("bash")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start bash")?;
        let input = process.stdin.take().context("it has an input")?;
        let output = BufReader::new(process.stdout.take().context("it has an output")?);
        let mut talk = Self { _client: Child::from(process), input, output };
        ensure!(talk.line()? == "open", "no connection to {to}");
        Ok(talk)
    }

    /// Says a line and gives what comes back.
    pub fn say(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}").context("the client has ended")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("could not read from the client")?;
        Ok(line.trim_end().to_owned())
    }
}
