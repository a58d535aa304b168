//! What connections got in each pool, beside what they should get. Pure.

use std::collections::BTreeMap;

use crate::check::{Finding, State};
use crate::cli::probe::Dialled;
use crate::remote::live::Printed;
use crate::shown::{Shown, line};
use crate::view::nodes::SeenStatus;

/// The targets, in the order of the clients' arguments: TCP and UDP of the Service that has a server in each pool, of the one that has
/// a server in the first pool alone, and a name.
const TARGETS: usize = 5;

/// A node of each pool, by the status that agents print.
pub(super) fn pools(status: &Printed) -> BTreeMap<String, String> {
    let mut pools = BTreeMap::new();
    for (node, printed) in status {
        let agent =
            printed.as_ref().ok().and_then(|text| serde_json::from_slice::<SeenStatus>(text).ok()?.agent);
        if let Some(pool) = agent.and_then(|agent| agent.pool) {
            pools.entry(pool).or_insert_with(|| node.clone());
        }
    }
    pools
}

/// What one target of one client came to.
struct Got<'p> {
    pool: &'p str,
    dialled: Dialled,
}

/// Whether every client got what it should, but for names, which are not the agents' doing.
pub(super) fn is_as_wanted(printed: &Printed) -> bool {
    let findings = findings(printed);
    findings.iter().filter(|finding| finding.what != NAMES).all(|finding| finding.state == State::Ok)
}

const NAMES: &str = "live names";

/// A line a kind of connection, and one for the pods. Without any answer the last alone.
pub(super) fn findings(printed: &Printed) -> Vec<Finding> {
    let first = printed.first().map_or("", |(pool, _)| pool.as_str());
    let (got, silent) = read(printed);
    if got.is_empty() {
        return vec![not_tried(&silent.join("; "))];
    }
    let of = |target: usize| got.iter().filter_map(move |all| all.get(target));
    let astray = |target: usize, may: &dyn Fn(&str) -> bool| -> Vec<String> {
        of(target).filter_map(|got| judge(got, may(got.pool))).collect()
    };
    let mut findings = vec![
        finding("live TCP", REACHED, astray(0, &|_| true)),
        finding("live UDP", REACHED, astray(1, &|_| true)),
    ];
    if of(2).any(|got| got.pool != first) {
        let refused = [astray(2, &|pool| pool == first), astray(3, &|pool| pool == first)].concat();
        findings.push(finding(
            "live refusal",
            "each pool that answered was refused what has no server there",
            refused,
        ));
    } else {
        findings.push(Finding::ok("live refusal", "not tried: it takes an answer of a second pool"));
    }
    let unknown: Vec<String> = of(4)
        .filter(|got| got.dialled.answers.is_empty())
        .map(|got| format!("{}: {}", Shown(got.pool), failures(&got.dialled)))
        .collect();
    findings.push(match unknown.is_empty() {
        true => Finding::ok(NAMES, "each pool that answered resolves the name of a Service"),
        false => Finding::degraded(
            NAMES,
            unknown.join("; "),
            "clients there find no Service by its name",
            "see the cluster's DNS, and whether it may stay in the pool (docs/install.md)",
        ),
    });
    findings.push(if silent.is_empty() {
        Finding::ok("live pods", "a server and a client in each pool")
    } else {
        not_tried(&silent.join("; "))
    });
    findings
}

const REACHED: &str = "each pool that answered reached its own server and no other";

/// Where clients did not dial.
pub(super) fn not_tried(why: &str) -> Finding {
    let (follows, todo) = (
        "what connections get there was not tried",
        "the rights that it takes, and --image, stand in docs/operations.md",
    );
    Finding::missing("live pods", line(why), follows, todo)
}

/// What could not be removed, and why.
pub(super) fn left_behind(why: &str) -> Finding {
    let (follows, todo) =
        ("the pods end after ten minutes, the namespace stays", "remove it with `kubectl delete namespace`");
    Finding::degraded("live cleanup", line(why), follows, todo)
}

