//! A file's text into its documents, each still a plain tree, numbered from 1.

use serde_json::Value;

use super::Unusable;

/// A document's number and its tree, or why it has none.
pub(super) type Document = (usize, Result<Value, Unusable>);

/// One object or list; nothing but blanks is no document.
pub(super) fn json(text: &str) -> Vec<Document> {
    let text = without_mark(text);
    if text.trim().is_empty() {
        return Vec::new();
    }
    vec![(1, serde_json::from_str(text).map_err(|error| unreadable(None, &error.to_string())))]
}

/// The documents that `---` divides. What stands before the first `---` is a document only if
/// it holds more than comments and directives.
pub(super) fn yaml(text: &str) -> Vec<Document> {
    let text = without_mark(text);
    let documents = bounds(text).into_iter().enumerate().map(|(index, (start, end))| {
        let number = index + 1;
        let value = parse(&text[start..end]).map_err(|error| {
            // Read again with the lines before it, so that the line in the message is the file's.
            let before = "\n".repeat(text[..start].matches('\n').count());
            let placed = parse(&(before + &text[start..end])).err().unwrap_or(error);
            unreadable(Some(number), &placed.render_with_formatter(&serde_saphyr::UserMessageFormatter))
        });
        (number, value)
    });
    documents.collect()
}

/// Some editors begin a file with a byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn unreadable(document: Option<usize>, message: &str) -> Unusable {
    Unusable { document, field: None, message: message.trim_end().replace('\n', " ") }
}

fn bounds(text: &str) -> Vec<(usize, usize)> {
    let mut starts = vec![0];
    let mut position = 0;
    let mut only_preface = true;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if is_divider(bare) {
            if !(only_preface && starts.len() == 1) {
                starts.push(position);
            }
            only_preface = false;
        } else if !(bare.is_empty() || bare.starts_with(['#', '%'])) {
            only_preface = false;
        }
        position += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]).collect::<Vec<_>>();
    starts.into_iter().zip(ends).collect()
}

fn is_divider(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// The reader's limits are there against bombs of aliases; the size of an honest file is not
/// limited.
fn parse(document: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: 100_000_000,
            max_nodes: 50_000_000,
            max_total_scalar_bytes: 1 << 30,
            max_total_comment_bytes: 1 << 30,
        },
    };
    let value: Option<Value> = serde_saphyr::from_str_with_options(document, options)?;
    Ok(value.unwrap_or_default())
}
