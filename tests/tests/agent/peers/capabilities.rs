//! What ends with which capabilities, and what is said of the rest.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::{Agent, lb_agent_says, program};
use edgeloop_tests::{Ability, Datagrams};
use lb_agent::model::{EndBy, Left, Pods};

use super::world::{GONE, World, assert_all_end, assert_all_live, follow};

/// With these capabilities, and what comes of it for the sockets of another pod.
struct Case {
    capabilities: &'static str,
    flags: &'static [&'static str],
    by: EndBy,
    pods: Pods,
    /// Of those that dialled.
    left: Left,
    namespaces_left: u64,
    says: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        capabilities: "+bpf,+net_admin",
        flags: &[],
        by: EndBy::SockDiag,
        pods: Pods::NotAllowed,
        left: NONE,
        // The pod with clients, the one that is skipped, and the backends', at least.
        namespaces_left: 3,
        says: "network namespaces that were not looked into",
    },
    Case {
        capabilities: "+bpf,+net_admin,+perfmon",
        flags: &[],
        by: EndBy::Iterator,
        pods: Pods::NotAllowed,
        left: Left { not_allowed: 3, ..NONE },
        namespaces_left: 0,
        says: "LEFT: 3 in network namespaces that the agent may not enter (CAP_SYS_ADMIN)",
    },
    Case {
        capabilities: "+bpf,+net_admin,+sys_admin",
        flags: &[],
        by: EndBy::Iterator,
        pods: Pods::Entered,
        left: NONE,
        namespaces_left: 0,
        says: "6 ended, found by an iterator",
    },
    Case {
        capabilities: "+net_admin,+sys_admin",
        flags: &["--end-udp-sockets", "sock-diag"],
        by: EndBy::SockDiag,
        pods: Pods::Entered,
        left: NONE,
        namespaces_left: 0,
        says: "6 ended, found by sock_diag",
    },
];
const NONE: Left = Left { not_allowed: 0, no_way: 0, no_time: 0, refused: 0 };

/// The agent's network is that of the first pod here: as a host's it has its sockets, and those of the second pod are a pod's.
#[test]
#[ignore = "needs root"]
fn with_fewer_capabilities_those_of_the_host_end_and_those_of_pods_are_left_and_counted() {
    let may_iterate = Ability::Iterators.is_here().unwrap();
    for case in CASES.into_iter().filter(|case| may_iterate || case.by != EndBy::Iterator) {
        let world = World::new();
        let agent = start(&world, &case);
        let (mut dialled, mut others) = (world.dialled(), world.others());
        // What it remembers is of a connection that it has no more: it is not counted.
        let mut elsewhere = Datagrams::open4(&world.clients[1]).unwrap();
        follow("elsewhere", &mut elsewhere, &["connect 10.96.0.10:53", "connect 10.244.1.4:5353", "send q"]);
        thread::sleep(Duration::from_millis(300));
        world.publish(GONE, "");
        let since = Instant::now();
        let mut of_pod = dialled.split_off(3);
        assert_all_end(&mut dialled, since);
        if case.pods == Pods::Entered {
            assert_all_end(&mut of_pod, since);
        }
        let Case { by, pods, left, namespaces_left, .. } = case;
        let ended = if pods == Pods::Entered { 6 } else { 3 };
        agent
            .wait_until("it says what became of them", |view| {
                let peers = &view.peers;
                // Those of processes of other tests may come to those that are left.
                let has_these = peers.namespaces_left >= namespaces_left
                    && (peers.namespaces_left == 0) == (namespaces_left == 0);
                (peers.by, peers.pods, peers.left) == (Some(by), pods, left)
                    && has_these
                    && peers.ended.backend == ended
            })
            .unwrap_or_else(|error| panic!("{}: {error}", case.capabilities));
        thread::sleep(Duration::from_millis(2_300));
        for sockets in [&mut dialled, &mut of_pod, &mut others, &mut vec![("elsewhere", elsewhere)]] {
            assert_all_live(sockets);
        }
        let said = lb_agent_says(
            world.node(),
            "status",
            &["--socket", &world.node().file("agent.sock").to_string_lossy()],
        );
        let said = String::from_utf8_lossy(&said.unwrap().stdout).into_owned();
        assert!(said.contains(case.says), "{}: {said}", case.capabilities);
    }
}

/// As in a container: network namespaces are seen where the runtime keeps them, and no process of others is.
fn start(world: &World, case: &Case) -> Agent {
    let kept = world.node().file("netns");
    let (one, two) = (&world.clients[0], &world.clients[1]);
    let hold = [one, two, world.skipped(), world.backends()].map(|pod| Datagrams::open4(pod).unwrap());
    let mounts: Vec<String> = hold
        .iter()
        .map(|socket| {
            let file = kept.join(socket.pid().to_string());
            format!("touch {0} && mount --bind /proc/{1}/ns/net {0}", file.display(), socket.pid())
        })
        .collect();
    let script = format!(
        "mkdir {} && {} && exec setpriv --bounding-set=-all,{} --inh-caps=-all --no-new-privs {} \"$@\"",
        kept.display(),
        mounts.join(" && "),
        case.capabilities,
        program().unwrap().display()
    );
    let mut command: Command = one.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &script, "sh"]);
    let kept = kept.to_string_lossy();
    let flags = [&["--network-namespaces", &kept], case.flags].concat();
    let agent = Agent::spawn_as(world.node(), &mut command, &flags).unwrap();
    agent.wait_until("the agent is ready", |view| view.ready).unwrap();
    agent
        .wait_until("a pod is skipped", |view| view.skipped_pods.iter().any(|pod| pod.cgroup.is_some()))
        .unwrap();
    agent
}
