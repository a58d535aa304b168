//! How much a file and a struct may hold.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Source, Token};
use super::testing;

/// Lines with code in them; neither blank lines, comments and text, nor tests.
const MOST_LINES: usize = 300;

/// Structs with more than one bool, and why that is not a state in disguise. One that has fewer by now has
/// to go from here.
const BOOLS: [(&str, &str); 5] = [
    ("Conditions", "three conditions of the API that are independent of each other"),
    ("Features", "what a machine has; each by itself"),
    ("Policy", "switches of a Service, each by itself"),
    ("Row", "of a table that is printed"),
    ("Service", "fields of the API object, each by itself"),
];

pub(crate) fn check(sources: &[Source], of_tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut needed = BTreeSet::new();
    for source in sources.iter().filter(|source| !of_tests.contains(&source.path)) {
        let tokens = testing::without(&source.tokens());
        findings.extend(length(source, &tokens));
        for (name, line, count) in structs_with_bools(&tokens) {
            if let Some((known, _)) = BOOLS.iter().find(|(known, _)| *known == name) {
                needed.insert(*known);
            } else {
                let rule = format!("{name} has {count} bools, one is the most: make an enum of its states");
                findings.push(source.finding(line, rule));
            }
        }
    }
    let stale = BOOLS.iter().filter(|(known, _)| !needed.contains(known));
    findings.extend(stale.map(|(known, _)| Finding {
        path: "xtask/src/tidy/limits.rs".to_owned(),
        line: 1,
        rule: format!("{known} has one bool at most by now: take it out of BOOLS"),
    }));
    findings
}

fn length(source: &Source, tokens: &[Token<'_>]) -> Vec<Finding> {
    let lines: BTreeSet<usize> = tokens.iter().map(|token| token.line).collect();
    let Some(line) = lines.iter().nth(MOST_LINES) else { return Vec::new() };
    let rule = format!(
        "{} lines of code, {MOST_LINES} are the most: move its second thought into a file of its own",
        lines.len()
    );
    vec![source.finding(*line, rule)]
}

/// Name, line and number of bools of each struct that has more than one. These are states without names, some
/// of which cannot be.
fn structs_with_bools<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize, usize)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let [Token { text: "struct", .. }, name, ..] = &tokens[at..] else { continue };
        let count = fields(&tokens[at + 2..]).windows(2).filter(|pair| pair == &[":", "bool"]).count();
        if count > 1 && !is_command_line(&tokens[..at]) {
            found.push((name.text, name.line, count));
        }
    }
    found
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
            let source = Source::new("x.rs", &text);
            let tokens = testing::without(&source.tokens());
            assert_eq!(length(&source, &tokens).len(), found, "{shows}");
        }
    }

    #[test]
    fn an_exception_that_is_not_needed_any_more_is_found() {
        let known = BOOLS[0].0;
        let many = Source::new("x.rs", &format!("struct {known} {{ a: bool, b: bool }}"));
        let speaks_of = |sources: &[Source], of_tests: &[String]| {
            let findings = check(sources, &of_tests.iter().cloned().collect());
            findings.iter().any(|finding| finding.rule.starts_with(known))
        };
        assert!(!speaks_of(std::slice::from_ref(&many), &[]));
        assert!(speaks_of(&[many], &["x.rs".to_owned()]), "a file of tests does not count");
        assert!(speaks_of(&[], &[]));
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
            let source = Source::new("x.rs", text);
            assert_eq!(structs_with_bools(&source.tokens()).len(), found, "{shows}");
        }
    }
}
