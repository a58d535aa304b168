//! No connection goes astray while its Service is published, and with a safeguard taken out some do.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use edgeloop_tests::alone;
use edgeloop_tests::builds::planted_object;
use edgeloop_tests::proof::{
    CLIENTS, Experiment, Finding, Publishing, Regions, Testbed, Until, Verdicts, Way,
};
use lb_agent::datapath::Grace;
use lb_agent::datapath::programs::load::{Features, OBJECT};
use lb_agent::model::Family;

/// The issue asks for no less.
const CONNECTS: u64 = 1_000_000;
/// To the backends themselves: as many show that the harness loses none.
const DIRECT: u64 = 200_000;
const PER_SECOND: u32 = 2_000;
const AT_LEAST_PER_SECOND: f64 = 1_000.0;

/// By the agent. It is fewer on a busy machine.
const PUBLICATIONS: u64 = 2_000;

/// Exchanges over UDP beside them.
const DATAGRAMS: u64 = 100_000;
/// Half of the clients over TCP, half over UDP.
const BOTH: [Way; CLIENTS] = [Way::Probe, Way::Probe, Way::Datagrams, Way::Datagrams];

/// How long lookups as fast as they go are made: by the programs, and at most by those with a planted bug.
const STORM: Duration = Duration::from_secs(15);
/// How often that is done at most until there were enough connections.
const ROUNDS: u32 = 8;
const SHORT: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(60);
/// Looks that met an element used again under them, at least, and were made again.
const USED_AGAIN: u64 = 50;

#[test]
#[ignore = "needs root"]
fn the_backends_themselves_answer_every_connection() {
    let _alone = alone();
    let detached = Experiment {
        ways: [Way::Direct; CLIENTS],
        connects: DIRECT,
        ..plain("detached, to the backends themselves")
    };
    let found = run_alone(&detached).unwrap();

    assert_eq!((found.all.connects, found.failures()), (DIRECT, 0));
}

/// The decoy shows that it would have been noticed: it answers before the programs are attached and after.
#[test]
#[ignore = "needs root"]
fn no_connection_goes_astray_while_its_service_is_published() {
    let _alone = alone();
    let testbed = Testbed::new().unwrap();
    let detached = || run(&testbed, &Experiment { connects: 1_000, ..plain("detached, to the cluster IP") });
    assert_eq!(detached().unwrap().all.decoy, 1_000);

    let publishing = Publishing::Plan {
        object: OBJECT,
        machine: Features::THIS,
        grace: Grace::Rcu,
        per_second: Some(PER_SECOND),
        regions: Regions::All,
        family: Family::V4,
    };
    let found = run(&testbed, &Experiment { publishing, ..plain("attached") }).unwrap();

    assert_eq!((found.all.connects, found.failures(), found.all.unjudged), (CONNECTS, 0, 0));
    assert_eq!(found.all.mapped, CONNECTS / 2, "half of them by connect6");
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
    assert_eq!(found.kernel.unwrap().forwarded, CONNECTS, "each was rewritten once");
    assert_eq!(detached().unwrap().all.decoy, 1_000);
}

#[test]
#[ignore = "needs root"]
fn no_lookup_goes_astray_when_lookups_and_writes_are_as_fast_as_they_go() {
    let _alone = alone();
    // As many as that, however long this machine takes.
    let storm = storm(OBJECT, Grace::Rcu, "lookups alone");
    let storm = Experiment { connects: CONNECTS, within: AT_MOST, until: Until::End, ..storm };
    let found = run_alone(&storm).unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
    assert!(found.all.connects >= CONNECTS);
}

/// The variants for processors that reorder loads.
#[test]
#[ignore = "needs root"]
fn no_lookup_of_fenced_programs_goes_astray() {
    let _alone = alone();
    let machine = Features { loads_reorder: true, ..Features::THIS };
    let publishing = Publishing::Plan {
        object: OBJECT,
        machine,
        grace: Grace::Rcu,
        per_second: None,
        regions: Regions::All,
        family: Family::V4,
    };
    let found =
        run_alone(&Experiment { publishing, within: SHORT, ..quick("fenced, lookups alone") }).unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
}

