//! A short soak: the long one is `cargo xtask soak`.

use std::io::{self, Write};
use std::time::Duration;

use edgeloop_tests::alone;
use edgeloop_tests::proof::{Build, Testbed, soak};

/// Its seed is its own: what it does is known.
const SEED: u64 = 1;
const SHORT: Duration = Duration::from_secs(15);

/// How much it is to go through in that time, on a machine that is busy with other things.
const CHANGES: u64 = 500;
const DEATHS: u64 = 3;

#[test]
#[ignore = "needs root and `cargo xtask`"]
fn killed_upgraded_and_disturbed_an_agent_fails_no_connection_and_sends_none_astray() {
    let _alone = alone();
    let found = Testbed::new().unwrap().run(&soak(SEED, Build::both().unwrap(), u64::MAX, SHORT)).unwrap();
    // Past the test runner, which would keep it to itself.
    io::stderr().write_all(format!("\n{found}").as_bytes()).unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    let strain = found.strain.unwrap();
    assert!(strain.changes >= CHANGES && strain.deaths >= DEATHS, "{strain:?}");
    assert!(
        strain.created > 0 && strain.deleted > 0 && strain.reused > 0 && strain.deletions > 0,
        "{strain:?}"
    );
}
