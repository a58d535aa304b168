//! Events of a parser into a tree. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::scalar::{Role, Scalar};
use super::{Fault, MOST_DEPTH};

/// Aliases may add three times the text, and this.
const MOST_ADDED: usize = 1 << 20;

/// A tree that grows.
pub(super) struct Tree {
    root: Option<Value>,
    open: Vec<Open>,
    /// What an anchor stands for, and how long it would be written out.
    anchors: HashMap<usize, (Value, usize)>,
    /// How much aliases have added, and may add.
    added: usize,
    may_add: usize,
}

/// A list or a mapping that has not ended.
struct Open {
    anchor: usize,
    start: usize,
    /// What was added before it began.
    added_before: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Value>),
    Mapping { fields: Map<String, Value>, key: Key },
}

/// What comes next in a mapping.
enum Key {
    /// A key.
    Wanted,
    /// The value of this key.
    Known(String),
    /// What is merged.
    Merge,
}

impl Tree {
    /// For a text of this length.
    pub(super) fn new(length: usize) -> Self {
        let may_add = length.saturating_mul(3).saturating_add(MOST_ADDED);
        Self { root: None, open: Vec::new(), anchors: HashMap::new(), added: 0, may_add }
    }

    pub(super) fn finish(self) -> Value {
        self.root.unwrap_or_default()
    }

    pub(super) fn scalar(&mut self, scalar: Scalar, anchor: usize, length: usize) -> Result<(), Fault> {
        let Scalar { value, role } = scalar;
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), length + 1));
        }
        if let Some(Open { inside: Inside::Mapping { key: key @ Key::Wanted, .. }, .. }) =
            self.open.last_mut()
        {
            *key = match role {
                Role::Merge => Key::Merge,
                Role::Data => Key::Known(name(&value)?),
            };
            return Ok(());
        }
        self.put(value)
    }

    pub(super) fn list(&mut self, anchor: usize, start: usize) -> Result<(), Fault> {
        self.begin(anchor, start, Inside::List(Vec::new()))
    }

    pub(super) fn mapping(&mut self, anchor: usize, start: usize) -> Result<(), Fault> {
        self.begin(anchor, start, Inside::Mapping { fields: Map::new(), key: Key::Wanted })
    }

    fn begin(&mut self, anchor: usize, start: usize, inside: Inside) -> Result<(), Fault> {
        if self.open.len() >= MOST_DEPTH {
            return Err(Fault::Depth);
        }
        if let Some(Open { inside: Inside::Mapping { key: Key::Wanted, .. }, .. }) = self.open.last() {
            return Err(Fault::Key);
        }
        self.open.push(Open { anchor, start, added_before: self.added, inside });
        Ok(())
    }

    /// Ends the list or mapping that began last.
    pub(super) fn end(&mut self, end: usize) -> Result<(), Fault> {
        let Some(Open { anchor, start, added_before, inside }) = self.open.pop() else {
            return Err(Fault::Syntax);
        };
        let value = match inside {
            Inside::List(items) => Value::Array(items),
            Inside::Mapping { fields, .. } => Value::Object(fields),
        };
        if anchor != 0 {
            let length = end.saturating_sub(start) + (self.added - added_before) + 1;
            self.anchors.insert(anchor, (value.clone(), length));
        }
        self.put(value)
    }

    pub(super) fn alias(&mut self, anchor: usize) -> Result<(), Fault> {
        let (value, length) = self.anchors.get(&anchor).ok_or(Fault::Alias)?;
        self.added = self.added.saturating_add(*length);
        if self.added > self.may_add {
            return Err(Fault::Size);
        }
        let value = value.clone();
        if let Some(Open { inside: Inside::Mapping { key: key @ Key::Wanted, .. }, .. }) =
            self.open.last_mut()
        {
            *key = Key::Known(name(&value)?);
            return Ok(());
        }
        self.put(value)
    }

    fn put(&mut self, value: Value) -> Result<(), Fault> {
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(value),
            Some(Inside::List(items)) => items.push(value),
            Some(Inside::Mapping { fields, key }) => match std::mem::replace(key, Key::Wanted) {
                Key::Known(name) => {
                    fields.insert(name, value);
                }
                Key::Merge => merge(fields, value)?,
                Key::Wanted => return Err(Fault::Key),
            },
        }
        Ok(())
    }
}

/// Of several mappings the first counts. What comes later in the mapping itself comes over what was merged.
fn merge(fields: &mut Map<String, Value>, value: Value) -> Result<(), Fault> {
    match value {
        Value::Object(more) => fields.extend(more),
        Value::Array(mappings) => {
            for mapping in mappings.into_iter().rev() {
                let Value::Object(more) = mapping else { return Err(Fault::Merge) };
                fields.extend(more);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(Fault::Merge),
    }
    Ok(())
}

/// A key as JSON has it.
fn name(value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is_so) => Ok(is_so.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Fault::Key),
    }
}
