//! What each side makes of the same changes.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::tally;

use super::ground::{FAR, Ground, LEAVES, OURS, POOL_LABEL, THEIRS, pods_on, slice};
use super::report::{Row, not_within, seconds};
use super::sides::{Decisions, Set, Side};

/// How many Services change at once.
const MANY: usize = 500;

/// Threads that change them.
const WRITERS: usize = 8;

/// Ours has this long for anything, and for what it promises.
const OURS_WITHIN: Duration = Duration::from_secs(10);
const PROMISED: Duration = Duration::from_secs(1);

const DIALS: usize = 100;

const KEY: &str = "openyurt.io/topologyKeys";
const POOL: &str = "openyurt.io/nodepool";
const LIST: &str = "kubernetes.io/hostname, openyurt.io/nodepool, *";

const MOVES: (&str, &str) = ("moves", "10.96.0.21:80");
const TWICE: (&str, &str) = ("twice", "10.96.0.22:80");
const NOWHERE: (&str, &str) = ("nowhere", "10.96.0.23:80");
const ORDERED: (&str, &str) = ("ordered", "10.96.0.24:80");
const NAMELESS: (&str, &str) = ("nameless", "10.96.0.25:80");

/// Lines that make Services, one for each trial, and lines that make their slices.
pub(super) fn manifests() -> Result<(String, String)> {
    let (mut services, mut slices) = (String::new(), String::new());
    for ((name, at), topology, nodes) in [
        (MOVES, POOL, &[THEIRS, OURS, LEAVES, FAR][..]),
        (TWICE, "", &[THEIRS, OURS, FAR]),
        (NOWHERE, POOL, &[FAR]),
        (ORDERED, LIST, &[THEIRS, OURS, FAR]),
        (NAMELESS, POOL, &[THEIRS, OURS]),
    ] {
        services += &format!("service {name} {at}");
        if !topology.is_empty() {
            services += &format!(" topology={topology}");
        }
        services += "\n";
        slices += &slice(name, nodes)?;
    }
    Ok((services, slices))
}

/// The same for those of which many change at once.
fn many() -> Result<(String, String)> {
    let (mut services, mut slices) = (String::new(), String::new());
    for (name, at) in (0..MANY).map(one_of_many) {
        services += &format!("service {name} {at}\n");
        slices += &slice(&name, &[THEIRS, OURS, FAR])?;
    }
    Ok((services, slices))
}

fn one_of_many(number: usize) -> (String, String) {
    (format!("many{number}"), format!("10.96.{}.{}:80", 1 + number / 250, 1 + number % 250))
}

/// Until both sides have all Services.
pub(super) fn at_first(ground: &Ground) -> Result<()> {
    let wanted =
        [(MOVES, &[THEIRS, OURS, LEAVES][..]), (TWICE, &[THEIRS, OURS, FAR]), (NAMELESS, &[THEIRS, OURS])];
    let wanted = wanted.map(|((_, at), nodes)| Ok((at.to_owned(), pods_on(nodes)?)));
    settle(ground, &wanted.into_iter().collect::<Result<_>>()?)
}

fn settle(ground: &Ground, wanted: &Decisions) -> Result<()> {
    for side in [Side::Ours, Side::Theirs] {
        let seen = ground.watch(side, wanted, Duration::from_secs(60))?;
        let missing: Vec<_> = wanted.keys().filter(|service| !seen.contains_key(*service)).collect();
        ensure!(missing.is_empty(), "{}: not as it should be at first: {missing:?}", side.name());
    }
    Ok(())
}

/// No server in the pool.
pub(super) fn no_server(ground: &Ground) -> Result<Row> {
    let [ours, theirs] = ground.decision(NOWHERE.1)?;
    let got = tally(&ground.client.dial(NOWHERE.1, DIALS)?);
    let is_right = ours.as_ref().is_some_and(Set::is_empty) && got.keys().eq(["ECONNREFUSED"]);
    Ok(Row {
        what: "a pool without an endpoint".to_owned(),
        known: "refused",
        theirs: in_words(theirs.as_ref()),
        ours: format!("{}, {DIALS} of {DIALS} connections", in_words(ours.as_ref())),
        is_right,
        is_as_known: theirs.is_some_and(|set| set.is_empty()),
    })
}

