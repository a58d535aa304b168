//! What this machine can do: run our programs in its kernel, or why not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::libc;

use crate::packages::Missing;
use crate::{packages, shell, tools};

/// Whether a test or the demo can run on this kernel; the error is one sentence that says what is
/// missing and what to do.
pub(crate) fn runs_our_programs() -> Result<()> {
    if !shell::is_root() {
        bail!("only root may load programs into the kernel: run this as root");
    }
    let mounts = fs::read_to_string("/proc/self/mounts").context("could not read /proc/self/mounts")?;
    let Some(cgroups) = cgroup2(&mounts) else {
        bail!("no cgroup2 is mounted: run `mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2`");
    };
    if let Err(error) = makes_cgroup(&cgroups) {
        bail!(
            "cannot make a cgroup below {} ({error}): run this outside of the container, or in one that may",
            cgroups.display()
        );
    }
    if let Err(error) = loads_program() {
        bail!(
            "the kernel loads no cgroup/connect4 program ({error}): it needs Linux 5.10 or newer with \
             CONFIG_CGROUP_BPF, and root outside of a container that forbids bpf(2)"
        );
    }
    Ok(())
}

/// Tests of this name limit the memory of an agent.
pub(crate) const MEMORY_TESTS: &str = "out_of_memory::";

/// Whether there is a memory controller that a test can have a cgroup of, of either version.
pub(crate) fn limits_memory() -> Result<()> {
    let v1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    let mounts = fs::read_to_string("/proc/self/mounts").context("could not read /proc/self/mounts")?;
    let v2 = cgroup2(&mounts).map(|folder| folder.join("cgroup.controllers"));
    let v2 = v2.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    if v1.exists() || v2.split_whitespace().any(|controller| controller == "memory") {
        return Ok(());
    }
    bail!("this machine has no memory controller that a cgroup could be limited by")
}

/// Tests of these names dial with programs as pods have them, which are not installed for that.
pub(crate) const CLIENT_TESTS: [(&str, &[&str]); 5] = [
    ("clients::curl", &["curl"]),
    ("clients::python", &["python3"]),
    ("clients::go", &["go"]),
    // Without a compiler it runs no source.
    ("clients::java", &["java", "javac"]),
    ("clients::node", &["node"]),
];

/// Whether the programs of one of [`CLIENT_TESTS`] are here.
pub(crate) fn has_programs(names: &[&str]) -> Result<()> {
    let go = |name: &str| name == "go" && Path::new(tools::USUAL_GO).is_file();
    match names.iter().find(|name| shell::programs(name).is_empty() && !go(name)) {
        Some(name) => bail!("there is no {name} here"),
        None => Ok(()),
    }
}

/// The tools that tests on the kernel and the demo call.
pub(crate) fn install_tools() -> Result<()> {
    install(&[
        ("ip", Missing { packages: &["iproute2"], why: "to make network namespaces for simulated pods" }),
        (
            "bpftool",
            Missing { packages: &["bpftool"], why: "to show the kernel's maps as its users see them" },
        ),
        (
            "strace",
            Missing {
                packages: &["strace"],
                why: "to let the agent's system calls fail, one after the other",
            },
        ),
        (
            "nft",
            Missing { packages: &["nftables"], why: "to write rules as kube-proxy does, in a simulated pod" },
        ),
        (
            "iptables",
            Missing {
                packages: &["iptables"],
                why: "to write rules as an older kube-proxy does, in a simulated pod",
            },
        ),
        ("dnsmasq", Missing { packages: &["dnsmasq-base"], why: "to serve DNS in a simulated pod" }),
        ("dig", Missing { packages: &["bind9-dnsutils"], why: "to ask a DNS server as people do" }),
        (
            "systemd-analyze",
            Missing { packages: &["systemd"], why: "to look for faults in the unit for hosts without pods" },
        ),
    ])
}

/// What kube-proxy calls in all of its modes.
pub(crate) fn install_proxy_tools() -> Result<()> {
    install(&[
        ("nft", Missing { packages: &["nftables"], why: "to let kube-proxy write its rules" }),
        (
            "iptables",
            Missing { packages: &["iptables"], why: "to let kube-proxy write them in its other modes" },
        ),
        (
            "ipset",
            Missing { packages: &["ipset"], why: "to let kube-proxy keep sets for its virtual servers" },
        ),
    ])
}

/// What the programs of a real cluster call.
pub(crate) fn install_cluster_tools() -> Result<()> {
    install(&[
        ("nft", Missing { packages: &["nftables"], why: "to let kube-proxy write its rules" }),
        (
            "iptables",
            Missing { packages: &["iptables"], why: "to let kube-proxy write them in its other mode" },
        ),
        ("runc", Missing { packages: &["runc"], why: "to run the pods of the chart in real containers" }),
        ("containerd", Missing { packages: &["containerd"], why: "to import the image as a node does" }),
    ])
}

fn install(tools: &[(&str, Missing)]) -> Result<()> {
    let missing = tools.iter().filter(|(name, _)| shell::programs(name).is_empty());
    packages::install(&missing.map(|(_, missing)| *missing).collect::<Vec<_>>())
}

/// The first folder that cgroup2 is mounted on.
fn cgroup2(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| folder.into())
    })
}

fn makes_cgroup(cgroups: &Path) -> io::Result<()> {
    let own = cgroups.join(format!("edgeloop-probe-{}", std::process::id()));
    fs::create_dir(&own)?;
    fs::remove_dir(&own)
}

/// As much of `union bpf_attr` as `BPF_PROG_LOAD` needs here; see the kernel's `linux/bpf.h`.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// Loads a program of our kind that allows everything, and lets go of it.
fn loads_program() -> io::Result<()> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const CGROUP_SOCK_ADDR: u32 = 18;
    const INET4_CONNECT: u32 = 10;
    // r0 = 1; exit
    const ALLOW: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
    let attributes = ProgLoad {
        prog_type: CGROUP_SOCK_ADDR,
        insn_cnt: 2,
        insns: ALLOW.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: [0; 16],
        prog_ifindex: 0,
        expected_attach_type: INET4_CONNECT,
    };
    // SAFETY: the kernel reads `attributes`, the instructions and the license, which outlive the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<ProgLoad>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is the one just made, and no other code has it.
    unsafe { libc::close(fd as libc::c_int) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_where_it_is_mounted() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(cgroup2("cgroup2 /mnt ext4 rw 0 0\n"), None);
    }
}
