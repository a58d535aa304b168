//! A file's text into its parts, as `---` divides it. Pure.

/// One part, without the divider before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// How many lines of the file come before it.
    pub(super) lines_before: usize,
}

/// The parts of a file. What stands before the first `---` is a part only if it holds more than comments and
/// directives, and so is what comes after a `...`, which ends a document.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Vec::new();
    let mut here = Here { start: 0, line: 0, holds: Holds::Preface };
    let mut position = 0;
    for (line, written) in text.split_inclusive('\n').enumerate() {
        let bare = written.trim_end();
        if begins(bare, DIVIDER) {
            // A directive speaks of the document that follows, and needs the divider after it.
            if here.holds == Holds::Directive {
                here.holds = Holds::Document;
            } else {
                parts.extend(here.part(text, position));
                here = Here { start: position + DIVIDER.len(), line, holds: Holds::Document };
            }
        } else if begins(bare, END) {
            parts.extend(here.part(text, position));
            here = Here { start: position + written.len(), line: line + 1, holds: Holds::Preface };
        } else if here.holds == Holds::Preface && bare.starts_with('%') {
            here.holds = Holds::Directive;
        } else if !(bare.is_empty() || bare.starts_with('#')) {
            here.holds = Holds::Document;
        }
        position += written.len();
    }
    parts.extend(here.part(text, text.len()));
    parts
}

const DIVIDER: &str = "---";
const END: &str = "...";

/// Whether a line is this mark: behind it stands nothing, or blanks, or a comment, with or without a blank, or the
/// beginning of a document.
fn begins(line: &str, mark: &str) -> bool {
    line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '#']))
}

/// Where the part at hand begins.
struct Here {
    start: usize,
    line: usize,
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Blanks and comments, before any divider.
    Preface,
    /// A `%` line as well.
    Directive,
    Document,
}

impl Here {
    fn part<'a>(&self, text: &'a str, end: usize) -> Option<Part<'a>> {
        let text = text.get(self.start..end)?;
        (self.holds == Holds::Document).then_some(Part { text, lines_before: self.line })
    }
}
