//! System calls of the agent that fail, or that it is killed at, by way of `strace`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::harness::node::Node;

/// The calls that change what outlives the agent, besides `bpf`.
const FILES: [&str; 8] =
    ["rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"];

/// One call of a recorded run. A run over the same state makes the same calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    name: String,
    /// Which call of this name of its thread it is, from 1.
    number: u32,
    /// For people: the call as `strace` shows it, without the process.
    pub text: String,
}

/// What happens in place of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not made, and this errno comes back.
    Error(&'static str),
    /// The process is killed before it.
    Kill,
}

impl SystemCall {
    /// Whether it changes something that outlives the process.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        const CHANGES: [&str; 8] = [
            "BPF_OBJ_PIN",
            "BPF_MAP_UPDATE_ELEM",
            "BPF_MAP_UPDATE_BATCH",
            "BPF_MAP_DELETE_ELEM",
            "BPF_MAP_DELETE_BATCH",
            "BPF_LINK_CREATE",
            "BPF_LINK_UPDATE",
            "BPF_LINK_DETACH",
        ];
        self.name != "bpf" || self.command().is_some_and(|command| CHANGES.contains(&command))
    }

    /// Which call of its name of its thread it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether it attaches a program before others (`BPF_F_BEFORE`).
    #[must_use]
    pub fn attaches_first(&self) -> bool {
        let is_first = ["flags=BPF_F_BEFORE", "flags=0x8"].iter().any(|flag| self.text.contains(flag));
        self.command() == Some("BPF_LINK_CREATE") && is_first
    }

    /// Whether aya only tries what this kernel can do.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        let probes = ["TRACEPOINT", "SOCKET_FILTER", "KPROBE", "CPUMAP", "DEVMAP", "BPF_PERF_EVENT"];
        self.command() == Some("BPF_BTF_LOAD") || probes.iter().any(|probe| self.text.contains(probe))
    }

    /// The first argument of a call of `bpf`.
    fn command(&self) -> Option<&str> {
        self.text.strip_prefix("bpf(")?.split([',', ')']).next()
    }
}

/// The program under `strace`, which writes every call that matters to `log`. The process is the program itself.
#[must_use]
pub fn recorded(node: &Node, program: &Path, log: &Path) -> Command {
    let mut command = strace(node, log, &["bpf", &FILES.join(",")].join(","));
    command.arg("--seccomp-bpf");
    command.arg(program);
    command
}

/// The program under `strace`, with a fault at one call.
#[must_use]
pub fn faulty(node: &Node, program: &Path, call: &SystemCall, fault: Fault) -> Command {
    faulty_and_recorded(node, program, call, fault, Path::new("/dev/null"))
}

/// The same, and calls of that name are written to `log`.
#[must_use]
pub fn faulty_and_recorded(
    node: &Node,
    program: &Path,
    call: &SystemCall,
    fault: Fault,
    log: &Path,
) -> Command {
    let SystemCall { name, number, .. } = call;
    let what = match fault {
        Fault::Error(errno) => format!("error={errno}"),
        Fault::Kill => "signal=KILL".to_owned(),
    };
    let mut command = strace(node, log, name);
    // Not with --seccomp-bpf: it misses some of the calls that are to be injected into.
    command.arg("-e").arg(format!("inject={name}:{what}:when={number}")).arg(program);
    command
}

/// The program under `strace`: `call`, and after it every `step`th call of its name and thread, fails with `errno`, `times` in all. Calls of that name
/// are written to `log`.
#[must_use]
pub fn faulty_each(
    node: &Node,
    program: &Path,
    call: &SystemCall,
    (errno, (step, times)): (&str, (u32, u32)),
    log: &Path,
) -> Command {
    let SystemCall { name, number, .. } = call;
    let last = number + step * (times - 1);
    let mut command = strace(node, log, name);
    command.arg("-e").arg(format!("inject={name}:error={errno}:when={number}..{last}+{step}")).arg(program);
    command
}

/// The calls of a run that was [`recorded`], of all threads.
///
/// # Errors
/// When the log cannot be read, or holds no call.
pub fn calls(log: &Path) -> Result<Vec<SystemCall>> {
    let text = fs::read_to_string(log).with_context(|| format!("could not read {}", log.display()))?;
    let calls = read(&text);
    ensure!(!calls.is_empty(), "strace recorded nothing: {text}");
    Ok(calls)
}

fn strace(node: &Node, log: &Path, traced: &str) -> Command {
    let mut command = node.command("strace");
    // -D: the tracer is the child of the program, and not the other way round.
    command.args(["-D", "-f", "-qq", "-o"]).arg(log).arg("-e").arg(format!("trace={traced}"));
    command
}

/// Lines such as `4711 rename("/a", "/b") = 0`.
fn read(log: &str) -> Vec<SystemCall> {
    let mut numbers = BTreeMap::new();
    let mut calls = Vec::new();
    for (thread, text) in log.lines().filter_map(|line| line.split_once(' ')) {
        let text = text.trim_start();
        let Some((name, _)) = text.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let number = numbers.entry((thread, name)).or_default();
        *number += 1;
        calls.push(SystemCall { name: name.to_owned(), number: *number, text: text.to_owned() });
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_numbered_by_thread_and_name() {
        let log = r#"7  bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH}, 80) = 5
8  bpf(BPF_OBJ_PIN, {pathname="/x"} <unfinished ...>
7  rename("/a", "/b") = 0
8  <... bpf resumed>, 80) = 0
8  bpf(BPF_LINK_UPDATE, {link_fd=3}, 16) = 0
7  --- SIGTERM {si_signo=SIGTERM} ---
7  +++ exited with 0 +++
"#;
        let calls = read(log);
        let found: Vec<(&str, u32, bool)> =
            calls.iter().map(|call| (call.name.as_str(), call.number, call.changes_something())).collect();
        let expected = [("bpf", 1, false), ("bpf", 1, true), ("rename", 1, true), ("bpf", 2, true)];
        assert_eq!(found, expected);
    }
}
