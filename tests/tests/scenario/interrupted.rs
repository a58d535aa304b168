//! The agent is killed after any write: the next one reaches the same state, and nothing ever dangles.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use edgeloop_tests::simulation::{Cluster, SimulatedAgent, State, state};
use lb_agent::datapath::Grace;
use lb_agent::plan::Maps;
use lb_agent::plan::fake::Fake;
use lb_agent::plan::{Capacity, Mirror};
use proptest::prelude::*;

/// With room for everything, however it is cut up.
const AMPLE: Capacity = Capacity::of(32, 256);

/// One Service and its slice: which of four addresses, how many backends from where, which topology, since when.
type Drawn = (Option<u8>, u8, u8, Option<usize>, Option<u8>);

const TOPOLOGIES: [&str; 4] = [
    "kubernetes.io/hostname",
    "openyurt.io/nodepool",
    "kubernetes.io/hostname, openyurt.io/nodepool, *",
    "*",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every point at which it can be killed is tried.
    #[test]
    fn a_killed_agent_is_continued_by_the_next(first in drawn(), then in drawn()) {
        let (first, then) = (cluster(&first), cluster(&then));
        let (expected, writes) = walked(&first, &then, AMPLE);
        for kill_after in 0..writes {
            let (mut agent, before) = settled(&first, AMPLE);
            agent.kernel.maps.walk(before.clone(), expected.clone());
            agent.kernel.maps.die_after(kill_after);
            agent.see(&then);
            agent.pass(Grace::None).unwrap();
            prop_assert_eq!(&agent.kernel.maps.wrong, &Vec::<String>::new(), "killed after {}", kill_after);

            let mut next = agent.restarted().unwrap();
            next.kernel.maps.walk(before, expected.clone());
            next.see(&then);
            let now = next.settle(Grace::None).unwrap();
            prop_assert_eq!(&next.kernel.maps.wrong, &Vec::<String>::new(), "after {} and again", kill_after);
            prop_assert_eq!(&now, &expected, "killed after {}", kill_after);
        }
    }

    /// Which Services get the room depends on what was there, but what is there is always whole.
    #[test]
    fn nothing_dangles_however_small_the_maps(
        first in drawn(), then in drawn(), frontends in 1_u32..6, backends in 1_u32..24, kill_after in 0_u64..30,
    ) {
        let capacity = Capacity::of(frontends, backends);
        let (first, then) = (cluster(&first), cluster(&then));
        let (mut agent, _) = settled(&first, capacity);
        agent.kernel.maps.die_after(kill_after);
        agent.see(&then);
        agent.pass(Grace::None).unwrap();
        prop_assert_eq!(&agent.kernel.maps.wrong, &Vec::<String>::new());
        prop_assert!(state(&agent.kernel.maps.dump().unwrap()).is_ok());

        let mut next = agent.restarted().unwrap();
        next.see(&then);
        let now = next.settle(Grace::None).unwrap();
        prop_assert_eq!(&next.kernel.maps.wrong, &Vec::<String>::new());
        prop_assert!(now.len() <= frontends as usize);
    }

    /// A restart in good order writes nothing.
    #[test]
    fn a_restart_without_a_change_writes_nothing(drawn in drawn()) {
        let cluster = cluster(&drawn);
        let (agent, before) = settled(&cluster, AMPLE);

        let mut next = agent.restarted().unwrap();
        next.see(&cluster);
        let now = next.settle(Grace::None).unwrap();

        prop_assert_eq!(now, before);
        prop_assert_eq!(next.kernel.maps.writes, (0, 0));
    }
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let service = (
        prop::option::weighted(0.8, 0_u8..4),
        0_u8..20,
        1_u8..12,
        prop::option::of(0..TOPOLOGIES.len()),
        prop::option::of(0_u8..3),
    );
    prop::collection::vec(service, 5)
}

/// Five Services, some of which exist, over three nodes in two pools.
fn cluster(drawn: &[Drawn]) -> Cluster {
    let mut cluster = Cluster::default();
    for node in ["node n1 pool=p1", "node n2 pool=p1", "node n3 pool=p3"] {
        cluster.take(node).unwrap();
    }
    for (number, (address, count, from, topology, created)) in drawn.iter().enumerate() {
        let Some(address) = address else { continue };
        let created = created.map_or(String::new(), |years| format!(" created=202{years}"));
        let topology = topology.map_or(String::new(), |keys| format!(" topology={}", TOPOLOGIES[keys]));
        cluster.take(&format!("service s{number} 10.96.0.{address}:80{created}{topology}")).unwrap();
        let backends = (*from..from + count).map(|last| format!("10.244.0.{last}@n{}", last % 3 + 1));
        let backends = backends.collect::<Vec<_>>().join(" ");
        cluster.take(&format!("slice s{number}-1 of s{number} 9376 {backends}")).unwrap();
    }
    cluster
}

/// An agent that has brought everything in order, and what it brought.
fn settled(cluster: &Cluster, capacity: Capacity) -> (SimulatedAgent<Fake>, State) {
    let mut agent = SimulatedAgent::new("n1", Fake::new(capacity), Mirror::new(capacity, 1));
    agent.see(cluster);
    let state = agent.settle(Grace::None).unwrap();
    assert_eq!(agent.kernel.maps.wrong, Vec::<String>::new());
    (agent, state)
}

/// Where it gets to when it is not killed, and with how many writes.
fn walked(first: &Cluster, then: &Cluster, capacity: Capacity) -> (State, u64) {
    let (_, expected) = settled(then, capacity);
    let (mut agent, before) = settled(first, capacity);
    agent.kernel.maps.walk(before, expected.clone());
    agent.see(then);
    assert_eq!(agent.settle(Grace::None).unwrap(), expected);
    assert_eq!(agent.repaired, 0, "an audit found damage that was never done");
    assert_eq!(agent.kernel.maps.wrong, Vec::<String>::new());
    (expected, agent.kernel.maps.writes.1)
}
