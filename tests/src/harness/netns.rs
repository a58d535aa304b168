//! A network namespace that nothing but open descriptors holds: no name, no mount, nothing to clean up.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{self, Command, Output, Stdio};
use std::{fs, io, thread};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};

pub(crate) struct Netns(File);

impl Netns {
    pub(crate) fn new() -> Result<Self> {
        in_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("could not make a network namespace")?;
            let own = File::open("/proc/thread-self/ns/net").context("could not hold a network namespace")?;
            Ok(Self(own))
        })
    }

    /// Opens to this namespace in any process, while this one lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd()))
    }

    /// The calling thread is in this namespace from here on, with all that it opens and starts.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("could not enter a network namespace")
    }

    /// Works inside, in a thread of its own.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_a_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Sets a parameter of this namespace: `/proc/sys/net` shows each thread those of its own.
    pub(crate) fn set(&self, parameter: &str, value: &str) -> Result<()> {
        let file = format!("/proc/sys/net/{parameter}");
        self.run(|| fs::write(&file, value).with_context(|| format!("could not write {file}")))
    }

    /// Addresses that this namespace answers for.
    pub(crate) fn add_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        let mut lines = String::new();
        for address in addresses {
            let alone = if address.is_ipv4() { "32" } else { "128 nodad" };
            writeln!(lines, "address add {address}/{alone} dev lo").context("could not write a line")?;
        }
        self.ip(&lines)
    }

    /// Runs lines of `ip` commands inside, up to the first that fails.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        let output = self.run(|| {
            run_ip(lines).map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    anyhow!("the program `ip` is missing: install the package iproute2")
                } else {
                    anyhow!(error).context("could not run `ip`")
                }
            })
        })?;
        ensure!(
            output.status.success(),
            "`ip` failed: {}in\n{lines}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// A namespace is a thread's: what joins one does so in a thread that ends with it.
fn in_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match thread::scope(|scope| scope.spawn(work).join()) {
        Ok(result) => result,
        Err(_panic) => bail!("a thread that joined a network namespace panicked"),
    }
}

fn run_ip(lines: &str) -> io::Result<Output> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = ip.stdin.take() {
        input.write_all(lines.as_bytes())?;
    }
    ip.wait_with_output()
}
