//! What other processes do to the links of a running agent, and what they left for its start and its end.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use edgeloop_tests::agent::{Agent, in_kernel, lb_agent_says, wait_for};
use edgeloop_tests::{Answer, Node, Pair, bpf, programs};
use lb_common::hook::Hook;
use lb_common::layout::LAYOUT_VERSION;
use nix::sys::signal::Signal;

/// As another process does.
type Tamper = fn(Hook, &Pair);

/// Nothing is lost while a pin is away, and a second at most while a program is.
/// `BPF_CGROUP_INET4_GETSOCKNAME` of the kernel's `linux/bpf.h`, where no version has a program.
const GETSOCKNAME4: u32 = 31;

#[test]
#[ignore = "needs root"]
fn what_another_process_does_to_a_link_is_repaired_within_a_second_at_every_hook() {
    let tampers: [(&str, Tamper); 5] = [
        ("another program is put behind the link", |hook, pair| {
            programs::replace(&pin(pair, hook.name()), hook.attach_type()).unwrap();
        }),
        ("the link is detached", |hook, pair| programs::detach(&pin(pair, hook.name())).unwrap()),
        ("the pin is removed", |hook, pair| fs::remove_file(pin(pair, hook.name())).unwrap()),
        ("another link is pinned in its place", |hook, pair| {
            fs::remove_file(pin(pair, hook.name())).unwrap();
            let node = pair.client.node();
            programs::attach(node.cgroup(), hook.attach_type(), &pin(pair, hook.name())).unwrap();
        }),
        ("a link of another cgroup is pinned in its place", |hook, pair| {
            let elsewhere = pair.site.node(&format!("beside-{}", hook.name())).unwrap();
            fs::remove_file(pin(pair, hook.name())).unwrap();
            programs::attach(elsewhere.cgroup(), hook.attach_type(), &pin(pair, hook.name())).unwrap();
        }),
    ];
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    for (shows, tamper) in tampers {
        for hook in Hook::ALL {
            let before = attached(pair.client.node());
            let logged = agent.log().len();
            tamper(hook, &pair);

            wait_for(&format!("{shows}, at {}", hook.name()), || Ok(attached(pair.client.node()) == before))
                .unwrap();
            let log = agent.log().split_off(logged);
            assert!(log.contains(hook.name()) && log.contains("WARN"), "{shows}: {log}");
            assert!(pair.is_served().unwrap(), "{shows}, at {}", hook.name());
        }
    }
    assert!(agent.view().unwrap().ready);
}

/// While a folder of pins stays the same the agent does not look at each of them.
#[test]
#[ignore = "needs root"]
fn a_pin_that_goes_after_a_quiet_time_is_noticed_too() {
    let pair = Pair::new().unwrap();
    let _agent = pair.agent(&[]).unwrap();
    let node = pair.client.node();
    let before = attached(node);
    let [link, other, map] =
        ["connect4", "other", &format!("v{LAYOUT_VERSION}/services4")].map(|name| pin(&pair, name));
    let quiet = || std::thread::sleep(Duration::from_millis(3500));

    quiet();
    fs::remove_file(&link).unwrap();
    wait_for("the link's pin is back", || Ok(attached(node) == before)).unwrap();
    quiet();
    programs::attach(node.cgroup(), Hook::Connect4.attach_type(), &other).unwrap();
    quiet();
    fs::rename(&other, &link).unwrap();
    wait_for("its own link is pinned again", || Ok(attached(node) == before)).unwrap();
    quiet();
    fs::remove_file(&map).unwrap();
    wait_for("the map's pin is back", || Ok(map.exists())).unwrap();
    quiet();
    fs::remove_dir_all(map.parent().unwrap()).unwrap();
    wait_for("the folder is back", || Ok(map.exists())).unwrap();
    assert!(pair.is_served().unwrap());
}

