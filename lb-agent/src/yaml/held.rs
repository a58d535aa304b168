//! How much memory a tree takes: a short text can make a large one. Pure.

use serde_json::Value;

/// What a tree takes at most, in bytes, beyond the items that were handed over. The largest objects that an API server
/// takes need a tenth of it.
const MOST: usize = 64 << 20;

/// What is held, by a rough count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held(usize);

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its tree takes more than {} MiB of memory", MOST >> 20)]
pub struct TooLarge;

/// A value in a list or a mapping.
const VALUE: usize = 32;
/// What a mapping takes with its first field.
const MAPPING: usize = 640;

impl Held {
    /// # Errors
    /// That is too much.
    pub fn text(&mut self, text: &str) -> Result<(), TooLarge> {
        self.add(VALUE + text.len())
    }

    /// # Errors
    /// That is too much.
    pub fn list(&mut self) -> Result<(), TooLarge> {
        self.add(VALUE)
    }

    /// # Errors
    /// That is too much.
    pub fn mapping(&mut self) -> Result<(), TooLarge> {
        self.add(MAPPING)
    }

    /// A copy of all of it.
    ///
    /// # Errors
    /// That is too much.
    pub fn value(&mut self, value: &Value) -> Result<(), TooLarge> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.text(""),
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.list()?;
                items.iter().try_for_each(|item| self.value(item))
            }
            Value::Object(fields) => {
                self.mapping()?;
                fields.iter().try_for_each(|(key, value)| {
                    self.text(key)?;
                    self.value(value)
                })
            }
        }
    }

    fn add(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MOST { Err(TooLarge) } else { Ok(()) }
    }
}
