//! Others on this machine who decide where connections to Services go.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lb_common::hook::Hook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::datapath::cgroup;
use crate::datapath::probe::{Running, can_be_first, running};
use crate::datapath::programs::attach::attached;
use crate::model::Mode;

use super::finding::Finding;

/// Where kube-proxy says its mode, by default.
const PROXY_MODE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10_249);
/// For all of it: whatever listens there may go on for ever.
const PATIENCE: Duration = Duration::from_millis(300);
/// Bytes of an answer.
const MOST: u64 = 4096;

/// Names of programs that translate connections to Services themselves, by the start of their names.
const BALANCERS: [(&str, &str); 3] = [
    ("cil_sock", "Cilium's socket load balancer"),
    ("calico_connect", "Calico's connect-time load balancer"),
    ("sock4_connect", "an older Cilium's socket load balancer"),
];

/// What else runs at the hooks that we use.
pub(super) fn at_hooks(asked: Option<&Path>, pin_root: &Path) -> Vec<Finding> {
    let Ok(cgroup) = cgroup::find(asked) else { return Vec::new() };
    let ours: Vec<u32> =
        attached(pin_root, Some(&cgroup)).into_iter().map(|found| found.program_id).collect();
    let hooks = Hook::ALL.into_iter().filter_map(|hook| Some((hook, running(&cgroup, hook).ok()?)));
    let order = can_be_first().ok().map(order);
    order.into_iter().chain(hooks.map(|(hook, running)| of_hook(hook, &running, &ours))).collect()
}

fn order(can_be_first: bool) -> Finding {
    let found = if can_be_first {
        "the agent's come first (BPF_F_BEFORE)"
    } else {
        "this kernel cannot put a program first: where there are others, those attached earlier decide first"
    };
    Finding::ok("order of programs", found)
}

fn of_hook(hook: Hook, running: &[Running], ours: &[u32]) -> Finding {
    let what = format!("other programs at {}", hook.name());
    let place = running.iter().position(|program| ours.contains(&program.id));
    let before = &running[..place.unwrap_or(running.len())];
    let all: Vec<String> =
        running.iter().filter(|program| !ours.contains(&program.id)).map(ToString::to_string).collect();
    if all.is_empty() {
        return Finding::ok(what, "none");
    }
    let balancer = before.iter().filter_map(|program| program.name.as_deref()).find_map(balancer);
    match (before, balancer) {
        (_, Some(balancer)) => Finding::degraded(
            &what,
            format!("{}: {balancer} runs before ours", all.join(", ")),
            "it decides first: connections to Services do not reach Edgeloop, and no pool is kept",
            "switch it off, in Cilium by kubeProxyReplacement=false or socketLB.enabled=false",
        ),
        ([], None) => Finding::ok(what, format!("{}, after ours", all.join(", "))),
        (_, None) => Finding::degraded(
            &what,
            format!("{}, before ours", all.join(", ")),
            "one that rewrites destinations hides cluster IPs from Edgeloop",
            "find out what they do, by `bpftool prog show`; restart the agent, which goes first where the kernel can; else start it before them",
        ),
    }
}

fn balancer(name: &str) -> Option<&'static str> {
    BALANCERS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, what)| *what)
}

/// Whether a process of this name runs that is seen from here. `None` where processes are not shown.
fn process(name: &str) -> Option<bool> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut names =
        entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok()).peekable();
    names.peek()?;
    Some(names.any(|comm| comm.trim() == name))
}

/// Whether kube-proxy runs here, and how.
pub(super) async fn kube_proxy(ours: Mode) -> Finding {
    let mode = timeout(PATIENCE, proxy_mode()).await.ok().flatten();
    let runs = process("kube-proxy");
    match ours {
        Mode::Beside => of_kube_proxy(runs, mode.as_deref()),
        Mode::Replace => of_no_kube_proxy(mode.is_some() || runs == Some(true)),
    }
}

