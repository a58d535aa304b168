//! Words that plain English seldom needs: how often they may still stand in the project.

use super::Finding;
use super::source::Source;

/// A word in its forms, how often it may stand in sources and pages, and what says it plainly.
/// The number only shrinks.
const BUDGET: [(&[&str], usize, &str); 4] = [
    (&["tell", "tells", "told", "telling"], 88, "say what happens: \"reports\", \"shows\", \"is sent\""),
    (&["nobody", "whoever"], 0, "name who: \"no process\", \"the next program\""),
    (&["mend", "mends", "mended", "mending"], 0, "\"repair\" or \"fix\""),
    (&["is none", "are none"], 16, "\"is not one\", \"does not exist\""),
];

/// Comments, messages and names alike; `pages` are their paths and texts.
pub(crate) fn check(sources: &[Source], pages: &[(String, String)]) -> Vec<Finding> {
    let mut counts = [const { Vec::new() }; BUDGET.len()];
    for source in sources.iter().filter(|source| !source.is_in("xtask/src/tidy/words")) {
        count(&source.path, &source.text, &mut counts);
    }
    for (path, text) in pages {
        count(path, text, &mut counts);
    }
    let mut findings = Vec::new();
    for ((forms, most, instead), found) in BUDGET.iter().zip(&counts) {
        if found.len() > *most {
            let rule = format!(
                "\"{}\" stands {} times in sources and pages, {most} are the most (xtask/src/tidy/words.rs): {instead}",
                forms[0],
                found.len()
            );
            findings.extend(found.last().map(|(path, line)| Finding {
                path: path.clone(),
                line: *line,
                rule,
            }));
        }
    }
    findings
}

fn count(path: &str, text: &str, counts: &mut [Vec<(String, usize)>]) {
    for (line, words) in (1..).zip(text.lines()) {
        // Two words are counted in sentences alone, as `is_none` is Rust's own.
        let [plain, sentence] = [false, true].map(|joins| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' && joins;
            let text: String =
                words.to_lowercase().chars().map(|c| if is_word(c) { c } else { ' ' }).collect();
            format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        for ((forms, ..), found) in BUDGET.iter().zip(counts.iter_mut()) {
            let times: usize = forms
                .iter()
                .map(|form| {
                    if form.contains(' ') { &sentence } else { &plain }.matches(&format!(" {form} ")).count()
                })
                .sum();
            found.extend((0..times).map(|_| (path.to_owned(), line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_count_in_comments_messages_names_and_pages() {
        for (shows, text, found) in [
            ("a comment", "// Told by nobody.\n", 2),
            ("a part of a word", "// amended, a teller\n", 0),
            ("a name", "fn told_twice() {}", 1),
            ("a message", "f(\"nobody\")", 1),
            ("two words", "/// There is  none.\n", 1),
            ("two words of the language", "x.is_none()", 0),
        ] {
            let mut counts = [const { Vec::new() }; BUDGET.len()];
            count("x.rs", text, &mut counts);
            assert_eq!(counts.iter().map(Vec::len).sum::<usize>(), found, "{shows}");
        }
    }

    #[test]
    fn one_more_than_the_budget_is_found() {
        let page = |times| vec![("a.md".to_owned(), "told\n".repeat(times))];
        let most = BUDGET[0].1;
        assert!(check(&[], &page(most)).is_empty());
        assert_eq!(check(&[], &page(most + 1)).len(), 1);
    }
}
