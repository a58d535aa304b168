//! Recorded layouts: what the last landed version has recorded may not change any more.

use std::path::Path;

use super::Finding;
use crate::builds::at_previous;

/// One file a layout version; a test compares the newest with what is built.
pub(crate) const FOLDER: &str = "lb-common/layouts/";

/// `paths` are those of the tree. A clone without that version has nothing to compare with.
pub(crate) fn check(root: &Path, paths: &[String]) -> Vec<Finding> {
    let recorded = paths.iter().filter(|path| path.starts_with(FOLDER));
    let pairs = recorded.filter_map(|path| {
        let now = std::fs::read_to_string(root.join(path)).ok()?;
        Some((path.clone(), now, at_previous(path)?))
    });
    pairs.filter_map(|(path, now, then)| changed(path, &now, &then)).collect()
}

fn changed(path: String, now: &str, then: &str) -> Option<Finding> {
    let differs = |(now, then): (&str, &str)| now != then;
    let line = now.trim_end().lines().zip(then.trim_end().lines()).position(differs);
    let rule =
        "this layout has landed, and maps of it outlive their agent: record the change as another version";
    (now.trim_end() != then.trim_end()).then(|| Finding {
        path,
        line: line.unwrap_or_default() + 1,
        rule: rule.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_has_landed_stays_as_it_is() {
        let at = |now, then| changed("v1.txt".to_owned(), now, then).map(|finding| finding.line);
        assert_eq!(at("a\nb\n", "a\nb"), None);
        assert_eq!(at("a\nc\n", "a\nb\n"), Some(2));
        assert_eq!(at("a\n", "a\nb\n"), Some(1), "a line is gone");
    }
}
