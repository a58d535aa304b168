//! Events of a parser into a tree. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::scalar::{Role, Scalar};
use super::{Fault, Held, MOST_DEPTH, odd};

/// Aliases may add three times the text, and this.
const MOST_ADDED: usize = 1 << 20;

/// What becomes of that which JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// There is no tree then.
    Refused,
    /// [`odd`] stands for it.
    Marked,
}

type TakeItem<'a> = &'a mut dyn FnMut(&Map<String, Value>, Value);

/// A tree that grows.
pub(super) struct Tree<'a> {
    odd: Odd,
    /// Takes the items of the list [`ITEMS`] of the document.
    item: Option<TakeItem<'a>>,
    root: Option<Value>,
    open: Vec<Open>,
    /// What an anchor stands for, and how long it would be written out.
    anchors: HashMap<usize, (Value, usize)>,
    /// How much aliases have added, and may add.
    added: usize,
    may_add: usize,
    /// What the tree takes, but for what anchors stand for.
    held: Held,
    anchored: Held,
}

const ITEMS: &str = "items";

/// A list or a mapping that has not ended.
struct Open {
    anchor: usize,
    start: usize,
    /// What was added before it began.
    added_before: usize,
    /// What the tree took once it had begun.
    held: Held,
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
    /// The value of a key that JSON does not have.
    Odd,
}

impl<'a> Tree<'a> {
    /// For a text of this length.
    pub(super) fn new(length: usize, odd: Odd) -> Self {
        let may_add = length.saturating_mul(3).saturating_add(MOST_ADDED);
        Self {
            odd,
            item: None,
            root: None,
            open: Vec::new(),
            anchors: HashMap::new(),
            added: 0,
            may_add,
            held: Held::default(),
            anchored: Held::default(),
        }
    }

    pub(super) fn with_items(self, item: TakeItem<'a>) -> Self {
        Self { item: Some(item), ..self }
    }

    /// A value that JSON does not have is no fault where it may be marked.
    pub(super) fn scalar_or_odd(&self, read: Result<Scalar, Fault>) -> Result<Scalar, Fault> {
        match read {
            Err(Fault::Number | Fault::Tag) if self.odd == Odd::Marked => {
                Ok(Scalar { value: odd(), role: Role::Data })
            }
            Ok(_) | Err(_) => read,
        }
    }

    /// The key that `value` is.
    fn key(&self, value: &Value) -> Result<Key, Fault> {
        match name(value) {
            Ok(name) => Ok(Key::Known(name)),
            Err(_) if self.odd == Odd::Marked => Ok(Key::Odd),
            Err(fault) => Err(fault),
        }
    }

    pub(super) fn finish(self) -> Value {
        self.root.unwrap_or_default()
    }

    pub(super) fn scalar(&mut self, scalar: Scalar, anchor: usize, length: usize) -> Result<(), Fault> {
        let Scalar { value, role } = scalar;
        self.held.value(&value)?;
        if anchor != 0 {
            self.anchored.value(&value)?;
            self.anchors.insert(anchor, (value.clone(), length + 1));
        }
        if self.wants_key() {
            let key = match role {
                Role::Merge => Key::Merge,
                Role::Data => self.key(&value)?,
            };
            self.set_key(key);
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
        if self.odd == Odd::Refused && self.wants_key() {
            return Err(Fault::Key);
        }
        match inside {
            Inside::List(_) => self.held.list()?,
            Inside::Mapping { .. } => self.held.mapping()?,
        }
        self.open.push(Open { anchor, start, added_before: self.added, held: self.held, inside });
        Ok(())
    }

    /// Ends the list or mapping that began last.
    pub(super) fn end(&mut self, end: usize) -> Result<(), Fault> {
        let Some(Open { anchor, start, added_before, held: _, inside }) = self.open.pop() else {
            return Err(Fault::Syntax);
        };
        let value = match inside {
            Inside::List(items) => Value::Array(items),
            Inside::Mapping { fields, .. } => Value::Object(fields),
        };
        if anchor != 0 {
            let length = end.saturating_sub(start) + (self.added - added_before) + 1;
            self.anchored.value(&value)?;
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
        self.held.value(value)?;
        let value = value.clone();
        if self.wants_key() {
            let key = self.key(&value)?;
            self.set_key(key);
            return Ok(());
        }
        self.put(value)
    }

    fn wants_key(&self) -> bool {
        let last = self.open.last().map(|open| &open.inside);
        matches!(last, Some(Inside::Mapping { key: Key::Wanted, .. }))
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Open { inside: Inside::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = new;
        }
    }

    /// Hands an item of the document's list over; gives back what is not one.
    fn hand_over(&mut self, value: Value) -> Option<Value> {
        match (&mut self.item, &*self.open) {
            (
                Some(take),
                [
                    Open { inside: Inside::Mapping { fields, key: Key::Known(name) }, .. },
                    Open { anchor: 0, held, inside: Inside::List(_), .. },
                ],
            ) if name == ITEMS => {
                self.held = *held;
                take(fields, value);
            }
            _ => return Some(value),
        }
        None
    }

    fn put(&mut self, value: Value) -> Result<(), Fault> {
        let Some(value) = self.hand_over(value) else { return Ok(()) };
        let odd = self.odd;
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(value),
            Some(Inside::List(items)) => items.push(value),
            Some(Inside::Mapping { fields, key }) => match std::mem::replace(key, Key::Wanted) {
                Key::Known(name) => {
                    fields.insert(name, value);
                }
                Key::Merge => match merge(fields, value) {
                    Err(_) if odd == Odd::Marked => {}
                    merged => merged?,
                },
                // A key that is a list or a mapping.
                Key::Wanted if odd == Odd::Marked => *key = Key::Odd,
                Key::Wanted => return Err(Fault::Key),
                Key::Odd => {}
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
