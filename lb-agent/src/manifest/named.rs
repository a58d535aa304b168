//! Which objects a file names, although it cannot be used.

use serde_json::Value;

use crate::convert::{self, Interner};
use crate::model::Unread;

use super::content::Content;

/// The objects in `documents` that can be named, in the order they are written. Anything else is
/// passed over.
pub(super) fn objects(documents: impl Iterator<Item = Value>, names: &mut Interner) -> Vec<Unread> {
    let mut found = Vec::new();
    for document in documents {
        add(document, names, &mut found);
    }
    found
}

fn add(mut value: Value, names: &mut Interner, found: &mut Vec<Unread>) {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    match Content::of(text("apiVersion"), text("kind")) {
        Content::Object(kind) => found.extend(convert::unread(kind, &value, names)),
        Content::List(of) => {
            let items = value.get_mut("items").and_then(Value::as_array_mut);
            for mut item in items.map(std::mem::take).unwrap_or_default() {
                if let Some(of) = of {
                    of.fill_in(&mut item);
                }
                add(item, names, found);
            }
        }
        Content::Other => {}
    }
}
