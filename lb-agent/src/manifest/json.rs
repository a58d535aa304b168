//! JSON values one after another, each an object that may be a large list. Pure.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::document::Sink;
use crate::yaml;

/// Hands each value in `text` to `sink` as a document of its own.
///
/// # Errors
/// What stands next is no JSON. The values before it were handed over.
pub(super) fn read(text: &str, sink: &mut impl Sink) -> Result<(), serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    while from.end().is_err() {
        let document = Document(sink).deserialize(&mut from)?;
        sink.document(document);
    }
    Ok(())
}

/// A value whose items are handed over as they come.
struct Document<'a, S>(&'a mut S);

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

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = if name == "items" {
                from.next_value_seed(Items { sink: &mut *self.0, head: &fields })?
            } else {
                whole(from.next_value()?)
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

struct Items<'a, S> {
    sink: &'a mut S,
    head: &'a Map<String, Value>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Items<'_, S> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

/// What is no list comes back as it is.
impl<'de, S: Sink> Visitor<'de> for Items<'_, S> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        while let Some(item) = from.next_element()? {
            self.sink.item(self.head, whole(item));
        }
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = from.next_entry()? {
            fields.insert(name, value);
        }
        Ok(whole(Value::Object(fields)))
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
        Ok(whole(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

/// A number such as `80.0` is 80, as kubectl sends it on.
fn whole(mut value: Value) -> Value {
    match &mut value {
        Value::Number(number) if number.is_f64() => {
            if let Some(same) = number.as_f64().and_then(yaml::of_float) {
                *number = same;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = whole(item.take())),
        Value::Object(fields) => fields.values_mut().for_each(|field| *field = whole(field.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}
