//! How a file begins, that it is used, and words that may not stand in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Finding;
use crate::tidy::source::{Source, Token};

/// Notes to come back later, which belong into an issue.
const NOTES: [&str; 2] = ["TODO", "FIXME"];
const UNFINISHED: [&str; 2] = ["todo", "unimplemented"];
/// Paths of the checkout that something was compiled in. `OUT_DIR` is allowed: cargo keeps it current.
const FIXED_PATHS: [&str; 2] = ["CARGO_MANIFEST_DIR", "CARGO_BIN_EXE_"];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    [first_line(source), notes(source), code(source), fixed_paths(source)].concat()
}

fn first_line(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    let rule = "the first line is not a `//! ` doc: say in one line what the room is";
    vec![source.finding(1, rule.to_string())]
}

fn notes(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, comment) in (1..).zip(source.comments.lines()) {
        for note in NOTES.iter().filter(|note| comment.contains(**note)) {
            findings.push(
                source.finding(line, format!("a {note}: finish it, or open an issue and remove the note")),
            );
        }
    }
    findings
}

fn code(source: &Source) -> Vec<Finding> {
    let tokens = source.tokens();
    let mut findings = Vec::new();
    for pair in tokens.windows(2) {
        if UNFINISHED.contains(&pair[0].text) && pair[1].text == "!" {
            let rule = format!("`{}!` is not finished: finish it", pair[0].text);
            findings.push(source.finding(pair[0].line, rule));
        }
    }
    for three in tokens.windows(3) {
        if matches!(three[0].text, "[" | ",") && three[1].text == "allow" && three[2].text == "(" {
            let rule = "`#[allow(`: fix what the lint says, or use `#[expect(lint, reason = \"…\")]`";
            findings.push(source.finding(three[1].line, rule.to_string()));
        }
    }
    findings
}

/// The code has blanks where the literal is: the macro is found there, its argument in the text.
fn fixed_paths(source: &Source) -> Vec<Finding> {
    let lines = (1..).zip(source.code.lines().zip(source.text.lines()));
    let fixed = lines.filter(|(_, (code, text))| {
        code.contains("env!(") && FIXED_PATHS.iter().any(|path| text.contains(&format!("env!(\"{path}")))
    });
    let rule = "a path fixed at compile time leads out of a copied checkout: find it when the program runs";
    fixed.map(|(line, _)| source.finding(line, rule.to_string())).collect()
}

/// Files that no `mod` reaches from `roots`, the files that cargo compiles.
pub(crate) fn unreached(sources: &[Source], roots: &[String]) -> Vec<Finding> {
    let by_path: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut reached = BTreeSet::new();
    let mut next: Vec<(String, bool)> = roots.iter().map(|root| (root.clone(), true)).collect();
    while let Some((path, is_root)) = next.pop() {
        let Some(source) = by_path.get(path.as_str()) else { continue };
        if reached.insert(path) {
            next.extend(children(source, is_root).into_iter().map(|child| (child, false)));
        }
    }
    let rule = "no `mod` reaches this file, so it is never compiled: name it in its room, or remove it";
    let lost = sources.iter().filter(|source| !reached.contains(&source.path));
    lost.map(|source| source.finding(1, rule.to_string())).collect()
}

fn children(source: &Source, is_root: bool) -> Vec<String> {
    children_of(source, &source.tokens(), is_root)
}

/// Where the modules may lie that these tokens of a file declare.
pub(crate) fn children_of(source: &Source, tokens: &[Token<'_>], is_root: bool) -> Vec<String> {
    let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let folder = if is_root || matches!(name, "mod" | "lib" | "main") { folder } else { stem };
    let declared = tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";");
    declared
        .flat_map(|three| {
            let module = three[1].text;
            [format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_the_habits_of_the_house() {
        let begins = |rest: &str| format!("//! What it is.\n{rest}");
        for (shows, text, found) in [
            ("in order", begins("fn f() {}"), 0),
            ("no doc", "fn f() {}".to_string(), 1),
            ("a note", begins("// TODO: more"), 1),
            ("another", begins("/* FIXME */"), 1),
            ("a text that says so", begins(r#"const A: &str = "TODO";"#), 0),
            ("unfinished", begins("fn f() { todo!() }"), 1),
            ("unfinished in another way", begins("fn f() { unimplemented!() }"), 1),
            ("a lint silenced", begins("#[allow(dead_code)]"), 1),
            ("in the whole file", begins("#![allow(dead_code)]"), 1),
            ("on a condition", begins("#[cfg_attr(test, allow(dead_code))]"), 1),
            ("a lint that is expected", begins("#[expect(dead_code, reason = \"x\")]"), 0),
            ("a function of that name", begins("fn f() { allow(1) }"), 0),
            ("a path of the checkout", begins(r#"fn f() -> &str { env!("CARGO_MANIFEST_DIR") }"#), 1),
            ("a program's path", begins(r#"fn f() -> &str { env!("CARGO_BIN_EXE_x") }"#), 1),
            ("the version", begins(r#"fn f() -> &str { env!("CARGO_PKG_VERSION") }"#), 0),
            ("a comment on it", begins(r#"// env!("CARGO_MANIFEST_DIR")"#), 0),
        ] {
            let findings = check(&Source::new("x.rs", &text));
            assert_eq!(findings.len(), found, "{shows}: {findings:?}");
        }
    }

    #[test]
    fn a_file_that_no_mod_reaches_is_found() {
        let sources = [
            ("a/src/lib.rs", "mod one;\npub mod two;\n// mod lost;"),
            ("a/src/one.rs", "mod inner;"),
            ("a/src/one/inner.rs", ""),
            ("a/src/two/mod.rs", "#[cfg(test)]\nmod tests;"),
            ("a/src/two/tests.rs", ""),
            ("a/src/two/lost.rs", ""),
            ("a/src/inner.rs", ""),
            ("a/src/lost.rs", ""),
            ("a/tests/main.rs", ""),
        ];
        let sources = sources.map(|(path, text)| Source::new(path, text));
        let roots = ["a/src/lib.rs", "a/tests/main.rs"].map(String::from);
        let lost: Vec<String> = unreached(&sources, &roots).into_iter().map(|finding| finding.path).collect();
        assert_eq!(lost, ["a/src/two/lost.rs", "a/src/inner.rs", "a/src/lost.rs"]);
    }
}
