//! What failed tests wrote, shortened: the summary says it again, where a long log ends.

use std::collections::{BTreeMap, VecDeque};

/// Lines of one test that are kept: its panic begins with the first ones, and ends with the last.
const FIRST: usize = 6;
const LAST: usize = 10;
/// Characters of a line that are kept.
const LONGEST: usize = 300;

/// By the names of tests, read from the lines that libtest writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpts {
    by_test: BTreeMap<String, Excerpt>,
    /// Whose lines come now.
    current: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Excerpt {
    part: Part,
    first: Vec<String>,
    left_out: usize,
    last: VecDeque<String>,
}

/// Where in what a test wrote the next line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Output,
    Panic,
    /// It says nothing that the panic does not.
    Backtrace,
}

impl Excerpts {
    pub(super) fn read(&mut self, line: &str) {
        if let Some(name) = test_of(line) {
            self.by_test.insert(name.to_owned(), Excerpt::default());
            self.current = Some(name.to_owned());
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.current = None;
        } else if let Some(excerpt) = self.current.as_ref().and_then(|name| self.by_test.get_mut(name)) {
            excerpt.add(line);
        }
    }

    pub(super) fn add(&mut self, others: Self) {
        self.by_test.extend(others.by_test);
    }

    pub(super) fn of(&self, test: &str) -> Vec<String> {
        self.by_test.get(test).map(Excerpt::lines).unwrap_or_default()
    }
}

impl Excerpt {
    fn add(&mut self, line: &str) {
        if line.starts_with("thread '") && line.contains(" panicked at ") {
            if self.part == Part::Output {
                // What the test wrote before is of less use.
                *self = Self::default();
            }
            self.part = Part::Panic;
        }
        if line.trim().eq_ignore_ascii_case("stack backtrace:") {
            self.part = Part::Backtrace;
        }
        let is_note = line.starts_with("note: run with `RUST_BACKTRACE=1`");
        if self.part == Part::Backtrace || is_note || line.trim().is_empty() {
            return;
        }
        let line: String = line.chars().take(LONGEST).collect();
        if self.first.len() < FIRST {
            self.first.push(line);
            return;
        }
        self.last.push_back(line);
        if self.last.len() > LAST {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    fn lines(&self) -> Vec<String> {
        let left_out = (self.left_out > 0).then(|| format!("[{} lines left out]", self.left_out));
        self.first.iter().cloned().chain(left_out).chain(self.last.iter().cloned()).collect()
    }
}

/// Reads `---- NAME stdout ----`.
fn test_of(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Excerpts {
        let mut excerpts = Excerpts::default();
        lines.iter().for_each(|line| excerpts.read(line));
        excerpts
    }

    #[test]
    fn the_panic_of_each_failed_test_is_kept_and_nothing_else() {
        let excerpts = read(&[
            "test room::first ... FAILED",
            "failures:",
            "",
            "---- room::first stdout ----",
            "what it wrote before",
            "",
            "thread 'room::first' (7) panicked at room.rs:5:9:",
            "no line \"x\" in its place",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "",
            "---- room::thread stdout ----",
            "thread 'helper' (8) panicked at room.rs:1:1:",
            "of a thread",
            "stack backtrace:",
            "   0: core::ops::function",
            "thread 'room::thread' (9) panicked at room.rs:2:2:",
            "of the test",
            "---- room::second stdout ----",
            "Error: it returned an error",
            "",
            "Stack backtrace:",
            "   0: core::ops::function",
            "",
            "failures:",
            "    room::first",
            "test result: FAILED. 0 passed; 2 failed; 0 ignored",
            "after it",
        ]);
        let panic = ["thread 'room::first' (7) panicked at room.rs:5:9:", "no line \"x\" in its place"];
        assert_eq!(excerpts.of("room::first"), panic);
        assert_eq!(excerpts.of("room::second"), ["Error: it returned an error"]);
        let [helper, test] = [
            "thread 'helper' (8) panicked at room.rs:1:1:",
            "thread 'room::thread' (9) panicked at room.rs:2:2:",
        ];
        assert_eq!(excerpts.of("room::thread"), [helper, "of a thread", test, "of the test"]);
        assert_eq!(excerpts.of("room::third"), Vec::<String>::new());
    }

    #[test]
    fn a_long_panic_is_shortened_to_its_first_and_last_lines() {
        let long: Vec<String> = (0..100).map(|number| format!("{number} {}", "é".repeat(1000))).collect();
        let lines = ["---- room::long stdout ----"].into_iter().chain(long.iter().map(String::as_str));
        let kept = read(&lines.collect::<Vec<_>>()).of("room::long");
        assert_eq!(kept.len(), FIRST + 1 + LAST);
        assert!(kept[0].starts_with("0 é") && kept[FIRST + LAST].starts_with("99 é"), "{kept:?}");
        assert_eq!(kept[FIRST], "[84 lines left out]");
        assert!(kept.iter().all(|line| line.chars().count() <= LONGEST));
    }
}
