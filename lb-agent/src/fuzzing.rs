//! What bytes of others reach, for fuzzers: each target takes any bytes, and panics where a promise is broken.
//!
//! `cargo xtask fuzz` has a fuzzer that follows the code. The tests here go through the same targets with the
//! corpus that is kept in `fuzz/corpus`, and with changes to it by chance.

use std::time::Instant;

use crate::api;
use crate::cli::print;
use crate::convert::Interner;
use crate::manifest;
use crate::model::{Change, Kind};
use crate::serve::http;
use crate::serve::request::{Reply, Request, reply};
use crate::shown::line;
use crate::source;
use crate::store::{Rules, Store};
use crate::telemetry::record::kept;
use crate::view::decisions::decisions;
use crate::view::explain::explain;
use crate::view::held::beside;
use crate::view::json;
use crate::view::kernel::KernelView;
use crate::view::published::Published;
use crate::view::services::services;
use crate::view::status::AgentView;

/// The variable that names the target to the fuzzer.
pub const TARGET: &str = "EDGELOOP_FUZZ_TARGET";

/// Where bytes of others arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The text of a file in a folder of manifests.
    Manifests,
    /// A kubeconfig.
    Kubeconfigs,
    /// What an API server sends in a watch.
    Watch,
    /// What an API server sends as a list.
    List,
    /// What a client sends over HTTP.
    Requests,
    /// What an agent, or what stands in its place, sends over its socket.
    Socket,
    /// What a client sends to the agent's socket.
    Asked,
    /// The file of a saved state, or its text before it was packed.
    Saved,
}

impl Target {
    pub const ALL: [Self; 8] = [
        Self::Manifests,
        Self::Kubeconfigs,
        Self::Watch,
        Self::List,
        Self::Requests,
        Self::Socket,
        Self::Asked,
        Self::Saved,
    ];

    /// Its name, and that of its corpus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Kubeconfigs => "kubeconfigs",
            Self::Watch => "watch",
            Self::List => "list",
            Self::Requests => "requests",
            Self::Socket => "socket",
            Self::Asked => "asked",
            Self::Saved => "saved",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Lets the bytes arrive.
    ///
    /// # Panics
    /// When something goes wrong that nothing from outside may bring about.
    pub fn run(self, data: &[u8]) {
        match self {
            Self::Manifests => manifests(data),
            Self::Kubeconfigs => check(&api::fuzzing::kubeconfig(&String::from_utf8_lossy(data))),
            Self::Watch => source::kube::fuzzing::watch(data).iter().for_each(|said| check(&line(said))),
            Self::List => source::kube::fuzzing::list(data).iter().for_each(|said| check(&line(said))),
            Self::Requests => requests(data),
            Self::Socket => socket(data),
            Self::Asked => asked(data),
            Self::Saved => saved(data),
        }
    }
}

/// Objects are decided and shown, whatever they are.
fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let found = manifest::read(text, &mut Interner::default());
    let mut store = Store::new("n1", Rules::default());
    for defined in found.objects {
        store.apply(Change::Apply(defined.object));
    }
    Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    let decisions = decisions(&store);
    check(&print::plan::of(&decisions));
    check_json(json::pretty(&decisions));
    let published = Published::first(&store, "file:/x", Instant::now());
    check(&print::services::text(&services(&published)));
    let names: Vec<String> = store.services().map(|(service, _)| service.name.to_string()).collect();
    for name in names {
        explained(&published, &name);
    }
}

fn explained(published: &Published, asked: &str) {
    match explain(published, asked) {
        Ok(mut explanation) => {
            beside(&mut explanation, &KernelView::default());
            check(&print::explain::text(&explanation));
            check_json(json::pretty(&explanation));
        }
        Err(why) => check(&line(&why)),
    }
}

/// A Service that is there can be asked for.
fn asked(data: &[u8]) {
    let mut store = Store::new("n1", Rules::default());
    let text = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]}}"#;
    for defined in manifest::read(text, &mut Interner::default()).objects {
        store.apply(Change::Apply(defined.object));
    }
    Kind::ALL.into_iter().for_each(|kind| store.apply(Change::Synced(kind)));
    let published = Published::first(&store, "file:/x", Instant::now());
    let asked = Request::read(data);
    if let Ok(Request::Explain(asked)) = &asked {
        explained(&published, asked);
    }
    check_json(reply(asked, &published, kept));
}

/// A store is made of it, and made again of what that one knows.
fn saved(data: &[u8]) {
    let changes = source::saved::fuzzing::changes(data);
    let mut store = Store::new("n1", Rules::default());
    changes.into_iter().for_each(|change| store.apply(change));
    check(&print::plan::of(&decisions(&store)));
    let mut again = store.afresh();
    store.changes().into_iter().for_each(|change| again.apply(change));
    assert_eq!(again.changes(), store.changes());
}

fn requests(data: &[u8]) {
    let store = Store::new("n1", Rules::default());
    let responses = http::fuzzing::responses(data, Published::first(&store, "file:/x", Instant::now()));
    assert!(responses.is_empty() || responses.starts_with(b"HTTP/1."), "{responses:?}");
}

