//! Which code is compiled for tests alone: files behind `#[cfg(test)] mod …;`, and items within a file.

use std::collections::{BTreeMap, BTreeSet};

use super::files::children_of;
use super::source::{Source, Token};

const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Every file that only tests reach, and the tests of a package (`tests/` next to its `src/`).
pub(crate) fn files(sources: &[Source]) -> BTreeSet<String> {
    let by_path: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut next: Vec<String> = Vec::new();
    for source in sources {
        let tokens = source.tokens();
        let for_tests = items(&tokens).into_iter().flat_map(|item| tokens[item].to_vec());
        let for_tests: Vec<Token<'_>> = for_tests.collect();
        next.extend(children_of(source, &for_tests, false));
        if source.path.contains("/tests/") && !source.path.contains("/src/") {
            next.push(source.path.clone());
        }
    }
    let mut found = BTreeSet::new();
    while let Some(path) = next.pop() {
        let Some(source) = by_path.get(path.as_str()) else { continue };
        if found.insert(path) {
            next.extend(children_of(source, &source.tokens(), false));
        }
    }
    found
}

/// The tokens of what is compiled without tests as well.
pub(crate) fn without<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut from = 0;
    for item in items(tokens) {
        kept.extend_from_slice(&tokens[from..item.start]);
        from = item.end;
    }
    kept.extend_from_slice(&tokens[from..]);
    kept
}

/// The items behind `#[cfg(test)]`, from the mark to their end.
pub(crate) fn items(tokens: &[Token<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_mark = tokens[at..].iter().map(|token| token.text).take(MARK.len()).eq(MARK);
        let end = if is_mark { end_of_item(tokens, at + MARK.len()) } else { at + 1 };
        if is_mark {
            found.push(at..end);
        }
        at = end;
    }
    found
}

/// Past its `;`, or past the brace that closes it.
fn end_of_item(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut is_use = false;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "use" if depth == 0 => is_use = true,
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_compile_is_set_apart() {
        for (shows, text, kept) in [
            ("a module", "a #[cfg(test)] mod tests { fn f() {} } b", "a b"),
            ("a file", "a #[cfg(test)] mod tests; b", "a b"),
            ("an import of many", "a #[cfg(test)] use x::{y, z}; b", "a b"),
            ("another attribute", "a #[cfg(test)] #[expect(x)] fn f(a: [u8; 2]) { {} } b", "a b"),
            ("another condition", "#[cfg(unix)] b", "# [ cfg ( unix ) ] b"),
        ] {
            let source = Source::new("x.rs", text);
            let texts: Vec<&str> = without(&source.tokens()).iter().map(|token| token.text).collect();
            assert_eq!(texts.join(" "), kept, "{shows}");
        }
    }

    #[test]
    fn files_of_tests_are_found_with_all_that_they_declare() {
        let sources = [
            ("a/src/lib.rs", "mod one; #[cfg(test)] mod tests;"),
            ("a/src/one.rs", ""),
            ("a/src/tests.rs", "mod inner;"),
            ("a/src/tests/inner.rs", ""),
            ("a/tests/main.rs", ""),
        ];
        let sources = sources.map(|(path, text)| Source::new(path, text));
        let found: Vec<String> = files(&sources).into_iter().collect();
        assert_eq!(found, ["a/src/tests.rs", "a/src/tests/inner.rs", "a/tests/main.rs"]);
    }
}
