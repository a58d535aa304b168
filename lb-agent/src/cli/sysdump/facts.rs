//! Facts of this machine and of the programs on it: named values, never whole files.

use std::fs;
use std::path::Path;

use lb_common::hook::Hook;
use lb_common::layout::LAYOUT_VERSION;
use serde::Serialize;

use crate::datapath::cgroup::{self, Cgroup};
use crate::datapath::maps::pinned::generations;
use crate::datapath::programs::attach::attached;
use crate::datapath::programs::load::OBJECT;
use crate::datapath::{lock, probe, since_boot};

/// Of the mounts of these file systems.
const FILE_SYSTEMS: [&str; 3] = ["bpf", "cgroup", "cgroup2"];
/// No more mounts are shown.
const MOST_MOUNTS: usize = 64;
/// What they say decides what can be loaded, and how fast it runs.
const SETTINGS: [&str; 4] = [
    "kernel/unprivileged_bpf_disabled",
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/ipv4/ip_local_port_range",
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    lb_agent: Build,
    kernel: Kernel,
    cgroup: Option<Place>,
    mounts: Vec<Mount>,
    /// Generations that are pinned below the pin root.
    generations: Vec<String>,
    /// The links that are pinned there.
    links: Vec<Link>,
    /// All programs that run at the hooks of the cgroup, in order.
    programs: Vec<AtHook>,
    /// The process that holds the pin root.
    agent: Option<Process>,
    /// The process that looked.
    own: Option<Process>,
}

/// What this program was built of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Build {
    pub(super) version: &'static str,
    pub(super) layout: u32,
    object_bytes: usize,
    /// CRC-32 of the kernel object that it carries.
    object_crc32: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kernel {
    release: Option<String>,
    build: Option<String>,
    arch: &'static str,
    seconds_since_boot: u64,
    cpus: Option<usize>,
    memory: Vec<String>,
    settings: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    folder: String,
    id: u64,
    is_root: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mount {
    what: String,
    mount_point: String,
    /// The folder of the file system that is mounted there.
    root: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    hook: &'static str,
    program_id: u32,
    cgroup_id: u64,
}

#[derive(Debug, Serialize)]
struct AtHook {
    hook: &'static str,
    /// As in `edgeloop_connect4 (id 7)`.
    programs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    pid: u32,
    status: Vec<String>,
    max_locked_memory: Option<String>,
}

pub(super) fn build() -> Build {
    let mut crc = flate2::Crc::new();
    crc.update(OBJECT);
    Build {
        version: env!("CARGO_PKG_VERSION"),
        layout: LAYOUT_VERSION,
        object_bytes: OBJECT.len(),
        object_crc32: format!("{:08x}", crc.sum()),
    }
}

pub(super) fn facts(pin_root: &Path, asked: Option<&Path>) -> Facts {
    let cgroup = cgroup::find(asked).ok();
    let links = attached(pin_root, None).into_iter().map(|found| Link {
        hook: found.hook,
        program_id: found.program_id,
        cgroup_id: found.cgroup_id,
    });
    let holder = lock::holder(pin_root).and_then(|holder| u32::try_from(holder.pid?).ok());
    Facts {
        lb_agent: build(),
        kernel: kernel(),
        mounts: read("/proc/self/mountinfo").map(|text| mounts(&text)).unwrap_or_default(),
        generations: generations(pin_root).unwrap_or_default().iter().map(ToString::to_string).collect(),
        links: links.collect(),
        programs: cgroup.iter().flat_map(programs).collect(),
        agent: holder.and_then(process),
        own: process(std::process::id()),
        cgroup: cgroup.map(|cgroup| Place {
            folder: cgroup.path.display().to_string(),
            id: cgroup.id,
            is_root: cgroup.is_root(),
        }),
    }
}

fn kernel() -> Kernel {
    let memory = read("/proc/meminfo").unwrap_or_default();
    let setting = |name: &&str| Some(format!("{name} = {}", read(&format!("/proc/sys/{name}"))?));
    Kernel {
        release: read("/proc/sys/kernel/osrelease"),
        build: read("/proc/sys/kernel/version"),
        arch: std::env::consts::ARCH,
        seconds_since_boot: since_boot().as_secs(),
        cpus: std::thread::available_parallelism().ok().map(Into::into),
        memory: named(&memory, &["MemTotal:", "MemAvailable:"]),
        settings: SETTINGS.iter().filter_map(setting).collect(),
    }
}

fn programs(cgroup: &Cgroup) -> impl Iterator<Item = AtHook> {
    Hook::ALL.into_iter().map(|hook| match probe::running(cgroup, hook) {
        Ok(running) => AtHook {
            hook: hook.name(),
            programs: running.iter().map(ToString::to_string).collect(),
            error: None,
        },
        Err(error) => AtHook { hook: hook.name(), programs: Vec::new(), error: Some(error.to_string()) },
    })
}

fn process(pid: u32) -> Option<Process> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let limits = read(&format!("/proc/{pid}/limits")).unwrap_or_default();
    let fields = ["Threads:", "VmHWM:", "VmRSS:", "CapEff:", "Seccomp:", "NSpid:"];
    Some(Process {
        pid,
        status: named(&status, &fields),
        max_locked_memory: named(&limits, &["Max locked memory"]).pop(),
    })
}

/// The lines that begin so, with single blanks.
fn named(text: &str, starts: &[&str]) -> Vec<String> {
    let lines = text.lines().filter(|line| starts.iter().any(|start| line.starts_with(start)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Of a file that the kernel makes.
fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// See proc_pid_mountinfo(5): after the fourth field come others, as many as there are, to a `-`, and then the type.
fn mounts(text: &str) -> Vec<Mount> {
    let of = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let what = after.split(' ').next().filter(|what| FILE_SYSTEMS.contains(what))?;
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        Some(Mount { what: what.to_owned(), mount_point: at.to_owned(), root: root.to_owned() })
    };
    text.lines().filter_map(of).take(MOST_MOUNTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_mounts_those_of_cgroups_and_bpf_are_shown() {
        let text = "25 1 0:23 / /proc rw shared:5 - proc proc rw\n\
                    30 1 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,password=x\n\
                    31 1 0:28 /a/b /sys/fs/bpf rw - bpf none rw\nodd";
        let mount = |what: &str, mount_point: &str, root: &str| Mount {
            what: what.to_owned(),
            mount_point: mount_point.to_owned(),
            root: root.to_owned(),
        };
        assert_eq!(
            mounts(text),
            [mount("cgroup2", "/sys/fs/cgroup", "/"), mount("bpf", "/sys/fs/bpf", "/a/b")]
        );
    }

    #[test]
    fn only_what_is_named_is_taken_of_a_file() {
        let text = "Name:\tx\nVmRSS:\t   12 kB\nVmRSSx: 7\n";
        assert_eq!(named(text, &["VmRSS:"]), ["VmRSS: 12 kB"]);
    }
}