/// With `--mode replace`.
fn of_no_kube_proxy(runs: bool) -> Finding {
    let what = "kube-proxy";
    if !runs {
        return Finding::ok(
            what,
            "is not seen from here, as --mode replace has it: what this node's own sockets dial is served, and nothing that \
             comes from elsewhere",
        );
    }
    Finding::degraded(
        what,
        "runs, although --mode replace is for nodes without it",
        "ports that no Service has are refused at cluster IPs although kube-proxy may know of them",
        "start the agent with --mode beside, or stop kube-proxy",
    )
}

/// What it says at its metrics port.
async fn proxy_mode() -> Option<String> {
    let mut stream = TcpStream::connect(PROXY_MODE).await.ok()?;
    stream.write_all(b"GET /proxyMode HTTP/1.0\r\nHost: localhost\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await.ok()?;
    mode_of(&String::from_utf8_lossy(&answer)).map(str::to_owned)
}

fn mode_of(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_ok = head.split_ascii_whitespace().nth(1) == Some("200");
    let mode = body.trim();
    let known = ["iptables", "ipvs", "nftables", "userspace", "kernelspace"];
    (is_ok && known.contains(&mode)).then_some(mode)
}

fn of_kube_proxy(runs: Option<bool>, mode: Option<&str>) -> Finding {
    let what = "kube-proxy";
    match (runs, mode) {
        (_, Some(mode)) => Finding::ok(what, format!("runs, in mode {mode}")),
        (Some(true), None) => Finding::ok(what, "runs; it does not say its mode at 127.0.0.1:10249"),
        (Some(false) | None, None) => Finding::degraded(
            what,
            "is not seen from here",
            "what Edgeloop leaves to kube-proxy (SCTP, Services that it leaves alone, pods of virtual machines) has no way to its \
             Service; in a pod without hostPID it is not seen while it does not say its mode",
            "run kube-proxy on this node",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    fn program(id: u32, name: Option<&str>) -> Running {
        Running { id, name: name.map(str::to_owned) }
    }

    #[test]
    fn who_runs_before_ours_counts() {
        let ours = [7];
        for (shows, running, state, part) in [
            ("alone", vec![program(7, Some("lb_connect4"))], State::Ok, "none"),
            ("before we are there", vec![], State::Ok, "none"),
            ("after", vec![program(7, None), program(9, Some("audit"))], State::Ok, "after ours"),
            ("before", vec![program(9, None), program(7, None)], State::Degraded, "id 9, before"),
            ("there first", vec![program(9, Some("audit"))], State::Degraded, "before ours"),
            (
                "a balancer",
                vec![program(9, Some("cil_sock4_conne")), program(7, None)],
                State::Degraded,
                "Cilium's",
            ),
        ] {
            let found = of_hook(Hook::Connect4, &running, &ours);
            assert_eq!(found.state, state, "{shows}: {found:?}");
            assert!(found.found.contains(part), "{shows}: {found:?}");
        }
    }

    #[test]
    fn kube_proxy_says_its_mode() {
        assert_eq!(mode_of("HTTP/1.0 200 OK\r\nA: b\r\n\r\nnftables"), Some("nftables"));
        for other in
            ["HTTP/1.0 404 Not Found\r\n\r\niptables", "HTTP/1.0 200 OK\r\n\r\n<html>", "SSH-2.0\r\n"]
        {
            assert_eq!(mode_of(other), None, "{other}");
        }
        assert_eq!(of_kube_proxy(Some(true), None).state, State::Ok);
        assert_eq!(of_kube_proxy(Some(false), None).state, State::Degraded);
        assert_eq!(of_kube_proxy(None, Some("ipvs")).state, State::Ok);
        for (runs, state) in [(false, State::Ok), (true, State::Degraded)] {
            assert_eq!(of_no_kube_proxy(runs).state, state, "in its place");
        }
    }
}
