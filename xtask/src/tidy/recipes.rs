//! The recipes of ARCHITECTURE.md: how to add a thing, in at most four files, all of which exist.

use std::path::Path;

use super::Finding;
use super::promises::PAGE;

const HEADING: &str = "## How to add";
const MOST_FILES: usize = 4;

/// A recipe is a list item that begins with its name in bold; its files are the paths in backquotes. A part in
/// capitals stands for the name of the new thing, so that only its folder can exist.
pub(crate) fn check(page: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let after = page.lines().enumerate().skip_while(|(_, line)| *line != HEADING).skip(1);
    let part: Vec<(usize, &str)> = after.take_while(|(_, line)| !line.starts_with("## ")).collect();
    let finding = |line: usize, rule: String| Finding { path: PAGE.to_owned(), line: line + 1, rule };
    let mut findings = Vec::new();
    for recipe in part.chunk_by(|_, (_, line)| !line.starts_with("- **")) {
        let Some((line, _)) = recipe.first().filter(|(_, text)| text.starts_with("- **")) else { continue };
        let text = recipe.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(" ");
        let files: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| word.contains('/')).collect();
        if files.is_empty() || files.len() > MOST_FILES {
            let rule = format!(
                "a recipe names {} files: between 1 and {MOST_FILES}, or the house is wrong there",
                files.len()
            );
            findings.push(finding(*line, rule));
        }
        let lost = files.iter().filter(|file| !exists(known(file)));
        findings.extend(lost.map(|file| finding(*line, format!("there is no {file}"))));
    }
    if part.is_empty() {
        findings.push(finding(0, format!("the part {HEADING:?} is gone")));
    }
    findings
}

/// What of the path is there before the new thing is.
fn known(file: &str) -> &str {
    let is_new = |part: &str| part.chars().filter(|c| c.is_alphabetic()).take(2).all(char::is_uppercase);
    let mut end = 0;
    for part in file.split_inclusive('/') {
        if is_new(part) {
            break;
        }
        end += part.len();
    }
    &file[..end]
}

/// Whether a path of the tree is there.
pub(crate) fn is_there(root: &Path) -> impl Fn(&str) -> bool {
    move |file| root.join(file).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_names_at_most_four_files_that_exist() {
        let exists = |file: &str| matches!(file, "a/x.rs" | "a/y.rs" | "a/");
        for (shows, recipes, found) in [
            ("two that exist", "- **A map**: `a/x.rs`,\n  `a/y.rs`, `word`\n", 0),
            ("a new one", "- **A map**: `a/NAME.rs`, `a/NAME/mod.rs`\n", 0),
            ("one that is gone", "- **A map**: `a/z.rs`\n", 1),
            ("none", "- **A map**: nothing\n", 1),
            ("five", "- **A map**: `a/x.rs` `a/x.rs` `a/x.rs` `a/x.rs` `a/x.rs`\n", 1),
            ("two recipes", "- **A**: `a/x.rs`\n- **B**: `a/z.rs`\n", 1),
            ("another part", "- **A**: `a/x.rs`\n## More\n- **B**: `a/z.rs`\n", 0),
        ] {
            let findings = check(&format!("{HEADING}\n{recipes}"), exists);
            assert_eq!(findings.len(), found, "{shows}: {findings:?}");
        }
        assert_eq!(check("# Nothing\n", exists).len(), 1, "the part is gone");
    }
}
