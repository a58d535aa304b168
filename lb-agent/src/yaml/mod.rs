//! YAML as the Go library reads it that kubectl and Kubernetes use (`sigs.k8s.io/yaml`): version 1.1 as a
//! tree of JSON. Pure.

mod scalar;
#[cfg(test)]
mod tests;
mod tree;

use granit_parser::{Event, Parser, ScanError, Span};
use serde_json::Value;

use scalar::Scalar;
use tree::Tree;

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
    #[error("aliases make the text more than four times as large")]
    Size,
    #[error("nested more than {MOST_DEPTH} times")]
    Depth,
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tree = Tree::new(text.len());
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

fn take(tree: &mut Tree, event: Event<'_>, span: Span) -> Result<(), Fault> {
    let (start, end) = (span.start.index(), span.end.index());
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others hold no data, and there may be more of them"
    )]
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            let scalar = Scalar::read(&text, style, tag.as_deref())?;
            tree.scalar(scalar, anchor, end.saturating_sub(start))
        }
        Event::SequenceStart(_, anchor, _) => tree.list(anchor, start),
        Event::MappingStart(_, anchor, _) => tree.mapping(anchor, start),
        Event::SequenceEnd | Event::MappingEnd => tree.end(end),
        Event::Alias(anchor) => tree.alias(anchor),
        _ => Ok(()),
    }
}

fn syntax(error: &ScanError) -> NotYaml {
    let place = error.marker();
    NotYaml { line: place.line(), column: place.col() + 1, fault: Fault::Syntax }
}

fn at(span: Span, fault: Fault) -> NotYaml {
    NotYaml { line: span.start.line(), column: span.start.col() + 1, fault }
}