/// Services are created and deleted, change, refuse, and hand their address on; the agent is started anew over
/// other maps again and again.
#[test]
#[ignore = "needs root"]
fn no_connection_goes_astray_with_the_agent_in_the_loop() {
    let _alone = alone();
    let (mut all, mut over_udp) = (Verdicts::default(), Verdicts::default());
    // A slow machine takes several rounds for as many.
    for _ in 0..ROUNDS {
        if all.connects < CONNECTS || all.datagrams < DATAGRAMS {
            let found = in_the_loop().unwrap();
            all.add(found.all.clone());
            found.each[2..].iter().for_each(|verdicts| over_udp.add(verdicts.clone()));
        }
    }

    assert!(all.connects >= CONNECTS && all.datagrams >= DATAGRAMS, "{all:?}");
    assert!(all.ipv6 >= all.connects / 4);
    assert!(all.returning > 0, "session affinity had something to keep");
    assert!(all.node_ports >= all.connects / 20);
    assert!(over_udp.returning > 0 && over_udp.node_ports > 0, "over UDP, too");
}

/// One round.
fn in_the_loop() -> Result<Finding> {
    let publishing = Publishing::Agent { object: OBJECT, grace: Grace::Rcu };
    let experiment = Experiment { publishing, ways: BOTH, within: STORM, ..quick("the agent's writer") };
    let found = run_alone(&experiment)?;

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    assert_eq!(found.all.ended, 0, "no thread ends sockets here");
    assert!(found.kernel.as_ref().is_some_and(|kernel| kernel.publications >= PUBLICATIONS));
    Ok(found)
}

/// A client leaves no backend that stays, and is given none that left.
#[test]
#[ignore = "needs root"]
fn affinity_by_the_slot_alone_or_to_a_backend_that_left_makes_the_proof_fail() {
    let _alone = alone();
    for (object, name, went_wrong) in [
        (
            "edgeloop-affinity-slot.o",
            "planted bug: affinity to a slot, whatever backend is there by now",
            (|all| all.unkept) as fn(&Verdicts) -> u64,
        ),
        ("edgeloop-affinity-left.o", "planted bug: affinity to a backend that left the set", |all| {
            all.outside
        }),
    ] {
        let publishing = Publishing::Agent { object: planted_object(object).unwrap(), grace: Grace::Rcu };
        let found = run_alone(&Experiment { publishing, until: Until::Astray, ..quick(name) }).unwrap();

        assert!(went_wrong(&found.all) > 0, "{name}");
        assert_eq!(found.all.failed, 0, "{name}");
    }
}

/// What a UDP socket remembers is what its replies are shown by.
#[test]
#[ignore = "needs root"]
fn a_record_of_what_was_rewritten_or_of_another_service_makes_the_proof_fail() {
    let _alone = alone();
    for (object, name) in [
        ("edgeloop-record-after-rewrite.o", "planted bug: a record written after the rewrite"),
        ("edgeloop-newest-shown.o", "planted bug: a reply shown under the wrong Service"),
    ] {
        let publishing = Publishing::Agent { object: planted_object(object).unwrap(), grace: Grace::Rcu };
        let ways = [Way::Datagrams; CLIENTS];
        let found = run_alone(&Experiment { publishing, ways, until: Until::Astray, ..quick(name) }).unwrap();

        assert!(found.all.misnamed > 0, "{name}");
        assert_eq!(found.all.failed, 0, "{name}");
    }
}

/// Programs that take a while between a Service and its region show whether the agent waits for them.
#[test]
#[ignore = "needs root"]
fn the_agent_waits_for_slow_programs_and_without_its_grace_periods_the_proof_fails() {
    let _alone = alone();
    let object = planted_object("edgeloop-slow.o").unwrap();
    let with = |grace, within, name: &str| {
        let publishing = Publishing::Agent { object, grace };
        run_alone(&Experiment { publishing, within, until: Until::AstrayOrStale, ..quick(name) }).unwrap()
    };

    let found = with(Grace::Rcu, SHORT, "slow programs");
    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    let found = with(Grace::None, AT_MOST, "planted bug: the agent waits for no grace period");
    assert_eq!((found.failures() > 0, found.all.failed), (true, 0));
}

