//! A short soak, and that it finds bugs: the long one is `cargo xtask soak`.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::alone;
use edgeloop_tests::proof::{Build, Experiment, Finding, Testbed, soak, soak_planted};
use lb_agent::plants::Plant;

/// Its seed is its own: what it does is known.
const SEED: u64 = 1;
const SHORT: Duration = Duration::from_secs(15);
/// How long a planted bug may stay unseen. Most show within three seconds.
const AT_MOST: Duration = Duration::from_secs(60);

/// How much it is to go through in that time, on a machine that is busy with other things.
const CHANGES: u64 = 500;
const DEATHS: u64 = 3;

#[test]
#[ignore = "needs root and `cargo xtask`"]
fn killed_upgraded_and_disturbed_an_agent_fails_no_connection_and_sends_none_astray() {
    let found = run(&soak(SEED, Build::both().unwrap(), u64::MAX, SHORT)).unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    let strain = found.strain.unwrap();
    assert!(strain.changes >= CHANGES && strain.deaths >= DEATHS, "{strain:?}");
    assert!(
        strain.created > 0 && strain.deleted > 0 && strain.reused > 0 && strain.deletions > 0,
        "{strain:?}"
    );
}

/// What a planted bug is seen by.
type Symptom = fn(&Finding) -> u64;

#[test]
#[ignore = "needs root and `cargo xtask`"]
fn each_planted_bug_of_the_agent_is_caught_by_the_soak() {
    for plant in Plant::ALL {
        let symptom: Symptom = match plant {
            Plant::PublishBeforeFill => |found| found.all.refused,
            Plant::FilterAfterElement => |found| found.all.decoy,
            Plant::ReadersLast => |found| found.all.misnamed,
            Plant::IdsRestart => |found| found.strain.map_or(0, |strain| strain.ids_used_again),
            Plant::AffinityNotCarried => |found| found.all.unkept,
        };
        let found = run(&soak_planted(SEED, plant, AT_MOST).unwrap()).unwrap();
        assert!(symptom(&found) > 0, "{}", plant.name());
    }
}

fn run(experiment: &Experiment) -> Result<Finding> {
    let _alone = alone();
    let found = Testbed::new()?.run(experiment)?;
    // Past the test runner, which would keep it to itself.
    io::stderr().write_all(format!("\n{found}").as_bytes())?;
    Ok(found)
}
