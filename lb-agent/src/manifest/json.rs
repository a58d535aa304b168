//! JSON values one after another, each an object that may be a large list. Pure.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::document::Sink;
use crate::yaml::{self, Held};

/// Hands each value in `text` to `sink` as a document of its own.
///
/// # Errors
/// What stands next is no JSON. The values before it were handed over.
pub(super) fn read(text: &str, sink: &mut impl Sink) -> Result<(), serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    while from.end().is_err() {
        let document = Document { sink, held: Held::default() }.deserialize(&mut from)?;
        sink.document(document);
    }
    Ok(())
}

/// A value whose items are handed over as they come.
struct Document<'a, S> {
    sink: &'a mut S,
    held: Held,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Document<'_, S> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Document<'_, S> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            self.held.text(&name).map_err(A::Error::custom)?;
            let value = if name == ITEMS {
                from.next_value_seed(Items { sink: &mut *self.sink, held: &mut self.held, head: &fields })?
            } else {
                from.next_value_seed(Whole(&mut self.held))?
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

const ITEMS: &str = "items";

/// The value of the field [`ITEMS`]: of a list nothing is left. What is not a list comes back as it is.
struct Items<'a, S> {
    sink: &'a mut S,
    held: &'a mut Held,
    head: &'a Map<String, Value>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Items<'_, S> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Items<'_, S> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        loop {
            let mut held = *self.held;
            let Some(item) = from.next_element_seed(Whole(&mut held))? else { break };
            self.sink.item(self.head, item);
        }
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Value, A::Error> {
        Whole(self.held).visit_map(from)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

/// Any value, as long as there is room for it.
struct Whole<'a>(&'a mut Held);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        self.0.list().map_err(A::Error::custom)?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(Whole(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        self.0.mapping().map_err(A::Error::custom)?;
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            self.0.text(&name).map_err(A::Error::custom)?;
            fields.insert(name, from.next_value_seed(Whole(self.0))?);
        }
        Ok(Value::Object(fields))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.0.text("").map_err(E::custom)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.0.text("").map_err(E::custom)?;
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.0.text("").map_err(E::custom)?;
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.0.text("").map_err(E::custom)?;
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.0.text("").map_err(E::custom)?;
        Ok(number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.0.text(value).map_err(E::custom)?;
        Ok(value.into())
    }
}

/// `80.0` is 80, as kubectl sends it on.
fn number(value: f64) -> Value {
    yaml::of_float(value).map_or_else(|| value.into(), Value::Number)
}
