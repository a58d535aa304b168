//! What a machine is to do: test binaries with their arguments, and the programs that these call.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::guest::{CHECKOUT, Guest, quoted};
use super::kernels::Booted;
use crate::test::Binary;
use crate::{shell, tools};

/// One run of the binary of a tier.
pub(crate) struct Job {
    /// In which boot of the machine, from 1 on.
    pub(crate) boot: u32,
    pub(crate) tier: &'static str,
    pub(crate) arguments: Vec<String>,
}

impl Job {
    pub(crate) fn needs_cluster(&self) -> bool {
        self.tier == "cluster"
    }
}

/// Programs of ours that tests start.
const OURS: [&str; 2] = ["edgeloop-pod", "lb-agent"];
/// Those of this machine that tests need, and those that single tests need.
const NEEDED: [&str; 3] = ["bash", "bpftool", "ip"];
const OTHERS: [&str; 5] = ["dig", "dnsmasq", "nft", "setpriv", "strace"];
/// A control plane and kube-proxy, and what that calls.
const CLUSTER: [&str; 3] = ["etcd", "kube-apiserver", "kube-proxy"];
const CALLED: [&str; 8] = [
    "ipset",
    "iptables",
    "iptables-restore",
    "iptables-save",
    "ip6tables",
    "ip6tables-restore",
    "ip6tables-save",
    "nft",
];
/// Parts that `iptables` looks up when it is called.
const PARTS: &str = "/usr/lib/x86_64-linux-gnu/xtables";
/// By which `ipset` knows TCP from UDP.
const PROTOCOLS: &str = "/etc/protocols";
/// In the guest.
const CLUSTER_TOOLS: &str = "/cluster";

/// Set to anything, the test of the verifier's costs writes its record, and prints it.
const RECORD: &str = "EDGELOOP_RECORD_VERIFIER";
/// What tests read of the checkout: folders, and which of their files.
const FILES: [(&str, &str); 3] = [("lb-ebpf/target", "o"), ("docs/verifier", "md"), ("deploy", "yaml")];

/// Gives the guest all of it, and the script that runs it.
pub(crate) fn fill(guest: &mut Guest, booted: &Booted, binaries: &[Binary], jobs: &[Job]) -> Result<()> {
    for Job { tier, .. } in jobs {
        let binary = binaries.iter().find(|binary| binary.name == *tier);
        let binary = binary.with_context(|| format!("there are no tests of the tier {tier}"))?;
        guest.program(&binary.program, &format!("target/debug/deps/{tier}"))?;
    }
    for name in OURS {
        guest.program(&shell::built("debug")?.join(name), &format!("target/debug/{name}"))?;
    }
    for name in NEEDED {
        let found = shell::programs(name);
        guest.tool(name, found.first().with_context(|| format!("the program {name} is missing here"))?)?;
    }
    for name in OTHERS {
        if let Some(found) = shell::programs(name).first() {
            guest.tool(name, found)?;
        }
    }
    if jobs.iter().any(Job::needs_cluster) {
        guest.netfilter(booted);
        let tools = tools::get()?;
        for name in CLUSTER {
            guest.file(&Path::new(CLUSTER_TOOLS).join(name), &tools.join(name))?;
        }
        for name in CALLED {
            let found = shell::programs(name);
            guest
                .tool(name, found.first().with_context(|| format!("the program {name} is missing here"))?)?;
        }
        guest.folder(Path::new(PARTS))?;
        guest.file(Path::new(PROTOCOLS), Path::new(PROTOCOLS))?;
    }
    for (folder, kind) in FILES {
        let folder = shell::root().join(folder);
        let read = || format!("could not read {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(read)? {
            let file = entry.with_context(read)?.path();
            if file.extension().is_some_and(|extension| extension == kind) {
                guest.ours(&file);
            }
        }
    }
    for boot in boots(jobs) {
        guest.script(boot, script(jobs.iter().filter(|job| job.boot == boot))?);
    }
    Ok(())
}

/// The boots that there are jobs for, in order.
pub(crate) fn boots(jobs: &[Job]) -> BTreeSet<u32> {
    jobs.iter().map(|job| job.boot).collect()
}

/// Runs one after the other, also after one failed, as a failed one is named by what it writes.
fn script<'a>(jobs: impl Iterator<Item = &'a Job>) -> Result<String> {
    let mut script =
        format!("cd {CHECKOUT}/tests\nexport CARGO_MANIFEST_DIR={CHECKOUT}/tests EDGELOOP_BUILT=1\ncode=0\n");
    writeln!(script, "export {}={CLUSTER_TOOLS}", tools::VARIABLE)?;
    if env::var_os(RECORD).is_some() {
        writeln!(script, "export {RECORD}=1")?;
    }
    for Job { boot: _, tier, arguments } in jobs {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        writeln!(
            script,
            "{CHECKOUT}/target/debug/deps/{tier} --ignored --test-threads 2 --color never {} || code=$?",
            words.join(" ")
        )?;
    }
    script += "exit $code\n";
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_arrive_as_they_are_whatever_the_shell_makes_of_them() {
        let job = |arguments: &[&str]| Job {
            boot: 1,
            tier: "kernel",
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let script = script([job(&["a b", "it's", "$HOME"])].iter()).unwrap();
        assert!(script.contains(r"--color never 'a b' 'it'\''s' '$HOME' || code=$?"), "{script}");
    }
}
