//! Pages: where a link leads there is something, and the book in `docs` has each page that lies there.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

/// The contents of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Links to files of this tree exist, and so do the headings that they name. `is_there` knows every file and folder by
/// its path from the root.
pub(crate) fn check(pages: &[(String, String)], is_there: impl Fn(&str) -> bool) -> Vec<Finding> {
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut findings = Vec::new();
    let mut in_book = BTreeSet::new();
    for (page, text) in pages {
        for (line, target) in links(text) {
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, at)| (file, Some(at)));
            let found = if file.is_empty() { Some(page.clone()) } else { resolved(page, file) };
            let mut broken = |what: &str| {
                let rule = format!("the link {target:?} leads nowhere: {what}");
                findings.push(Finding { path: page.clone(), line, rule });
            };
            match found {
                Some(found) if is_there(&found) => {
                    let known = anchors.get(found.as_str());
                    if let (Some(anchor), Some(known)) = (anchor, known)
                        && !known.contains(anchor)
                    {
                        broken(&format!("{found} has no such heading"));
                    }
                    if page == SUMMARY {
                        in_book.insert(found);
                    }
                }
                Some(found) => broken(&format!("there is no {found}")),
                None => broken("it leaves this tree"),
            }
        }
    }
    let of_book = pages.iter().filter(|(path, _)| path.starts_with("docs/") && path != SUMMARY);
    let missing = of_book.filter(|(path, _)| !in_book.contains(path));
    findings.extend(missing.map(|(path, _)| Finding {
        path: path.clone(),
        line: 1,
        rule: format!("{SUMMARY} does not name this page: add it where a reader would look for it"),
    }));
    findings
}

/// Lines, counted from 1, and targets of all links and images to files of this tree.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, words) in prose(text) {
        // What stands in backquotes is code.
        for part in words.split('`').step_by(2) {
            let targets = part.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            let targets = targets.map(|(target, _)| target);
            found.extend(targets.filter(|target| !target.contains("://")).map(|target| (line, target)));
        }
    }
    found
}

/// Lines outside of blocks of code, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((at + 1, line))
    })
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let shown = heading.trim().to_lowercase();
        let kept = shown.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// The path from the root of what `page` calls `file`; `None` where that is outside of it.
fn resolved(page: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let pages: Vec<(String, String)> =
            pages.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let is_there = |path: &str| path == "docs/design" || pages.iter().any(|(known, _)| known == path);
        check(&pages, is_there).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "# Two words, `code`\n## A\n## A\n";
        for (shows, text, says) in [
            ("a page", "[x](docs/a.md)", None),
            ("a heading", "[x](docs/a.md#two-words-code)", None),
            ("one of the same name", "[x](docs/a.md#a-1)", None),
            ("one of this page", "# Here\n[x](#here)", None),
            ("a folder", "[x](docs/design/)", None),
            ("elsewhere", "[x](https://example.com/docs/b.md)", None),
            ("code", "`[x](b.md)`\n```\n[x](b.md)\n```", None),
            ("no such page", "\n[x](docs/b.md)", Some("R.md:2")),
            ("no such image", "![x](docs/b.png)", Some("no docs/b.png")),
            ("no such heading", "[x](docs/a.md#b)", Some("no such heading")),
            ("the second of a line", "[x](docs/a.md) [x](#b)", Some("no such heading")),
            ("out of the tree", "[x](../b.md)", Some("leaves this tree")),
        ] {
            let found = found(&[("R.md", text), ("docs/a.md", page), (SUMMARY, "[a](a.md)")]);
            assert_eq!(found.len(), usize::from(says.is_some()), "{shows}: {found:?}");
            assert!(says.is_none_or(|says| found[0].contains(says)), "{shows}: {found:?}");
        }
    }

    #[test]
    fn a_page_that_the_book_does_not_name_is_found() {
        let pages = [("README.md", ""), ("docs/a.md", ""), ("docs/b/c.md", ""), (SUMMARY, "- [A](a.md)")];
        let found = found(&pages);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("docs/b/c.md:1: docs/SUMMARY.md does not name"), "{found:?}");
    }
}