/// An ordered list, which OpenYurt has no meaning for.
pub(super) fn ordered(ground: &Ground) -> Result<Row> {
    let [ours, theirs] = ground.decision(ORDERED.1)?;
    let got = tally(&ground.client.dial(ORDERED.1, DIALS)?);
    Ok(Row {
        what: format!("`{LIST}`"),
        known: "not understood: everywhere",
        theirs: in_words(theirs.as_ref()),
        ours: format!("{}: the own node", in_words(ours.as_ref())),
        is_right: ours == Some(pods_on(&[OURS])?) && got.keys().eq([&format!("on-{OURS}")]),
        is_as_known: theirs == Some(pods_on(&[THEIRS, OURS, FAR])?),
    })
}

/// A node with a pod leaves the pool.
pub(super) fn leaves_its_pool(ground: &Ground, patience: Duration) -> Result<Row> {
    let wanted = one(MOVES.1, pods_on(&[THEIRS, OURS])?);
    let path = format!("/api/v1/nodes/{LEAVES}");
    let (answered, [ours, theirs]) = ground.race([&wanted; 2], [OURS_WITHIN, patience], || {
        ground.cluster.api().merge(&path, &json!({"metadata": {"labels": {POOL_LABEL: null}}}))?;
        let answered = Instant::now();
        ground.cluster.api().merge(&path, &json!({"metadata": {"labels": {POOL_LABEL: "shanghai"}}}))?;
        Ok(answered)
    })?;
    let got = tally(&ground.client.dial(MOVES.1, DIALS)?);
    let (ours, theirs) = (ours.get(MOVES.1).copied(), theirs.get(MOVES.1).copied());
    Ok(Row {
        what: "a node moves to another pool: its pods are used no more after".to_owned(),
        known: "never, in running watches",
        theirs: since(answered, theirs, patience),
        ours: since(answered, ours, OURS_WITHIN),
        is_right: ours.is_some_and(|at| at.saturating_duration_since(answered) < PROMISED)
            && got.keys().all(|name| *name != format!("on-{LEAVES}")),
        is_as_known: theirs.is_none(),
    })
}

/// Two changes of an annotation, the second within the second of the first.
pub(super) fn changes_twice(ground: &Ground, patience: Duration) -> Result<Row> {
    let path = format!("/api/v1/namespaces/default/services/{}", TWICE.0);
    let (ours, theirs) = (one(TWICE.1, pods_on(&[OURS])?), one(TWICE.1, pods_on(&[THEIRS])?));
    let (answered, [ours, theirs]) = ground.race([&ours, &theirs], [OURS_WITHIN, patience], || {
        wait_for_a_second_to_begin()?;
        ground.cluster.api().merge(&path, &annotated(POOL))?;
        thread::sleep(Duration::from_millis(300));
        ground.cluster.api().merge(&path, &annotated("kubernetes.io/hostname"))?;
        Ok(Instant::now())
    })?;
    let got = tally(&ground.client.dial(TWICE.1, DIALS)?);
    let (ours, theirs) = (ours.get(TWICE.1).copied(), theirs.get(TWICE.1).copied());
    Ok(Row {
        what: "an annotation changes twice within one second: the second shows after".to_owned(),
        known: "never",
        theirs: since(answered, theirs, patience),
        ours: since(answered, ours, OURS_WITHIN),
        is_right: ours.is_some_and(|at| at.saturating_duration_since(answered) < PROMISED)
            && got.keys().eq([&format!("on-{OURS}")]),
        is_as_known: theirs.is_none(),
    })
}

/// So many annotations change at once.
pub(super) fn many_change(ground: &Ground, patience: Duration) -> Result<Vec<Row>> {
    let all = |set: Set| (0..MANY).map(|number| (one_of_many(number).1, set.clone())).collect::<Decisions>();
    let (services, slices) = many()?;
    ground.add(&services, &slices)?;
    settle(ground, &all(pods_on(&[THEIRS, OURS, FAR])?))?;
    let wanted = all(pods_on(&[THEIRS, OURS])?);
    let (answered, [ours, theirs]) =
        ground.race([&wanted; 2], [OURS_WITHIN, patience], || annotate_many(ground))?;
    let (ours, theirs) = (latencies(&answered, &ours), latencies(&answered, &theirs));
    let row = |what: &str, known, of: fn(&[Duration]) -> Option<Duration>| {
        let last = ours.get(MANY - 1).copied();
        let theirs_at = of(&theirs);
        Row {
            what: format!("{MANY} annotations change at once: {what}"),
            known,
            theirs: theirs_at.map_or_else(|| not_within(patience), seconds),
            ours: of(&ours).map_or_else(|| "not all".to_owned(), seconds),
            is_right: last.is_some_and(|last| last < PROMISED),
            is_as_known: theirs_at.is_none_or(|at| at > Duration::from_secs(5)),
        }
    };
    Ok(vec![
        row("the median shows after", "15 s", |all| all.get(MANY / 2).copied()),
        row("the last shows after", "40 s", |all| all.get(MANY - 1).copied()),
    ])
}

