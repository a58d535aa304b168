//! How much a file and a struct may hold.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Source, Token};
use super::testing;

/// Lines with code in them; neither blank lines, comments and text, nor tests.
const MOST_LINES: usize = 300;

/// Files that are longer still, and how long they may be.
const LONG: [(&str, usize); 1] = [("lb-agent/src/writer/mod.rs", 330)];

/// Structs with more than one bool, and why that is no state in disguise.
const BOOLS: [(&str, &str); 10] = [
    ("AgentView", "being taken apart"),
    ("Conditions", "three conditions of the API that are independent of each other"),
    ("Features", "what a machine has; each by itself"),
    ("Policy", "switches of a Service, each by itself"),
    ("Row", "of a table that is printed"),
    ("Service", "fields of the API object, each by itself"),
    ("Splitter", "being taken apart"),
    ("Tracker", "being taken apart"),
    ("Watch", "being taken apart"),
    ("Writer", "being taken apart"),
];

pub(crate) fn check(sources: &[Source], of_tests: &BTreeSet<String>) -> Vec<Finding> {
    let ours = sources.iter().filter(|source| !of_tests.contains(&source.path));
    ours.flat_map(|source| {
        let tokens = testing::without(&source.tokens());
        [length(source, &tokens), bools(source, &tokens)].concat()
    })
    .collect()
}

fn length(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let lines: BTreeSet<usize> = tokens.iter().map(|token| token.line).collect();
    let most = LONG.iter().find(|(path, _)| *path == source.path).map_or(MOST_LINES, |(_, most)| *most);
    let Some(line) = lines.iter().nth(most) else { return Vec::new() };
    let rule = format!(
        "{} lines of code, {most} are the most: move its second thought into a file of its own",
        lines.len()
    );
    vec![source.finding(*line, rule)]
}

/// Several bools in one struct are states without names, some of which cannot be.
fn bools(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in 0..tokens.len() {
        let [Token { text: "struct", .. }, name, ..] = &tokens[at..] else { continue };
        let count = fields(&tokens[at + 2..]).windows(2).filter(|pair| pair == &[":", "bool"]).count();
        let excused = BOOLS.iter().any(|(known, _)| *known == name.text);
        if count > 1 && !excused && !is_command_line(&tokens[..at]) {
            let rule =
                format!("{} has {count} bools, one is the most: make an enum of its states", name.text);
            findings.push(source.finding(name.line, rule));
        }
    }
    findings
}

/// The texts between the braces of a struct; none of one without names for its fields.
fn fields<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let texts = tokens.iter().map(|token| token.text);
    let head = texts.clone().take_while(|text| !matches!(*text, "{" | ";" | "(")).count();
    texts.skip(head).take_while(|text| !matches!(*text, "}" | ";")).collect()
}

/// Whether clap reads it, by what stands before the word `struct`: every switch there is a bool.
fn is_command_line(before: &[Token<'_>]) -> bool {
    let attributes = before.iter().rev().take_while(|token| !matches!(token.text, "{" | "}" | ";"));
    attributes.into_iter().any(|token| matches!(token.text, "Args" | "Parser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_alone_counts_as_length() {
        let long = "fn f() {}\n".repeat(MOST_LINES);
        for (shows, text, found) in [
            ("as long as may be", long.clone(), 0),
            ("a line too long", format!("{long}fn f() {{}}"), 1),
            ("comments and blanks", format!("{long}\n// x\n\n"), 0),
            ("text", format!("{}\"\n\n\n\";", &long[10..]), 0),
            ("tests", format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}"), 0),
        ] {
            let sources = [Source::new("x.rs", &text)];
            assert_eq!(check(&sources, &BTreeSet::new()).len(), found, "{shows}");
            assert_eq!(check(&sources, &BTreeSet::from(["x.rs".to_owned()])), [], "{shows}: a file of tests");
        }
    }

    #[test]
    fn a_struct_has_one_bool_at_most() {
        for (shows, text, found) in [
            ("one", "struct A { a: bool, b: u8 }", 0),
            ("two", "struct A<T> { a: bool, b: T, pub c: bool }", 1),
            ("of two structs one each", "struct A { a: bool } struct B { b: bool }", 0),
            ("arguments of a function", "struct A; fn f(a: bool, b: bool) {}", 0),
            ("a command line", "#[derive(Args)] struct A { a: bool, b: bool }", 0),
        ] {
            assert_eq!(check(&[Source::new("x.rs", text)], &BTreeSet::new()).len(), found, "{shows}");
        }
    }
}