fn finding(what: &str, well: &str, astray: Vec<String>) -> Finding {
    if astray.is_empty() {
        return Finding::ok(what, well);
    }
    let (follows, todo) = (
        "connections do not go where the topology keeps them",
        "`lb-agent explain SERVICE --on NODE`, and `lb-agent trace` on the node",
    );
    Finding::missing(what, astray.join("; "), follows, todo)
}

/// What each client got, and who gave no answer.
fn read(printed: &Printed) -> (Vec<Vec<Got<'_>>>, Vec<String>) {
    let (mut got, mut silent) = (Vec::new(), Vec::new());
    for (pool, said) in printed {
        let dialled = said.as_ref().map_err(String::clone).and_then(|text| {
            let dialled: Vec<Dialled> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
            if dialled.len() == TARGETS {
                Ok(dialled)
            } else {
                Err("its answer is not understood".to_owned())
            }
        });
        match dialled {
            Ok(dialled) => got.push(dialled.into_iter().map(|dialled| Got { pool, dialled }).collect()),
            Err(why) => silent.push(format!("{}: {}", Shown(pool), line(&why))),
        }
    }
    (got, silent)
}

/// What is wrong with it: `has_server` says whether its own pool should answer all, or refuse all.
fn judge(got: &Got<'_>, has_server: bool) -> Option<String> {
    let Got { pool, dialled } = got;
    let Dialled { target, answers, refused, failed } = dialled;
    let own = answers.get(*pool).copied().unwrap_or(0);
    let all: u32 = answers.values().sum();
    let is_well = if has_server { own > 0 && own == all && *refused == 0 } else { all == 0 && *refused > 0 };
    if is_well && failed.is_empty() {
        return None;
    }
    let others: Vec<String> =
        answers.iter().map(|(name, times)| format!("{} {times} times", Shown(name))).collect();
    let got = [others.join(", "), failures(dialled)];
    let got: Vec<&str> = got.iter().map(String::as_str).filter(|got| !got.is_empty()).collect();
    Some(format!("{} dialled {} and got {}", Shown(pool), Shown(target), got.join(", ")))
}

