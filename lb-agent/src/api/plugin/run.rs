//! Runs a plugin, for as long as it may take.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::stderr::last_line;
use super::{AnswerFault, Issued, Plugin, PluginError, answer};
use crate::api::secret::Secret;

/// No `ExecCredential` is longer.
const LONGEST: usize = 1 << 20;
/// Of stderr only the end is of interest.
const LAST: usize = 4 << 10;
/// What a plugin wrote has arrived so soon after its end, unless a program that it started holds the pipe.
const REST: Duration = Duration::from_millis(500);

/// Runs the plugin with `request` in its environment, and reads what it gives. The runtime goes on meanwhile.
/// After `limit`, and when this is dropped, the plugin and all of its process group are killed.
///
/// # Errors
/// It cannot be started, fails, takes too long, or gives nothing that can be used.
pub(crate) async fn run(plugin: &Plugin, request: &Secret, limit: Duration) -> Result<Issued, PluginError> {
    let name = || plugin.name();
    let program = program(plugin)?;
    let mut command = Command::new(program);
    command.args(plugin.args.expose());
    command.envs(plugin.env.expose().iter().map(|(name, value)| (name, value)));
    command.env("KUBERNETES_EXEC_INFO", request.expose());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|source| PluginError::Start { name: name(), source })?;
    let mut group = Group { id: child.id().and_then(|id| i32::try_from(id).ok()) };
    let Ok(outcome) = timeout(limit, outcome(child)).await else {
        return Err(PluginError::Slow { name: name(), after: limit });
    };
    let Outcome { status, stdout, stderr } =
        outcome.map_err(|source| PluginError::Start { name: name(), source })?;
    group.id = None;
    if !status.success() {
        let env = plugin.env.expose().iter().map(|(_, value)| value.as_str());
        let args = plugin.args.expose().iter().map(String::as_str);
        let known: Vec<&str> = env.chain(args).chain([request.expose().as_str()]).collect();
        let line = last_line(&stderr, &known, &stdout);
        return Err(PluginError::Failed { name: name(), how: how(status), line });
    }
    if stdout.len() > LONGEST {
        return Err(PluginError::Answer { name: name(), fault: AnswerFault::Long(LONGEST) });
    }
    answer(plugin, &stdout).map_err(|fault| PluginError::Answer { name: name(), fault })
}

/// A name without a `/` is looked for in the agent's own `$PATH`, where the folders of it are absolute.
fn program(plugin: &Plugin) -> Result<PathBuf, PluginError> {
    let missing = || PluginError::NotFound { name: plugin.name(), install_hint: plugin.install_hint.clone() };
    let command = &plugin.command;
    if command.components().count() > 1 || command.is_absolute() {
        return if command.exists() { Ok(command.clone()) } else { Err(missing()) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).filter(|folder| folder.is_absolute());
    candidates.find_map(|folder| Some(folder.join(command)).filter(|file| can_run(file))).ok_or_else(missing)
}

fn can_run(file: &Path) -> bool {
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

struct Outcome {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

async fn outcome(mut child: Child) -> io::Result<Outcome> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading = async { tokio::join!(first(out, &mut stdout), last(err, &mut stderr)) };
        tokio::pin!(reading);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = &mut reading, if !is_read => is_read = true,
            }
        };
        if !is_read {
            // What is lacking then is not waited for.
            drop(timeout(REST, reading).await);
        }
        status
    };
    Ok(Outcome { status, stdout, stderr })
}

/// Keeps the first bytes: one more than are allowed, if there are more. The others are read all the same, or
/// the plugin would wait.
async fn first(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) {
    read(from, |bytes| {
        let room = (LONGEST + 1).saturating_sub(to.len());
        to.extend_from_slice(&bytes[..bytes.len().min(room)]);
    })
    .await;
}

/// Keeps the last bytes.
async fn last(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) {
    read(from, |bytes| {
        to.extend_from_slice(bytes);
        to.drain(..to.len().saturating_sub(LAST));
    })
    .await;
}

async fn read(from: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        take(&buffer[..count]);
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// The plugin's process group, killed when dropped, unless the plugin has ended by itself.
struct Group {
    id: Option<i32>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // SAFETY: the call takes two numbers and touches no memory.
            unsafe { libc::kill(-id, libc::SIGKILL) };
        }
    }
}
