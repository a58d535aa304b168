//! YAML as the Go library reads it that kubectl and Kubernetes use (`sigs.k8s.io/yaml`): version 1.1 as a
//! tree of JSON. Pure.

mod held;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;

use granit_parser::{Event, Parser, ScanError, Span};
use serde_json::{Map, Value};

use scalar::Scalar;
use tree::{Odd, Tree};

pub use held::{Held, TooLarge};
pub use scalar::of_float;

/// Why a text is no YAML. It never quotes the text, which may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct NotYaml {
    /// Both count from 1.
    pub line: usize,
    pub column: usize,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a syntax error")]
    Syntax,
    #[error("a value does not fit its tag")]
    Tag,
    #[error("a number that JSON does not have (infinity, or none at all)")]
    Number,
    #[error("a key that is not a text, a number or a boolean")]
    Key,
    #[error("`<<` takes a mapping, or a list of mappings")]
    Merge,
    #[error("an alias without its anchor, or inside of it")]
    Alias,
    #[error("its aliases expand it past the limit, which is four times its size and 1 MiB")]
    Size,
    #[error("nested more than {MOST_DEPTH} times")]
    Depth,
    #[error("{TooLarge}")]
    Held,
}

impl From<TooLarge> for Fault {
    fn from(_: TooLarge) -> Self {
        Self::Held
    }
}

/// Why a text is no YAML, in more words, for texts that hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}{}", if said.is_empty() { "" } else { ": " }, said)]
pub struct Explained {
    pub place: NotYaml,
    /// What the parser says of a syntax error; else nothing. It quotes a character at most.
    said: String,
}

impl From<NotYaml> for Explained {
    fn from(place: NotYaml) -> Self {
        Self { place, said: String::new() }
    }
}

/// No Kubernetes object is nested so deep, and a program's stack has an end.
const MOST_DEPTH: usize = 200;

/// The text's first document as a tree: null where there is none. What follows is not read.
///
/// 1. Plain scalars are what YAML 1.1 makes of them: `yes`, `010` and `0x1f` are no texts. A number that is
///    too large for a double is a text.
/// 2. Of equal keys the last counts. Keys that are numbers or booleans become texts.
/// 3. Aliases may make a text four times as large, and 1 MiB larger still.
///
/// # Errors
/// It is no YAML, or there is no such JSON.
pub fn first(text: &str) -> Result<Value, NotYaml> {
    read(text, Tree::new(text.len(), Odd::Refused)).map_err(|why| why.place)
}

/// As [`first`], and as much of the text as there is JSON for.
///
/// 1. What JSON does not have is [`odd`]: to read it fails, and what is not read does not matter. A key
///    that JSON cannot have is left out with its value, and so is a `<<` that merges nothing.
/// 2. Where the document is a mapping, each item of the list `items` is handed to `item` as it comes, with the
///    fields that stood before it, and is not in the tree: a large list is never held as a whole. Should the
///    text be no YAML further on, the items before that were handed over all the same.
///
/// # Errors
/// It is no YAML.
pub fn pieces(text: &str, item: &mut dyn FnMut(&Map<String, Value>, Value)) -> Result<Value, Explained> {
    read(text, Tree::new(text.len(), Odd::Marked).with_items(item))
}

/// Stands for what JSON does not have. No field of an object that is read here is a fraction.
#[must_use]
pub fn odd() -> Value {
    Value::from(f64::MAX)
}

#[must_use]
pub fn is_odd(value: &Value) -> bool {
    *value == odd()
}

fn read(text: &str, mut tree: Tree<'_>) -> Result<Value, Explained> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        let is_last = matches!(event, Event::DocumentEnd | Event::StreamEnd);
        take(&mut tree, event, span).map_err(|fault| at(span, fault))?;
        if is_last {
            break;
        }
    }
    Ok(tree.finish())
}

fn take(tree: &mut Tree<'_>, event: Event<'_>, span: Span) -> Result<(), Fault> {
    let (start, end) = (span.start.index(), span.end.index());
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others hold no data, and there may be more of them"
    )]
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            let scalar = tree.scalar_or_odd(Scalar::read(&text, style, tag.as_deref()))?;
            tree.scalar(scalar, anchor, end.saturating_sub(start))
        }
        Event::SequenceStart(_, anchor, _) => tree.list(anchor, start),
        Event::MappingStart(_, anchor, _) => tree.mapping(anchor, start),
        Event::SequenceEnd | Event::MappingEnd => tree.end(end),
        Event::Alias(anchor) => tree.alias(anchor),
        _ => Ok(()),
    }
}

fn syntax(error: &ScanError) -> Explained {
    let place = error.marker();
    let place = NotYaml { line: place.line(), column: place.col() + 1, fault: Fault::Syntax };
    Explained { place, said: error.info() }
}

fn at(span: Span, fault: Fault) -> NotYaml {
    NotYaml { line: span.start.line(), column: span.start.col() + 1, fault }
}