fn socket(data: &[u8]) {
    match serde_json::from_slice::<Reply>(data) {
        Ok(Reply::Explanation(explanation)) => check(&print::explain::text(&explanation)),
        Ok(Reply::Services(services)) => check(&print::services::text(&services)),
        Ok(Reply::Record(kept)) => check_json(json::pretty(&kept)),
        Ok(Reply::Error(why)) => check(&line(&why)),
        Err(_) => {}
    }
    let Ok(agent) = serde_json::from_slice::<AgentView>(data) else { return };
    let status = print::status::Status { kernel: None, agent: Some(agent), not_covered: Vec::new() };
    check(&print::status::text(&status));
    check_json(json::pretty(&status));
}

/// # Panics
/// When the text steers a terminal.
fn check(text: &str) {
    let odd = text.chars().find(|one| one.is_control() && *one != '\n');
    assert_eq!(odd, None, "{text:?}");
}

fn check_json(text: serde_json::Result<Vec<u8>>) {
    let text = text.map(String::from_utf8);
    let Ok(Ok(text)) = text else { panic!("{text:?}") };
    check(&text);
    let read = serde_json::from_str::<serde::de::IgnoredAny>(&text);
    assert!(read.is_ok(), "{read:?}: {text}");
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// How long each target is tried, in seconds; by default for some hundred inputs.
    const SECONDS: &str = "EDGELOOP_FUZZ_SECONDS";
    const INPUTS: u32 = 300;

    /// One change to a seed.
    #[derive(Clone, Debug)]
    enum Mutation {
        Flip(Index, u8),
        Insert(Index, Vec<u8>),
        Remove(Index, Index),
        Repeat(Index, Index, usize),
        /// A part of another seed.
        Splice(Index, Index, Index, Index),
    }

    #[test]
    fn nothing_that_was_kept_and_nothing_near_it_breaks_a_promise() {
        let only = std::env::var(TARGET).ok();
        let targets = Target::ALL.into_iter();
        for target in targets.filter(|target| only.as_deref().is_none_or(|only| only == target.name())) {
            let seeds = seeds(target);
            assert!(seeds.len() >= 3, "{target:?} has no corpus");
            seeds.iter().for_each(|seed| target.run(seed));
            let changed = (any::<Index>(), prop::collection::vec(mutation(), 1..6));
            let tries = |cases| {
                let config = Config { cases, failure_persistence: None, ..Config::default() };
                let outcome = TestRunner::new(config).run(&changed, |(seed, mutations)| {
                    let seed = seed.get(&seeds).clone();
                    target.run(
                        &mutations.iter().fold(seed, |input, mutation| mutated(input, mutation, &seeds)),
                    );
                    Ok(())
                });
                assert!(outcome.is_ok(), "{target:?}: {outcome:?}");
            };
            match std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()) {
                None => tries(INPUTS),
                Some(seconds) => {
                    let until = Instant::now() + Duration::from_secs(seconds);
                    while Instant::now() < until {
                        tries(INPUTS);
                    }
                }
            }
        }
    }

    fn mutation() -> impl Strategy<Value = Mutation> {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), 1..8),
            prop::sample::select(vec![
                "\n", "\"", "{", "[", "]}", ": ", "- ", "null", "\\u0000", "&a ", "*a", "---\n"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, with)| Mutation::Flip(at, with)),
            (any::<Index>(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
            (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Remove(from, to)),
            (any::<Index>(), any::<Index>(), 1..50_usize)
                .prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
            (any::<Index>(), any::<Index>(), any::<Index>(), any::<Index>())
                .prop_map(|(at, of, from, to)| Mutation::Splice(at, of, from, to)),
        ]
    }

    fn mutated(mut input: Vec<u8>, mutation: &Mutation, seeds: &[Vec<u8>]) -> Vec<u8> {
        let part = |of: &[u8], from: &Index, to: &Index| {
            let (one, other) = (from.index(of.len() + 1), to.index(of.len() + 1));
            one.min(other)..one.max(other)
        };
        match mutation {
            Mutation::Flip(at, with) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] ^= with;
            }
            Mutation::Flip(..) => {}
            Mutation::Insert(at, bytes) => {
                let at = at.index(input.len() + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Mutation::Remove(from, to) => _ = input.drain(part(&input, from, to)),
            Mutation::Repeat(from, to, times) => {
                let part = part(&input, from, to);
                let (end, bytes) = (part.end, input[part].repeat(*times));
                input.splice(end..end, bytes);
            }
            Mutation::Splice(at, of, from, to) => {
                let (at, of) = (at.index(input.len() + 1), of.get(seeds));
                input.splice(at..at, of[part(of, from, to)].iter().copied());
            }
        }
        input
    }

    /// Tests run in the folder of their package.
    fn seeds(target: Target) -> Vec<Vec<u8>> {
        let folder = Path::new("../fuzz/corpus").join(target.name());
        let files =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }
}
