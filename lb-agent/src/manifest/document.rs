//! The documents of a file, as plain trees: YAML, or JSON values one after another. Pure.

use serde_json::{Map, Value};

use super::json;
use super::split::{Part, parts};
use crate::yaml;

/// Takes what a file holds, in its order.
pub(super) trait Sink {
    /// An item of the list of the document that comes next, and the fields that stood before the list.
    fn item(&mut self, head: &Map<String, Value>, item: Value);

    /// The document, but for those items.
    fn document(&mut self, document: Value);

    /// The items since the last document are of none.
    fn forget(&mut self);

    /// There is a document that cannot be read, for this reason; the items since the last one were of it.
    fn unreadable(&mut self, why: String);
}

/// Hands the documents of `text` to `sink`.
///
/// As kubectl does it, whatever the file is called: what begins with a brace is JSON, values one after another;
/// all else is YAML. Unlike kubectl, what is no JSON from the start may still be YAML: a mapping begins so, too.
pub(super) fn read(text: &str, sink: &mut impl Sink) {
    for part in parts(text) {
        let bare = part.text.trim_start();
        if !bare.starts_with('{') {
            yaml(part, sink).unwrap_or_else(|why| sink.unreadable(why));
            continue;
        }
        let mut counted = Counted { sink, documents: 0 };
        let Err(error) = json::read(part.text, &mut counted) else { continue };
        let Counted { sink, documents } = counted;
        let why = placed(&error, part.lines_before);
        if documents > 0 {
            sink.unreadable(why);
            continue;
        }
        sink.forget();
        let is_json = bare.get(1..).is_some_and(|rest| rest.trim_start().starts_with('"'));
        yaml(part, sink).unwrap_or_else(|no_yaml| sink.unreadable(if is_json { why } else { no_yaml }));
    }
}

fn yaml(part: Part<'_>, sink: &mut impl Sink) -> Result<(), String> {
    let document = yaml::pieces(part.text, &mut |head, item| sink.item(head, item));
    let document = document.map_err(|mut why| {
        why.place.line += part.lines_before;
        why.to_string()
    })?;
    sink.document(document);
    Ok(())
}

/// What is wrong, with its line in the file.
fn placed(error: &serde_json::Error, lines_before: usize) -> String {
    let said = error.to_string();
    let (line, column) = (error.line(), error.column());
    let what = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
    format!("line {}, column {column}: {what}", line + lines_before)
}

/// Knows how many documents were handed on.
struct Counted<'a, S> {
    sink: &'a mut S,
    documents: usize,
}

impl<S: Sink> Sink for Counted<'_, S> {
    fn item(&mut self, head: &Map<String, Value>, item: Value) {
        self.sink.item(head, item);
    }

    fn document(&mut self, document: Value) {
        self.documents += 1;
        self.sink.document(document);
    }

    fn forget(&mut self) {
        self.sink.forget();
    }

    fn unreadable(&mut self, why: String) {
        self.sink.unreadable(why);
    }
}