/// A region that is used again for the same Service has its id. Without grace periods that happens to slow
/// programs, and those that look at the revision find it out.
#[test]
#[ignore = "needs root"]
fn without_the_revision_a_region_that_is_used_again_passes_for_the_old_one() {
    let _alone = alone();
    let stale = |object, name: &str| {
        let publishing = Publishing::Plan {
            object: planted_object(object).unwrap(),
            machine: Features::THIS,
            grace: Grace::None,
            per_second: None,
            regions: Regions::Own,
            family: Family::V4,
        };
        let found =
            run_alone(&Experiment { publishing, within: SHORT, until: Until::AstrayOrStale, ..quick(name) });
        found.unwrap().kernel.unwrap().stale_region_reads
    };

    assert!(stale("edgeloop-slow.o", "slow programs, no grace period") > 0);
    assert_eq!(stale("edgeloop-no-revision.o", "planted bug: no revision"), 0);
}

/// An element is used again while slow looks are in its midst: the check word shows it, in either family. The values of
/// IPv6 are more than twice as long.
#[test]
#[ignore = "needs root"]
fn elements_used_again_under_slow_looks_are_looked_at_again_and_without_the_check_word_the_proof_fails() {
    let _alone = alone();
    for family in Family::ALL {
        let storm = |object, within, name: &str| {
            let name = format!("{name}, over {}", family.label());
            let storm = storm_over(family, planted_object(object).unwrap(), Grace::Rcu, &name);
            run_alone(&Experiment { within, ..storm }).unwrap()
        };

        let found = storm("edgeloop-slow-look.o", SHORT, "slow looks");
        assert_eq!((found.failures(), found.all.unjudged), (0, 0));
        assert!(found.kernel.unwrap().lookup_retries >= USED_AGAIN);
        let found = storm("edgeloop-no-check.o", AT_MOST, "planted bug: slow looks, no check word");
        // What is torn can also be an address that cannot be dialled; without the bug none failed.
        assert!(found.all.astray() > 0);
    }
}

#[test]
#[ignore = "needs root"]
fn no_lookup_over_ipv6_goes_astray() {
    let _alone = alone();
    let storm = storm_over(Family::V6, OBJECT, Grace::Rcu, "lookups over IPv6");
    let found = run_alone(&Experiment { within: SHORT, ..storm }).unwrap();

    assert_eq!((found.failures(), found.all.unjudged), (0, 0));
    assert_eq!(found.all.ipv6, found.all.connects);
    assert!(found.publications_per_second() >= AT_LEAST_PER_SECOND);
}

#[test]
#[ignore = "needs root"]
fn without_the_epoch_the_proof_fails() {
    let _alone = alone();
    let object = planted_object("edgeloop-no-epoch.o").unwrap();
    let found = run_alone(&storm(object, Grace::Rcu, "planted bug: no epoch")).unwrap();

    assert_eq!((found.all.astray() > 0, found.all.failed), (true, 0));
}

#[test]
#[ignore = "needs root"]
fn without_the_grace_period_the_proof_fails() {
    let _alone = alone();
    let object = planted_object("edgeloop-slow.o").unwrap();
    let storm = storm(object, Grace::None, "planted bug: no grace period");
    let found = run_alone(&Experiment { until: Until::AstrayOrStale, ..storm }).unwrap();

    assert_eq!((found.failures() > 0, found.all.failed), (true, 0));
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
        publishing: Publishing::Detached,
        ways: [Way::Answer; CLIENTS],
        connects: CONNECTS,
        within: Duration::from_secs(300),
        until: Until::End,
    }
}

/// Lookups as fast as they go.
fn quick(name: &str) -> Experiment {
    Experiment { ways: [Way::Probe; CLIENTS], connects: u64::MAX, within: AT_MOST, ..plain(name) }
}

/// The same while the plan writes as fast as it can, until one goes astray.
fn storm(object: &'static [u8], grace: Grace, name: &str) -> Experiment {
    storm_over(Family::V4, object, grace, name)
}

fn storm_over(family: Family, object: &'static [u8], grace: Grace, name: &str) -> Experiment {
    let publishing = Publishing::Plan {
        object,
        machine: Features::THIS,
        grace,
        per_second: None,
        regions: Regions::All,
        family,
    };
    Experiment { publishing, until: Until::Astray, ..quick(name) }
}