#[test]
#[ignore = "needs root"]
fn no_connection_is_lost_while_pins_are_away() {
    let pair = Pair::new().unwrap();
    let _agent = pair.agent(&[]).unwrap();
    let load = pair.load().unwrap();

    for hook in Hook::ALL {
        fs::remove_file(pin(&pair, hook.name())).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    for hook in Hook::ALL {
        wait_for("the pin is back", || Ok(pin(&pair, hook.name()).exists())).unwrap();
    }

    assert_eq!(load.stop().unwrap().failed, []);
}

/// The agent says so, goes on with its maps, and attaches when there is a cgroup again.
#[test]
#[ignore = "needs root"]
fn a_cgroup_that_is_taken_away_and_comes_back_is_attached_again() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let cgroup = pair.site.cgroup().join("taken");
    fs::create_dir(&cgroup).unwrap();
    let agent = Agent::start(node, &["--cgroup", &cgroup.display().to_string()]).unwrap();

    fs::remove_dir(&cgroup).unwrap();
    agent.wait_until("it is not ready", |view| !view.ready && !view.is_attached()).unwrap();
    pair.folder.put("new.yaml", "service new 10.96.0.13:80\nslice new-1 of new 9376 10.244.1.3").unwrap();
    wait_for("maps are written", || Ok(pair.holds("10.96.0.13:80")? == "10.244.1.3:9376")).unwrap();
    let said = agent.log().matches("could not repair").count();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(agent.log().matches("could not repair").count(), said, "once: {}", agent.log());

    fs::create_dir(&cgroup).unwrap();
    agent.wait_until("it is ready again", |view| view.ready).unwrap();
    let hooks = in_kernel(node).unwrap().hooks;
    assert_eq!(hooks.len(), Hook::ALL.len());
    assert!(hooks.iter().all(|hook| hook.cgroup_id != 0), "{hooks:?}");
    drop(agent);
    fs::remove_dir(&cgroup).unwrap();
}

/// Its maps would be written by no agent: datagrams would go where Services were.
#[test]
#[ignore = "needs root"]
fn a_start_removes_the_links_of_hooks_that_only_another_version_uses() {
    let pair = Pair::new().unwrap();
    let others = links_of_a_newer_version(&pair);

    let agent = pair.agent(&[]).unwrap();

    for name in others {
        assert!(!pin(&pair, name).exists(), "{name}: {}", agent.log());
    }
    assert!(pair.is_served().unwrap());
}

#[test]
#[ignore = "needs root"]
fn cleanup_removes_links_whatever_their_names_are() {
    let pair = Pair::new().unwrap();
    pair.agent(&[]).unwrap().end_by(Signal::SIGTERM).unwrap();
    links_of_a_newer_version(&pair);
    let node = pair.client.node();
    let kept = node.pin_root().with_file_name("kept");
    let hooks: Vec<String> = Hook::ALL.iter().map(|hook| hook.name().to_owned()).collect();
    for name in &hooks {
        if pin(&pair, name).exists() {
            bpf::keep(&pin(&pair, name), &kept.with_file_name(format!("kept-{name}"))).unwrap();
        }
    }

    let output = lb_agent_says(node, "cleanup", &[]).unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!node.pin_root().exists());
    // What another process keeps is off its hook all the same.
    for attach_type in Hook::ALL.map(Hook::attach_type).into_iter().chain([GETSOCKNAME4]) {
        let running = programs::running(node.cgroup(), attach_type).unwrap();
        assert_eq!(running, Vec::<u32>::new(), "at {attach_type}");
    }
    let untouched = |answer: &Answer| answer.failed_with("ENETUNREACH");
    assert!(untouched(&pair.dial(Pair::SERVICE).unwrap()));
}

/// The pins of links that this version has no use for, with what they could be called.
fn links_of_a_newer_version(pair: &Pair) -> [&'static str; 3] {
    let node = pair.client.node();
    fs::create_dir_all(node.pin_root()).unwrap();
    programs::attach(node.cgroup(), GETSOCKNAME4, &pin(pair, "getsockname4")).unwrap();
    programs::attach(node.cgroup(), GETSOCKNAME4, &pin(pair, "a-name-to-come")).unwrap();
    // A hook that this version uses, under another name.
    programs::attach(node.cgroup(), Hook::Connect4.attach_type(), &pin(pair, "connect4-new")).unwrap();
    ["getsockname4", "a-name-to-come", "connect4-new"]
}

/// What is attached, by hook, with the program and whether its pin is there.
fn attached(node: &Node) -> Vec<(String, u32)> {
    let hooks = in_kernel(node).unwrap().hooks.into_iter();
    hooks.filter(|hook| hook.cgroup_id != 0).map(|hook| (hook.hook, hook.program_id)).collect()
}

fn pin(pair: &Pair, name: &str) -> PathBuf {
    pair.client.node().pin_root().join(name)
}
