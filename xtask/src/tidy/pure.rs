//! Files whose first line says "Pure.": functions from values to values.

use std::collections::BTreeSet;

use super::Finding;
use super::rooms::crates_named;
use super::source::{Source, Token};
use super::testing;

/// Crates that reach the world.
const CRATES: [&str; 17] = [
    "aya",
    "aya_obj",
    "axum",
    "getrandom",
    "hyper_util",
    "kube",
    "libc",
    "nix",
    "notify",
    "rand",
    "socket2",
    "tokio",
    "tokio_rustls",
    "tower",
    "tracing",
    "aya_ebpf",
    "tracing_subscriber",
];

/// Parts of `std` that do; the names are tokens after `std::`.
const STD: [&[&str]; 8] = [
    &["fs"],
    &["env"],
    &["process"],
    &["thread"],
    &["os"],
    &["time", "SystemTime"],
    &["time", "UNIX_EPOCH"],
    &["collections", "hash_map", "RandomState"],
];

/// Words that reach the world however they were imported; addresses are values and do not.
const WORDS: [&str; 11] = [
    "SystemTime",
    "UNIX_EPOCH",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "RandomState",
    "stdin",
];

/// Calls on a type that read the clock.
const CLOCKS: [(&str, &str); 1] = [("Instant", "now")];

/// In the first line of a file, or of its room's `mod.rs`, which so speaks for all files in it.
const CLAIM: &str = "Pure.";

pub(crate) fn check(sources: &[Source], of_tests: &BTreeSet<String>) -> Vec<Finding> {
    let rooms: Vec<&str> = sources
        .iter()
        .filter(|source| claims(source))
        .filter_map(|source| source.path.strip_suffix("/mod.rs"))
        .collect();
    let is_pure = |source: &&Source| {
        !of_tests.contains(&source.path) && (claims(source) || rooms.iter().any(|room| source.is_in(room)))
    };
    sources.iter().filter(is_pure).flat_map(breaches).collect()
}

fn claims(source: &Source) -> bool {
    source.text.lines().next().is_some_and(|line| line.starts_with("//!") && line.contains(CLAIM))
}

fn breaches(source: &Source) -> Vec<Finding> {
    let tokens = testing::without(&source.tokens());
    let numbers = numbers_of_libc(&tokens);
    let mut found: BTreeSet<(usize, String)> = crates_named(&tokens)
        .into_iter()
        .filter(|token| CRATES.contains(&token.text) && !numbers.contains(token))
        .map(|token| (token.line, token.text.to_owned()))
        .collect();
    found.extend(
        tokens
            .iter()
            .filter(|token| WORDS.contains(&token.text))
            .map(|token| (token.line, token.text.to_owned())),
    );
    for at in 0..tokens.len() {
        for path in STD.iter().filter(|path| begins(&tokens[at..], path)) {
            found.insert((tokens[at].line, format!("std::{}", path.join("::"))));
        }
        for (of, call) in CLOCKS {
            if tokens[at..].iter().map(|token| token.text).take(3).eq([of, "::", call]) {
                found.insert((tokens[at].line, format!("{of}::{call}")));
            }
        }
    }
    let rule = |what: &str| {
        format!(
            "this file says that it is pure and names `{what}`: pass the value in, or do not say \"{CLAIM}\""
        )
    };
    found.into_iter().map(|(line, what)| source.finding(line, rule(&what))).collect()
}

/// Where libc is named for one of its constants, such as `libc::EIO`, which is a value.
fn numbers_of_libc<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let is_constant =
        |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let named = tokens.windows(3).filter(|three| three[0].text == "libc" && three[1].text == "::");
    named.filter(|three| is_constant(three[2].text)).map(|three| three[0]).collect()
}

/// Whether `std::` and this path stand here, also as `use std::{…}`, where the path comes first.
fn begins(tokens: &[Token<'_>], path: &[&str]) -> bool {
    let texts = tokens.iter().map(|token| token.text);
    let whole = ["std", "::"].into_iter().chain(path.iter().copied().flat_map(|word| [word, "::"]));
    let length = 1 + 2 * path.len();
    if texts.take(length).eq(whole.take(length)) {
        return true;
    }
    let group = tokens.iter().map(|token| token.text).take(3).eq(["std", "::", "{"]);
    group && path.len() == 1 && in_group(&tokens[3..], path[0])
}

fn in_group(tokens: &[Token<'_>], word: &str) -> bool {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => depth += 1,
            "}" if depth == 0 => return false,
            "}" => depth -= 1,
            text if text == word && depth == 0 && (at == 0 || tokens[at - 1].text == ",") => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_pure_reaches_nothing() {
        for (shows, text, found) in [
            ("values alone", "use std::net::Ipv4Addr; use std::collections::BTreeMap;", 0),
            ("a runtime", "#[tokio::test] fn f() {}", 1),
            ("the kernel", "use aya::Ebpf;", 1),
            ("a system call", "fn f() { libc::getpid() }", 1),
            ("the number of an error", "fn f() -> i32 { libc::EIO }", 0),
            ("a file", "use std::fs;", 1),
            ("a file among others", "use std::{fmt, fs, io};", 1),
            ("a word of that name", "use std::{fmt, x::fs};", 0),
            ("a socket", "use std::net::{IpAddr, TcpStream};", 1),
            ("a thread", "fn f() { std::thread::sleep(x) }", 1),
            ("a clock", "let now = Instant::now();", 1),
            ("a time that is passed in", "fn f(now: Instant) {}", 0),
            ("the other clock", "use std::time::SystemTime;", 1),
            ("chance", "use rand::random;", 1),
            ("our own module of that name", "mod rand; use rand::random;", 0),
            ("a log line", "fn f() { tracing::info!() }", 1),
            ("a comment", "// std::fs::read", 0),
            ("a test", "#[cfg(test)] mod tests { use std::fs; }", 0),
        ] {
            let of = |first: &str| {
                let sources = [Source::new("a/src/x.rs", &format!("{first}\n{text}"))];
                check(&sources, &BTreeSet::new()).len().min(1)
            };
            assert_eq!(of("//! What it is. Pure."), found, "{shows}");
            assert_eq!(of("//! What it is."), 0, "{shows}: nothing is claimed");
        }
    }

    #[test]
    fn a_room_claims_it_for_its_files() {
        let sources = [
            ("a/src/room/mod.rs", "//! A room. Pure.\n"),
            ("a/src/room/one.rs", "//! One.\nuse std::fs;"),
            ("a/src/room/tests.rs", "//! Tests.\nuse std::fs;"),
            ("a/src/rooms/one.rs", "//! Another room.\nuse std::fs;"),
        ];
        let sources = sources.map(|(path, text)| Source::new(path, text));
        let findings = check(&sources, &BTreeSet::from(["a/src/room/tests.rs".to_owned()]));
        let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["a/src/room/one.rs"]);
    }
}