/// One endpoint without a node name.
pub(super) fn nameless(ground: &mut Ground, patience: Duration) -> Result<Row> {
    let load = ground.client.dial_continuously(NAMELESS.1, 500, 2)?;
    ground.cluster.apply_lines(&format!("{} 10.244.9.9\n", slice(NAMELESS.0, &[OURS, FAR])?.trim_end()))?;
    let applied = Instant::now();
    // From pods on both nodes to ours alone.
    let ours = ground.watch(Side::Ours, &one(NAMELESS.1, pods_on(&[OURS])?), OURS_WITHIN)?;
    let mut ended = None;
    while ended.is_none() && applied.elapsed() < patience {
        thread::sleep(Duration::from_millis(20));
        ended = ground.hub.has_ended()?.then(|| applied.elapsed());
    }
    let report = load.stop()?;
    let view = ground.agent.view()?;
    let orphans =
        report.answered.keys().filter(|name| ![THEIRS, OURS].map(|node| format!("on-{node}")).contains(name));
    let is_right =
        ours.contains_key(NAMELESS.1) && report.failed.is_empty() && orphans.count() == 0 && view.ready;
    Ok(Row {
        what: "one endpoint without a node name".to_owned(),
        known: "every yurthub ends",
        theirs: ended.map_or_else(
            || format!("goes on for {} s", patience.as_secs()),
            |after| format!("yurthub ended after {}", seconds(after)),
        ),
        ours: format!("goes on: {} connections meanwhile, {} failed", report.dialled(), report.failed.len()),
        is_right,
        is_as_known: ended.is_some(),
    })
}

/// Gives the moment of the API server's answer for each Service.
fn annotate_many(ground: &Ground) -> Result<BTreeMap<String, Instant>> {
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mine = (0..MANY).filter(|number| number % WRITERS == writer);
                    let answered = mine.map(|number| {
                        let (name, at) = one_of_many(number);
                        let path = format!("/api/v1/namespaces/default/services/{name}");
                        ground.cluster.api().merge(&path, &annotated(POOL))?;
                        Ok((at, Instant::now()))
                    });
                    answered.collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let done = writers.into_iter().map(|writer| {
            writer.join().unwrap_or_else(|_panic| Err(anyhow!("a thread that writes panicked")))
        });
        Ok(done.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

/// From answer to sight, in order; those that were not seen are missing.
fn latencies(answered: &BTreeMap<String, Instant>, seen: &BTreeMap<String, Instant>) -> Vec<Duration> {
    let of = |(service, at): (&String, &Instant)| Some(at.saturating_duration_since(*answered.get(service)?));
    let mut all: Vec<Duration> = seen.iter().filter_map(of).collect();
    all.sort_unstable();
    all
}

fn since(answered: Instant, seen: Option<Instant>, patience: Duration) -> String {
    seen.map_or_else(|| not_within(patience), |at| seconds(at.saturating_duration_since(answered)))
}

fn one(service: &str, set: Set) -> Decisions {
    Decisions::from([(service.to_owned(), set)])
}

fn annotated(value: &str) -> Value {
    json!({"metadata": {"annotations": {KEY: value}}})
}

fn in_words(set: Option<&Set>) -> String {
    match set {
        None => "not known".to_owned(),
        Some(set) if set.is_empty() => "refused".to_owned(),
        Some(set) => format!("{} of 3 endpoints", set.len()),
    }
}

/// What marks a change may have no finer clock.
fn wait_for_a_second_to_begin() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    let left = Duration::from_secs(1).saturating_sub(Duration::from_nanos(now.subsec_nanos().into()));
    thread::sleep(left + Duration::from_millis(20));
    Ok(())
}
