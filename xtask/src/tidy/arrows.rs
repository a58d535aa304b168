//! Which room of the agent may name which: from the bottom to the top, so that no arrow runs up.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Source, Token, is_word};
use super::testing;

/// A room, and the rooms that it may name. Every one of these stands above it in the table.
type Row = (&'static str, &'static [&'static str]);

/// `ARCHITECTURE.md` has the same table.
const ROOMS: [Row; 26] = [
    ("plants", &[]),
    ("shown", &[]),
    ("model", &["shown"]),
    ("suggest", &[]),
    ("telemetry", &["shown"]),
    ("yaml", &[]),
    ("convert", &["model", "shown"]),
    ("manifest", &["convert", "model", "yaml", "shown"]),
    ("select", &["model", "shown"]),
    ("store", &["select", "model", "shown"]),
    ("plan", &["store", "select", "model", "plants"]),
    ("view", &["plan", "store", "select", "suggest", "model", "shown"]),
    ("api", &["model", "yaml", "shown"]),
    ("source", &["api", "manifest", "convert", "model", "shown"]),
    ("host", &["model"]),
    ("self_test", &["model", "shown"]),
    ("announce", &["api", "view", "store", "select", "suggest", "model", "shown"]),
    ("datapath", &["plan", "model", "shown", "plants"]),
    ("peers", &["datapath", "host", "plan", "store", "model", "shown"]),
    (
        "writer",
        &[
            "datapath",
            "peers",
            "self_test",
            "announce",
            "source",
            "view",
            "plan",
            "store",
            "select",
            "suggest",
            "model",
            "shown",
        ],
    ),
    ("serve", &["datapath", "view", "plan", "telemetry", "model"]),
    ("check", &["datapath", "plan", "api", "model", "shown"]),
    ("uninstall", &["api", "shown"]),
    ("remote", &["api", "shown"]),
    ("config", &["announce", "source", "plan", "store", "select", "model"]),
    (
        "run",
        &[
            "config",
            "serve",
            "writer",
            "peers",
            "self_test",
            "datapath",
            "announce",
            "host",
            "source",
            "api",
            "view",
            "plan",
            "store",
            "model",
            "shown",
        ],
    ),
];

/// Rooms on top, which may name every other one.
const TOP: [&str; 2] = ["cli", "fuzzing"];

/// Arrows that are wrong and not removed yet. One that is not drawn any more has to go from here.
const WRONG: [(&str, &str, &str); 0] = [];

const CRATE: &str = "lb-agent/src/";
/// Where the table stands in [`super::promises::PAGE`].
const HEADING: &str = "## Floors";

pub(crate) fn check(sources: &[Source], of_tests: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = BTreeSet::new();
    for source in sources.iter().filter(|source| !of_tests.contains(&source.path)) {
        let Some((from, depth)) = place(&source.path) else { continue };
        if TOP.contains(&from) {
            continue;
        }
        let Some((_, may)) = ROOMS.iter().find(|(room, _)| *room == from) else {
            let rule =
                format!("the room `{from}` is not in the table of xtask/src/tidy/arrows.rs: give it a row");
            findings.push(source.finding(1, rule));
            continue;
        };
        for Token { line, text: to } in rooms_named(&testing::without(&source.tokens()), depth) {
            if to == from || may.contains(&to) || !is_room(to) {
                continue;
            }
            if WRONG.iter().any(|(a, b, _)| (*a, *b) == (from, to)) {
                wrong.insert((from, to));
                continue;
            }
            let rule = format!(
                "`{from}` may not name `{to}`, it may name [{}]: pass a value in, or move what both need to a \
                 room below them",
                may.join(", ")
            );
            findings.push(source.finding(line, rule));
        }
    }
    for (from, to, _) in WRONG.iter().filter(|(from, to, _)| !wrong.contains(&(*from, *to))) {
        let rule = format!("`{from}` does not name `{to}` any more: take it out of WRONG");
        findings.push(Finding { path: "xtask/src/tidy/arrows.rs".to_owned(), line: 1, rule });
    }
    findings
}

/// Whether the page has the same table: rows `| room | may name |`, from the bottom to the top.
pub(crate) fn check_page(page: &str) -> Vec<Finding> {
    let after = page.lines().enumerate().skip_while(|(_, line)| *line != HEADING).skip(1);
    let part = after.take_while(|(_, line)| !line.starts_with("## "));
    let rows: Vec<(usize, Vec<&str>, Vec<&str>)> = part
        .filter(|(_, line)| line.starts_with("| `"))
        .map(|(at, line)| {
            let mut cells = line.split('|').skip(1).map(words);
            (at, cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect();
    let finding = |line: usize, rule: String| Finding { path: super::promises::PAGE.to_owned(), line, rule };
    let expected = ROOMS.iter().map(|(room, may)| (vec![*room], may.to_vec()));
    let mut findings = Vec::new();
    for (at, (room, may)) in expected.enumerate() {
        let line = rows.get(at).map_or(1, |(line, ..)| line + 1);
        if rows.get(at).is_none_or(|(_, r, m)| (r, m) != (&room, &may)) {
            let may = may.iter().map(|room| format!("`{room}`")).collect::<Vec<_>>().join(", ");
            let rule =
                format!("row {} of {HEADING:?} differs from arrows.rs: `{}` | {may}", at + 1, room.join(""));
            findings.push(finding(line, rule));
        }
    }
    findings
}

fn words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn is_room(name: &str) -> bool {
    TOP.contains(&name) || ROOMS.iter().any(|(room, _)| *room == name)
}

/// The room of a file, and how deep its module lies below the crate's root.
fn place(path: &str) -> Option<(&str, usize)> {
    let module = path.strip_prefix(CRATE)?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    let room = module.split('/').next()?;
    (!matches!(room, "lib" | "main")).then(|| (room, module.split('/').count()))
}

/// What stands behind `crate::`, or behind as many `super::` as lead to the root.
fn rooms_named<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<Token<'a>> {
    let mut named = Vec::new();
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    for at in 0..tokens.len() {
        let mut after = at + 1;
        let is_rooted = match text(at) {
            "crate" => true,
            "super" if at == 0 || text(at - 1) != "::" => {
                let mut supers = 1;
                while text(after) == "::" && text(after + 1) == "super" {
                    supers += 1;
                    after += 2;
                }
                supers == depth
            }
            _ => false,
        };
        if !is_rooted || text(after) != "::" {
            continue;
        }
        if text(after + 1) == "{" {
            named.extend(first_words(&tokens[after + 2..]));
        } else {
            named.extend(tokens.get(after + 1).filter(|token| token.text.starts_with(is_word)));
        }
    }
    named
}

/// The words at which the paths of a group begin, up to the brace that closes it.
fn first_words<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut found = Vec::new();
    let (mut depth, mut begins) = (0, true);
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" if depth == 0 => return found,
            "}" => depth -= 1,
            "," if depth == 0 => begins = true,
            word if begins && word.starts_with(is_word) => {
                found.push(*token);
                begins = false;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrow_of_the_table_runs_down() {
        for (at, (room, may)) in ROOMS.iter().enumerate() {
            for below in *may {
                assert!(ROOMS[..at].iter().any(|(lower, _)| lower == below), "{room} to {below}");
            }
        }
    }

    #[test]
    fn a_room_names_only_those_below_it() {
        for (shows, path, text, found) in [
            ("down", "plan/diff.rs", "use crate::model::Kind;", 0),
            ("up", "plan/diff.rs", "use crate::datapath::sys;", 1),
            ("to the top", "plan/diff.rs", "use crate::cli::print;", 1),
            ("within", "plan/diff.rs", "use crate::plan::mirror;", 0),
            ("in an expression", "model.rs", "fn f() { crate::store::x() }", 1),
            ("in a group", "store/mod.rs", "use crate::{model::{Kind, plan}, view::status};", 1),
            ("by super, to the root", "store/mod.rs", "use super::view::status;", 1),
            ("by super, deeper", "store/tests/x.rs", "use super::super::super::view::status;", 1),
            ("by super, within", "store/claims.rs", "use super::view;", 0),
            ("in a test", "plan/diff.rs", "#[cfg(test)] mod tests { use crate::source::file; }", 0),
            ("a comment", "model.rs", "/// See [`crate::store`].\nfn f() {}", 0),
            ("the top", "cli/plan.rs", "use crate::source::file;", 0),
            ("a room without a row", "extra.rs", "", 1),
            ("the root", "lib.rs", "mod extra; use crate::cli::x;", 0),
        ] {
            let sources = [Source::new(&format!("{CRATE}{path}"), text)];
            let findings = check(&sources, &BTreeSet::new());
            let findings: Vec<_> =
                findings.iter().filter(|finding| finding.path.starts_with(CRATE)).collect();
            assert_eq!(findings.len(), found, "{shows}: {findings:?}");
        }
    }

    #[test]
    fn the_page_has_the_same_table() {
        let row = |(room, may): &Row| {
            let may: Vec<String> = may.iter().map(|room| format!("`{room}`")).collect();
            format!("| `{room}` | {} |\n", may.join(", "))
        };
        let rows: Vec<String> = ROOMS.iter().map(row).collect();
        let page =
            |rows: &[String]| format!("{HEADING}\n\n| room | may name |\n|---|---|\n{}", rows.concat());
        assert_eq!(check_page(&page(&rows)), []);
        assert!(!check_page(&page(&rows[1..])).is_empty(), "a row is missing");
        assert!(!check_page("").is_empty(), "the table is missing");
        let other = rows.join("").replace("| `model` |", "| `model`, `view` |");
        assert!(!check_page(&page(&[other])).is_empty(), "another arrow");
    }
}
