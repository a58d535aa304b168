//! The invariants of ARCHITECTURE.md: each names tests, and those exist.

use std::collections::BTreeSet;

use super::Finding;
use super::source::Source;

/// Where the invariants stand, from this heading to the next.
pub(crate) const PAGE: &str = "ARCHITECTURE.md";
const HEADING: &str = "## Invariants";

/// Every item of the list names at least one test in backquotes, and each of them is a function.
pub(crate) fn check(page: &str, sources: &[Source]) -> Vec<Finding> {
    let functions: BTreeSet<&str> = sources.iter().flat_map(functions).collect();
    let after = page.lines().enumerate().skip_while(|(_, line)| *line != HEADING).skip(1);
    let part: Vec<(usize, &str)> = after.take_while(|(_, line)| !line.starts_with("## ")).collect();
    let finding = |line: usize, rule: String| Finding { path: PAGE.to_owned(), line: line + 1, rule };
    let mut findings = Vec::new();
    for item in part.chunk_by(|_, (_, line)| !line.starts_with("- ")) {
        let Some((line, _)) = item.first().filter(|(_, text)| text.starts_with("- ")) else { continue };
        let text = item.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" ");
        let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| is_test_name(word)).collect();
        if named.is_empty() {
            findings
                .push(finding(*line, "an invariant names no test: say which one breaks with it".to_owned()));
        }
        for name in named.into_iter().filter(|name| !functions.contains(name)) {
            findings
                .push(finding(*line, format!("there is no test {name}: name the one that took its place")));
        }
    }
    if part.is_empty() {
        findings.push(finding(0, format!("the part {HEADING:?} is gone")));
    }
    findings
}

/// Test names are sentences: words of code have fewer underscores.
fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn functions(source: &Source) -> Vec<&str> {
    let tokens = source.tokens();
    tokens.windows(2).filter(|pair| pair[0].text == "fn").map(|pair| pair[1].text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_without_a_test_that_exists_is_found() {
        let sources = [Source::new("a.rs", "fn this_is_a_test() {}\n")];
        for (shows, page, found) in [
            ("a test that exists", "## Invariants\n- Holds.\n  `this_is_a_test`\n", 0),
            ("one that does not", "## Invariants\n- Holds. `this_is_no_test`\n", 1),
            ("none", "## Invariants\n- Holds, `a` says.\n- Too. `this_is_a_test`\n", 1),
            ("other parts do not count", "- no\n## Invariants\nText.\n## More\n- no\n", 0),
            ("the part is gone", "# Nothing\n", 1),
        ] {
            assert_eq!(check(page, &sources).len(), found, "{shows}");
        }
    }
}
