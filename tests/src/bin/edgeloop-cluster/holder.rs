//! The process that a cluster lives with, and the file that says where it is.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use edgeloop_tests::cluster::{Playground, Whereabouts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

const FOLDER: &str = "/run/edgeloop";

/// For a control plane to come up, or to go.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster's name goes into the names of files.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if text.is_empty() || text.len() > 40 || !text.chars().all(plain) {
        return Err("letters, digits and dashes, 40 at most".to_owned());
    }
    Ok(text.to_owned())
}

/// Starts the holder, in a session of its own, and waits until the cluster is up.
pub(crate) fn up(name: &str) -> Result<Whereabouts> {
    if let Some(at) = running(name)? {
        bail!("it is up already, held by process {}: `cargo xtask cluster down` takes it down", at.pid);
    }
    ensure!(geteuid().is_root(), "not root: a cluster is namespaces and cgroups; run this with sudo");
    fs::create_dir_all(FOLDER).with_context(|| format!("could not make {FOLDER}"))?;
    let log = file(name, "log");
    let into = File::create(&log).with_context(|| format!("could not make {}", log.display()))?;
    let also = into.try_clone().context("could not share a log")?;
    let own = std::env::current_exe().context("could not find where this program lies")?;
    let mut holder = Command::new(own)
        .args(["hold", "--name", name])
        .stdin(Stdio::null())
        .stdout(into)
        .stderr(also)
        .process_group(0)
        .spawn()
        .context("could not start the holder")?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(at) = running(name)?.filter(|at| at.pid == holder.id()) {
            return Ok(at);
        }
        if let Some(status) = holder.try_wait().context("could not ask how the holder is")? {
            let words = fs::read_to_string(&log).unwrap_or_default();
            remove(&log)?;
            bail!("it did not come up ({status}):\n{}", words.trim_end());
        }
        ensure!(Instant::now() < give_up, "it is not up after {PATIENCE:?}: see {}", log.display());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Asks the holder to end, and waits until it has. Success when it does not run.
pub(crate) fn down(name: &str) -> Result<()> {
    let Some(at) = running(name)? else {
        eprintln!("There is no cluster of the name {name} here.");
        return Ok(());
    };
    let holder = Pid::from_raw(i32::try_from(at.pid).context("not a process")?);
    kill(holder, Signal::SIGTERM).with_context(|| format!("could not ask process {holder} to end"))?;
    let give_up = Instant::now() + PATIENCE;
    while is_ours(at.pid) {
        ensure!(Instant::now() < give_up, "process {holder}, which holds it, does not end");
        thread::sleep(Duration::from_millis(20));
    }
    remove(&file(name, "json"))?;
    remove(&file(name, "log"))
}

pub(crate) fn find(name: &str) -> Result<Whereabouts> {
    running(name)?.context("no cluster is up here: `cargo xtask cluster up` brings one up")
}

/// Brings it up, says where it is, and waits for a signal, which takes everything away.
pub(crate) fn hold(name: &str) -> Result<()> {
    let playground = Playground::up()?;
    let at = serde_json::to_vec(&playground.whereabouts()?).context("could not write JSON")?;
    let (draft, file) = (file(name, "draft"), file(name, "json"));
    fs::write(&draft, at).with_context(|| format!("could not write {}", draft.display()))?;
    fs::rename(&draft, &file).with_context(|| format!("could not write {}", file.display()))?;
    loop {
        thread::park();
    }
}

/// The cluster of this name, if its holder is there.
fn running(name: &str) -> Result<Option<Whereabouts>> {
    let file = file(name, "json");
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("could not read {}", file.display())),
    };
    let at: Whereabouts =
        serde_json::from_slice(&text).with_context(|| format!("{} is not ours", file.display()))?;
    Ok(is_ours(at.pid).then_some(at))
}

/// Whether a process of this number is a holder: the number may have gone to another since.
fn is_ours(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"edgeloop-cluster"))
        && words.next() == Some(b"hold".as_slice())
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn file(name: &str, kind: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("cluster-{name}.{kind}"))
}
