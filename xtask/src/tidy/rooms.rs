//! Which room may name which foreign crate.

use crate::tidy::Finding;
use crate::tidy::source::{Source, Token, is_word};

/// Only these rooms name these crates.
struct Only {
    crates: &'static [&'static str],
    rooms: &'static [&'static str],
    instead: &'static str,
}

const ONLY: [Only; 3] = [
    Only {
        crates: &["aya", "aya_obj", "aya_log"],
        // wire.rs: aya's marker for map data has to stand next to the types, by the orphan rule.
        rooms: &["lb-agent/src/datapath", "lb-common/src/wire"],
        instead: "ask `datapath` for what you need",
    },
    Only { crates: &["kube"], rooms: &["lb-agent/src/api"], instead: "ask `api` for what you need" },
    Only {
        crates: &["k8s_openapi"],
        rooms: &[
            "lb-agent/src/convert",
            "lb-agent/src/manifest",
            "lb-agent/src/source/kube",
            "lb-agent/src/announce",
            "lb-agent/src/api",
        ],
        instead: "use the words of `model`, which `convert` makes",
    },
];

/// The kernel's own struct of a call, and the only file that touches it.
const CALL: (&str, &str) = ("bpf_sock_addr", "lb-ebpf/src/call");
const PROGRAMS: &str = "lb-ebpf/src";

/// The crates whose rooms these are; tests and tools may look at the kernel as they like.
const HOUSE: [&str; 2] = ["lb-agent/src", "lb-common/src"];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if source.is_in(PROGRAMS) {
        return touches_call(source);
    }
    if !HOUSE.iter().any(|house| source.is_in(house)) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let named = crates_named(&tokens);
    let mut findings = Vec::new();
    for Token { line, text } in named {
        for only in ONLY.iter().filter(|only| only.crates.contains(&text)) {
            if !only.rooms.iter().any(|room| source.is_in(room)) {
                let rule = format!("only {} may name `{text}`: {}", only.rooms.join(" and "), only.instead);
                findings.push(source.finding(line, rule));
            }
        }
    }
    findings
}

fn touches_call(source: &Source) -> Vec<Finding> {
    let (word, file) = CALL;
    let tokens = source.tokens();
    let named = tokens.iter().filter(|token| token.text == word && !source.is_in(file));
    let rule = format!("only {file}.rs may touch `{word}`: ask `Call` for what you need");
    named.map(|token| source.finding(token.line, rule.clone())).collect()
}

/// The words at which a path begins that may name a crate: `name::…`, `use name`, `::name`.
/// A module that the file itself declares is not a crate.
pub(crate) fn crates_named<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let own: Vec<&str> =
        tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text).collect();
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text);
    // For every open brace, whether it is of a path, as in `use a::{b}`.
    let mut braces = Vec::new();
    let mut named = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (text(at.checked_sub(1)), text(Some(at + 1)));
        match token.text {
            "{" => braces.push(before == "::"),
            "}" => drop(braces.pop()),
            word if !word.starts_with(is_word) || own.contains(&word) || braces.contains(&true) => {}
            _ => {
                let earlier = text(at.checked_sub(2));
                let continues = earlier != "use" && earlier.ends_with(|c| is_word(c) || c == '>');
                let is_rooted = before == "::" && !continues;
                let begins = !matches!(before, "::" | "." | "mod") || is_rooted;
                if begins && (after == "::" || before == "use" || before == "crate" || is_rooted) {
                    named.push(*token);
                }
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_names_only_what_it_may() {
        for (shows, path, text, found) in [
            ("aya outside of datapath", "lb-agent/src/run.rs", "use aya::Ebpf;", 1),
            ("aya inside", "lb-agent/src/datapath/bpf.rs", "use aya::Ebpf;", 0),
            ("the room as one file", "lb-agent/src/datapath.rs", "use aya::Ebpf;", 0),
            ("a room whose name begins alike", "lb-agent/src/datapaths.rs", "use aya::Ebpf;", 1),
            ("without use", "lb-agent/src/run.rs", "fn f() { aya::maps::x() }", 1),
            ("from the root", "lb-agent/src/run.rs", "use ::aya::Ebpf;", 1),
            ("as another name", "lb-agent/src/run.rs", "use aya as kernel;", 1),
            ("in a comment", "lb-agent/src/run.rs", "/// See aya::Ebpf.\nfn f() {}", 0),
            ("in a string", "lb-agent/src/run.rs", r#"const A: &str = "aya::Ebpf";"#, 0),
            ("kube outside of its source", "lb-agent/src/store.rs", "fn f(c: kube::Client) {}", 1),
            ("our own module kube", "lb-agent/src/run.rs", "use crate::source::kube::Source;", 0),
            (
                "our own module kube in a list",
                "lb-agent/src/run.rs",
                "use crate::source::{kube::Source, file};",
                0,
            ),
            ("where it is declared", "lb-agent/src/source/mod.rs", "mod kube;\nuse kube::Source;", 0),
            ("API types in convert", "lb-agent/src/convert/mod.rs", "use k8s_openapi::api;", 0),
            ("API types in the model", "lb-agent/src/model.rs", "use k8s_openapi::api;", 1),
            ("the kernel's call in its file", "lb-ebpf/src/call.rs", "fn f(c: &bpf_sock_addr) {}", 0),
            ("elsewhere", "lb-ebpf/src/forward.rs", "fn f(c: &bpf_sock_addr) {}", 1),
            ("tests of the kernel", "tests/src/site.rs", "use aya::Ebpf;", 0),
        ] {
            let findings = check(&Source::new(path, text));
            assert_eq!(findings.len(), found, "{shows}: {findings:?}");
        }
    }
}
