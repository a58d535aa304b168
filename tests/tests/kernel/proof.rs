//! No connection goes astray while its Service is published, and with a safeguard taken out some do.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use edgeloop_tests::alone;
use edgeloop_tests::checkout;
use edgeloop_tests::proof::{Experiment, Finding, Testbed, Way};
use lb_agent::datapath::Grace;
use lb_agent::datapath::programs::load::OBJECT;

/// The issue asks for no less.
const CONNECTS: u64 = 1_000_000;
const PER_SECOND: u32 = 2_000;
const AT_LEAST_PER_SECOND: f64 = 1_000.0;

/// How long lookups as fast as they go are made: by the programs, and at most by those with a planted bug.
const STORM: Duration = Duration::from_secs(15);
const AT_MOST: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs root"]
fn the_backends_themselves_answer_every_connection() {
    let _alone = alone();
    let found =
        run_alone(&Experiment { way: Way::Direct, ..plain("detached, to the backends themselves") }).unwrap();

    assert_eq!((found.all.connects, found.failures()), (CONNECTS, 0));
}

/// The decoy shows that it would have been noticed: it answers before the programs are attached and after.
#[test]
#[ignore = "needs root"]
fn no_connection_goes_astray_while_its_service_is_published() {
    let _alone = alone();
    let testbed = Testbed::new().unwrap();
    let detached = || run(&testbed, &Experiment { connects: 1_000, ..plain("detached, to the cluster IP") });
    assert_eq!(detached().unwrap().all.decoy, 1_000);

    let attached = Experiment { per_second: Some(PER_SECOND), ..with(OBJECT.to_vec(), "attached") };
    let found = run(&testbed, &attached).unwrap();

    assert_eq!((found.all.connects, found.failures(), found.all.unjudged), (CONNECTS, 0, 0));
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
    assert_eq!(found.kernel.unwrap().forwarded, CONNECTS, "each was rewritten once");
    assert_eq!(detached().unwrap().all.decoy, 1_000);
}

#[test]
#[ignore = "needs root"]
fn no_lookup_goes_astray_when_lookups_and_writes_are_as_fast_as_they_go() {
    let _alone = alone();
    let found = run_alone(&Experiment {
        within: STORM,
        only_one: false,
        ..storm(OBJECT.to_vec(), "attached, lookups alone")
    })
    .unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
    assert!(found.all.connects >= CONNECTS);
}

#[test]
#[ignore = "needs root"]
fn without_the_check_word_the_proof_fails() {
    let _alone = alone();
    let found =
        run_alone(&storm(planted("edgeloop-no-check.o").unwrap(), "planted bug: no check word")).unwrap();

    assert!(found.all.astray() > 0);
}

#[test]
#[ignore = "needs root"]
fn without_the_epoch_the_proof_fails() {
    let _alone = alone();
    let found = run_alone(&storm(planted("edgeloop-no-epoch.o").unwrap(), "planted bug: no epoch")).unwrap();

    assert!(found.all.astray() > 0);
}

#[test]
#[ignore = "needs root"]
fn without_the_grace_period_the_proof_fails() {
    let _alone = alone();
    let found = run_alone(&Experiment {
        grace: Grace::None,
        ..storm(OBJECT.to_vec(), "planted bug: no grace period")
    })
    .unwrap();

    assert!(found.failures() > 0);
}

fn run_alone(experiment: &Experiment) -> Result<Finding> {
    run(&Testbed::new()?, experiment)
}

/// Runs and shows what was found, also when all is well: a proof shows that it could fail.
fn run(testbed: &Testbed, experiment: &Experiment) -> Result<Finding> {
    let found = testbed.run(experiment)?;
    // Past the test runner, which would keep it to itself.
    io::stderr().write_all(format!("\n{found}").as_bytes())?;
    Ok(found)
}

fn plain(name: &str) -> Experiment {
    Experiment {
        name: name.to_owned(),
        object: None,
        grace: Grace::Rcu,
        per_second: None,
        way: Way::Answer,
        connects: CONNECTS,
        within: Duration::from_secs(300),
        only_one: false,
    }
}

fn with(object: Vec<u8>, name: &str) -> Experiment {
    Experiment { object: Some(object), ..plain(name) }
}

fn storm(object: Vec<u8>, name: &str) -> Experiment {
    Experiment { way: Way::Probe, connects: u64::MAX, within: AT_MOST, only_one: true, ..with(object, name) }
}

fn planted(object: &str) -> Result<Vec<u8>> {
    let path = checkout::folder()?.join("lb-ebpf/target").join(object);
    fs::read(&path)
        .with_context(|| format!("no {}: run `cargo xtask build-ebpf --planted` first", path.display()))
}