fn failures(dialled: &Dialled) -> String {
    let refused = (dialled.refused > 0).then(|| format!("refused {} times", dialled.refused));
    let failed = dialled.failed.iter().map(|(how, times)| format!("{} {times} times", Shown(how)));
    refused.into_iter().chain(failed).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Times<'t> = &'t [(&'t str, u32)];
    /// Answers, refusals, failures.
    type Case<'t> = (Times<'t>, u32, Times<'t>);

    fn said(targets: [Case<'_>; TARGETS]) -> Result<Vec<u8>, String> {
        let map = |of: &[(&str, u32)]| {
            of.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect::<BTreeMap<_, _>>()
        };
        let all: Vec<_> = targets
            .iter()
            .map(|(answers, refused, failed)| json!({"target": "x", "answers": map(answers), "refused": refused, "failed": map(failed)}))
            .collect();
        Ok(json!(all).to_string().into_bytes())
    }

    fn well(pool: &'static str, has_server: bool) -> (String, Result<Vec<u8>, String>) {
        let own: Times<'_> = &[(pool, 10)];
        let alone: Case<'_> = if has_server { (own, 0, &[]) } else { (&[], 10, &[]) };
        (pool.to_owned(), said([(own, 0, &[]), (own, 0, &[]), alone, alone, (&[("10.96.0.1", 10)], 0, &[])]))
    }

    fn states(findings: &[Finding]) -> Vec<State> {
        findings.iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn pools_that_reach_themselves_alone_are_well() {
        let printed = vec![well("east", true), well("west", false)];
        assert_eq!(states(&findings(&printed)), [State::Ok; 5]);
        assert!(is_as_wanted(&printed));
        let alone = vec![well("east", true)];
        assert!(findings(&alone)[2].found.starts_with("not tried"));
    }

    #[test]
    fn what_goes_astray_is_named_with_its_pool() {
        use State::{Degraded, Missing, Ok as Well};
        let own: Times<'_> = &[("west", 10)];
        let refused: Case<'_> = (&[], 10, &[]);
        let name: Case<'_> = (&[("10.96.0.1", 10)], 0, &[]);
        for (shows, west, expected, says) in [
            (
                "a leak",
                [(&[("east", 3), ("west", 7)][..], 0, &[][..]), (own, 0, &[]), refused, refused, name],
                [Missing, Well, Well, Well, Well],
                "west dialled x and got east 3 times, west 7 times",
            ),
            (
                "a refusal of its own server",
                [(own, 0, &[]), (&[], 10, &[]), refused, refused, name],
                [Well, Missing, Well, Well, Well],
                "west dialled x and got refused 10 times",
            ),
            (
                "a leak where it should be refused",
                [(own, 0, &[]), (own, 0, &[]), (&[("east", 10)], 0, &[]), refused, name],
                [Well, Well, Missing, Well, Well],
                "got east 10 times",
            ),
            (
                "a time-out",
                [(own, 0, &[]), (own, 0, &[("timed out", 1)]), refused, refused, name],
                [Well, Missing, Well, Well, Well],
                "timed out 1 times",
            ),
            (
                "no name",
                [(own, 0, &[]), (own, 0, &[]), refused, refused, (&[], 0, &[("other error", 10)])],
                [Well, Well, Well, Degraded, Well],
                "west: other error 10 times",
            ),
        ] {
            let printed = vec![well("east", true), ("west".to_owned(), said(west))];
            let findings = findings(&printed);
            assert_eq!(states(&findings), expected, "{shows}");
            assert!(findings.iter().any(|finding| finding.found.contains(says)), "{shows}: {findings:?}");
            assert_eq!(is_as_wanted(&printed), shows == "no name", "{shows}");
        }
    }

    #[test]
    fn a_client_without_an_answer_is_named_and_nothing_is_said_to_be_well_for_it() {
        let gone = |pool: &str| (pool.to_owned(), Err("gone\u{1b}".to_owned()));
        let printed = vec![well("east", true), gone("west")];
        let findings_of_one = findings(&printed);
        let pods = &findings_of_one[4];
        assert!(pods.state == State::Missing && pods.found.starts_with("west: gone"), "{pods:?}");
        assert!(!pods.found.contains('\u{1b}') && !is_as_wanted(&printed));
        let refusal = &findings_of_one[2];
        assert!(refusal.found.starts_with("not tried"), "{refusal:?}");

        let findings_of_none = findings(&vec![gone("east"), gone("west")]);
        assert_eq!(states(&findings_of_none), [State::Missing]);
        assert!(findings_of_none[0].found.starts_with("east: gone"), "{findings_of_none:?}");
    }

    #[test]
    fn a_node_of_each_pool_is_taken_whose_agent_answers() {
        let says = |pool: &str| Ok(json!({"kernel": null, "agent": {"pool": pool}}).to_string().into_bytes());
        let of = |node: &str, printed: Result<Vec<u8>, String>| (node.to_owned(), printed);
        let status = vec![
            of("n1", Err("no pod".to_owned())),
            of("n2", says("west")),
            of("n3", says("east")),
            of("n4", says("east")),
            of("n5", Ok(json!({"kernel": null, "agent": null}).to_string().into_bytes())),
            of("n6", Ok(b"what".to_vec())),
        ];
        let taken: Vec<(String, String)> = pools(&status).into_iter().collect();
        let named = |pool: &str, node: &str| (pool.to_owned(), node.to_owned());
        assert_eq!(taken, [named("east", "n3"), named("west", "n2")]);
    }
}
