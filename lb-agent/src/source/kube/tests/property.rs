//! Whatever a server does in whatever order, with the agent started again over what it served: nothing that is
//! there goes, and all is right soon after the server is.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::world::{STABLE, World, address};
use crate::api::ApiClient;
use crate::api::testing::server::Server;
use crate::model::{Change, Kind, Object, ObjectName, SourceReport, SourceState};
use crate::source::kube::{Follower, Timing, follow};
use crate::source::{Batch, Besides};
use crate::store::{Rules, Store};

const TIMING: Timing = Timing {
    watch: Duration::from_secs(3),
    silence: Duration::from_secs(6),
    uncertain: Duration::from_secs(2),
    doubt: Duration::from_secs(4),
    sound: Duration::from_secs(10),
};
/// How long the server is wrong, and may take to be followed when it is right again.
const WRONG: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(30);
const WORLDS: u64 = 40;

/// An agent without a kernel: what it serves stays when it is started again.
struct Agent {
    store: Store,
    batches: UnboundedReceiver<Batch>,
    _follower: Follower,
    in_sync: bool,
}

/// What is served, and since which moment of the world it is known to be so. 0 where that was before the start.
type Served = BTreeMap<String, u32>;

impl Agent {
    async fn start(server: &Server) -> Self {
        let (send, batches) = unbounded_channel();
        let client = ApiClient::new(server.config(), None).await.unwrap();
        let follower = follow(&client, TIMING, Besides::default(), move |batch| send.send(batch).is_ok());
        Self { store: Store::new("n", Rules::default()), batches, _follower: follower, in_sync: false }
    }

    /// Takes in what came, and returns what goes for that.
    fn take(&mut self, served: &mut Served) -> Vec<(String, u32)> {
        let mut gone = Vec::new();
        while let Ok(batch) = self.batches.try_recv() {
            if let SourceReport::Api(report) = &batch.report {
                self.in_sync = report.kinds.iter().all(|kind| kind.state == SourceState::InSync);
            }
            for change in batch.changes {
                if let Change::Apply(Object::Service(service)) = &change {
                    served.insert(service.name.name.to_string(), moment(&service.addresses[0].to_string()));
                }
                self.store.apply(change);
            }
            let is_gone = |name: &str| self.store.is_absent(&ObjectName::new("default", name));
            gone.extend(served.extract_if(.., |name, _| is_gone(name)));
        }
        gone
    }
}

fn moment(address: &str) -> u32 {
    let octets: Vec<u32> = address.split('.').map(|octet| octet.parse().unwrap()).collect();
    (octets[2] << 8) | octets[3]
}

/// Nothing goes that was there all the time since it was served so.
fn check(seed: u64, world: &World, gone: &[(String, u32)]) {
    for (name, since) in gone {
        let was_gone = world.gone.get(name).is_some_and(|moments| moments.iter().any(|at| at >= since));
        assert!(was_gone, "seed {seed}: {name}, served since {since}, is gone; {:?}", world.faults);
    }
}

async fn one(seed: u64) -> Duration {
    let server = Server::start().await;
    let world = Arc::new(Mutex::new(World::new(seed)));
    let responds = Arc::clone(&world);
    server.otherwise(move |path| responds.lock().unwrap().respond(path));
    let mut agent = Agent::start(&server).await;
    let mut served: Served = STABLE.iter().map(|name| ((*name).to_owned(), 0)).collect();
    served.insert("never-there".to_owned(), 0);
    world.lock().unwrap().gone.insert("never-there".to_owned(), vec![0]);

    let start = Instant::now();
    let (mut right_at, mut restarts, mut is_restored) = (None, 2, false);
    loop {
        let (wait, is_restart) = {
            let mut world = world.lock().unwrap();
            if right_at.is_none() && start.elapsed() > WRONG {
                right_at = Some(Instant::now());
                world.is_right = true;
                if world.dice.percent(40) {
                    world.restore(60);
                    is_restored = true;
                }
            }
            // Versions that have gone back must not pass the old ones before that is noticed: then they cannot be
            // told apart.
            if right_at.is_none() || (!is_restored && world.dice.percent(3)) {
                world.happen();
            }
            world.end_watches();
            if world.dice.percent(1) {
                world.cut();
            }
            let is_restart = right_at.is_none() && restarts > 0 && world.dice.percent(2);
            (world.dice.below(40) + 10, is_restart)
        };
        if is_restart {
            restarts -= 1;
            agent = Agent::start(&server).await;
            served.values_mut().for_each(|since| *since = 0);
            world.lock().unwrap().faults.push("the agent is started again");
        }
        tokio::time::sleep(Duration::from_millis(u64::from(wait))).await;
        let gone = agent.take(&mut served);
        let world = world.lock().unwrap();
        check(seed, &world, &gone);
        if let Some(right_at) = right_at {
            let expected =
                world.objects().iter().map(|(name, object)| (name.clone(), address(object.moment)));
            let found = served.iter().map(|(name, moment)| (name.clone(), address(*moment)));
            if agent.in_sync && found.eq(expected) {
                return right_at.elapsed();
            }
            let (found, right) = (&served, world.objects());
            assert!(
                right_at.elapsed() < SOON,
                "seed {seed}: serves {found:?}, right is {right:?}, in sync: {}; {:?}; {:?}",
                agent.in_sync,
                world.faults,
                server.asked(Kind::Service).iter().rev().take(12).collect::<Vec<_>>()
            );
        }
    }
}

/// `EDGELOOP_SEED` repeats one world.
#[tokio::test]
async fn nothing_that_is_there_goes_and_all_is_right_once_the_server_is() {
    let given = std::env::var("EDGELOOP_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = match given {
        Some(seed) => vec![seed],
        None => {
            let first = RandomState::new().build_hasher().finish() >> 16;
            (first..first + WORLDS).collect()
        }
    };
    println!("seeds {seeds:?}");
    let mut worlds = JoinSet::new();
    for seed in seeds {
        worlds.spawn(one(seed));
    }
    let mut took = worlds.join_all().await;
    took.sort_unstable();
    println!("right again after {took:.1?}");
}
