//! Documents into objects: what is wrong with one costs that one alone. Pure.

use std::collections::BTreeMap;
use std::mem;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::content::{Content, Read, note};
use super::document::Sink;
use super::{Defined, Extent, LeftOut, Manifest, Problem};
use crate::convert::{self, Converted, Interner};
use crate::model::{Kind, Object, ObjectKey, Unread};
use crate::shown::shown;
use crate::yaml;

/// Reads a file, document by document.
pub(super) struct Reader<'a> {
    names: &'a mut Interner,
    /// Of the documents that have ended.
    done: Found,
    /// The number of the document at hand, counted from 1.
    document: usize,
    /// Of the items of the document at hand: whether they count is known at its end.
    items: Found,
    /// How many items there were.
    taken: usize,
    /// Items that do not say what they are, with their place: the list may, further on.
    /// As text, which takes less.
    untyped: Vec<(usize, String)>,
}

/// What was found, and how many objects were skipped, by kind and apiVersion.
#[derive(Default)]
struct Found {
    manifest: Manifest,
    skipped: BTreeMap<(String, String), usize>,
    /// Documents that are no objects.
    plain: usize,
}

/// Where in a file an object stands: directly in a document, or as an item of a list.
struct Place {
    document: usize,
    /// As in `items[3].`
    prefix: String,
}

/// Something wrong with an object.
struct Wrong {
    field: Option<String>,
    message: String,
}

impl Sink for Reader<'_> {
    fn item(&mut self, head: &Map<String, Value>, mut item: Value) {
        let index = self.taken;
        self.taken += 1;
        let is_untyped = item.as_object().is_some_and(|fields| Content::of(fields) == Content::Plain);
        if is_untyped {
            let Content::List(Some(read)) = Content::of(head) else {
                self.untyped.push((index, item.to_string()));
                return;
            };
            read.fill_in(&mut item);
        }
        let place = self.place(index);
        self.items.value(item, &place, self.names);
    }

    fn document(&mut self, document: Value) {
        let (mut items, untyped) = (mem::take(&mut self.items), mem::take(&mut self.untyped));
        if let Some(Content::List(read)) = document.as_object().map(Content::of) {
            for (index, text) in untyped {
                let mut item = serde_json::from_str(&text).unwrap_or_default();
                if let Some(read) = read {
                    read.fill_in(&mut item);
                }
                items.value(item, &self.place(index), self.names);
            }
            self.done.add(items);
        } else if is_plain(&document) && items.has_any() {
            // Objects that stand in something which is no List.
            let wrong = Wrong { field: Some("kind".to_owned()), message: "is missing".to_owned() };
            self.done.wrong(wrong, &Place { document: self.document, prefix: String::new() }, None);
            self.next();
            return;
        }
        self.done.value(document, &Place { document: self.document, prefix: String::new() }, self.names);
        self.next();
    }

    fn forget(&mut self) {
        self.items = Found::default();
        self.untyped.clear();
        self.taken = 0;
    }

    fn unreadable(&mut self, why: String) {
        let wrong = Wrong { field: None, message: why };
        self.done.wrong(wrong, &Place { document: self.document, prefix: String::new() }, None);
        self.forget();
        self.next();
    }
}

fn is_plain(document: &Value) -> bool {
    document.as_object().is_some_and(|fields| Content::of(fields) == Content::Plain)
}

impl<'a> Reader<'a> {
    pub(super) fn new(names: &'a mut Interner) -> Self {
        let (done, items) = (Found::default(), Found::default());
        Self { names, done, document: 1, items, taken: 0, untyped: Vec::new() }
    }

    pub(super) fn finish(self) -> Manifest {
        let Found { mut manifest, skipped, plain } = self.done;
        manifest.notes = skipped.iter().map(|((kind, version), count)| note(version, kind, *count)).collect();
        if plain > 0 {
            manifest
                .notes
                .push(format!("without apiVersion and kind it is no Kubernetes object: {plain} skipped"));
        }
        manifest
    }

    fn place(&self, index: usize) -> Place {
        Place { document: self.document, prefix: format!("items[{index}].") }
    }

    fn next(&mut self) {
        self.document += 1;
        self.taken = 0;
    }
}

impl Found {
    fn add(&mut self, other: Self) {
        self.manifest.add(other.manifest);
        for (of, count) in other.skipped {
            *self.skipped.entry(of).or_default() += count;
        }
        self.plain += other.plain;
    }

    /// Whether any object that is read here was found, be it one that is wrong.
    fn has_any(&self) -> bool {
        let Manifest { objects, endpoints, unread, extent, .. } = &self.manifest;
        !objects.is_empty() || !endpoints.is_empty() || !unread.is_empty() || *extent == Extent::Part
    }

    fn value(&mut self, value: Value, place: &Place, names: &mut Interner) {
        match &value {
            Value::Null => {}
            Value::Object(fields) => match Content::of(fields) {
                Content::Object(read) => self.object(read, value, place, names),
                Content::List(of) => self.list(value, place, of, names),
                Content::Other(version, kind) => {
                    *self.skipped.entry((kind.to_owned(), version.to_owned())).or_default() += 1;
                }
                Content::OtherSlice => {
                    let wrong = place.missing("apiVersion", "is neither discovery.k8s.io/v1 nor v1beta1");
                    self.wrong(wrong, place, convert::unread(Kind::EndpointSlice, &value, names));
                }
                // A document may be anything, but what a list of objects has is one.
                Content::Plain if place.prefix.is_empty() => self.plain += 1,
                Content::Plain => self.wrong(place.missing("kind", "is missing"), place, None),
                Content::Half(wrong) => self.wrong(place.missing(wrong.field, wrong.what), place, None),
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                if !place.prefix.is_empty() {
                    self.problem(place.no_object(), place, None);
                } else if may_hide(&value) {
                    self.wrong(place.no_object(), place, None);
                } else {
                    self.plain += 1;
                }
            }
        }
    }

    fn object(&mut self, read: Read, value: Value, place: &Place, names: &mut Interner) {
        match read {
            Read::Service => self.keep(Kind::Service, value, place, convert::service, Object::Service, names),
            Read::Slice(version) => {
                let convert = |read: &_, names: &mut _| convert::slice(read, version, names);
                self.keep(Kind::EndpointSlice, value, place, convert, Object::Slice, names);
            }
            Read::Node => self.keep(Kind::Node, value, place, convert::node, Object::Node, names),
            Read::Pod => self.keep(Kind::Pod, value, place, convert::pod, Object::Pod, names),
            Read::Namespace => {
                self.keep(Kind::Namespace, value, place, convert::namespace, Object::Namespace, names);
            }
            Read::Endpoints => self.endpoints(&value, names),
        }
    }

    /// Of `v1` Endpoints it matters only that there are some.
    fn endpoints(&mut self, value: &Value, names: &mut Interner) {
        let of = |subset: &Value| {
            let some = |field| subset.get(field).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
            some("addresses") || some("notReadyAddresses")
        };
        let any =
            value.get("subsets").and_then(Value::as_array).is_some_and(|subsets| subsets.iter().any(of));
        // It has its Service's name.
        let named = convert::unread(Kind::Service, value, names).filter(|_| any);
        self.manifest.endpoints.extend(named.map(|service| service.key().name));
    }

    fn list(&mut self, mut value: Value, place: &Place, of: Option<Read>, names: &mut Interner) {
        let items = match value.get_mut("items").map(Value::take) {
            None | Some(Value::Null) => return,
            Some(Value::Array(items)) => items,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return self.wrong(place.missing("items", "is not a list"), place, None);
            }
        };
        for (index, mut item) in items.into_iter().enumerate() {
            if let Some(of) = of {
                of.fill_in(&mut item);
            }
            let prefix = format!("{}items[{index}].", place.prefix);
            self.value(item, &Place { document: place.document, prefix }, names);
        }
    }

    fn keep<K: DeserializeOwned, T>(
        &mut self,
        kind: Kind,
        value: Value,
        place: &Place,
        convert: impl FnOnce(&K, &mut Interner) -> Result<Converted<T>, convert::Unusable>,
        wrap: impl FnOnce(T) -> Object,
        names: &mut Interner,
    ) {
        let read: Result<K, Wrong> = serde_path_to_error::deserialize(&value).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { String::new() } else { path.clone() };
            let message = if is_odd(&value, error.path()) {
                "is a value that JSON does not have".to_owned()
            } else {
                shown(&error.into_inner().to_string())
            };
            place.wrong(field, message)
        });
        let converted =
            read.and_then(|read| convert(&read, names).map_err(|why| place.wrong(why.field(), why.what())));
        match converted {
            Err(wrong) => self.wrong(wrong, place, convert::unread(kind, &value, names)),
            Ok(Converted { object, problems }) => {
                let object = wrap(object);
                let document = place.document;
                let odd = |why| LeftOut { document, object: object.key(), why };
                self.manifest.left_out.extend(problems.into_iter().map(odd));
                self.manifest.objects.push(Defined { document, object });
            }
        }
    }

    /// Without a name it may be any object.
    fn wrong(&mut self, wrong: Wrong, place: &Place, object: Option<Unread>) {
        let key = object.as_ref().map(Unread::key);
        match object {
            Some(object) => self.manifest.unread.push(object),
            None => self.manifest.extent = Extent::Part,
        }
        self.problem(wrong, place, key);
    }

    fn problem(&mut self, wrong: Wrong, place: &Place, object: Option<ObjectKey>) {
        let (document, Wrong { field, message }) = (Some(place.document), wrong);
        self.manifest.problems.push(Problem { document, object, field, message });
    }
}

/// Whether a document that is no object may hide one: a list of objects, which should be a `List`; or half of a field's name,
/// where a file was cut off.
fn may_hide(value: &Value) -> bool {
    let is_object =
        |item: &Value| item.as_object().is_some_and(|fields| Content::of(fields) != Content::Plain);
    match value {
        Value::Array(items) => items.iter().any(is_object),
        Value::String(text) => text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Whether what stands at `path` is what JSON does not have.
fn is_odd(value: &Value, path: &serde_path_to_error::Path) -> bool {
    use serde_path_to_error::Segment;
    let at = path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    at.is_some_and(yaml::is_odd)
}

impl Place {
    fn wrong(&self, field: String, message: String) -> Wrong {
        let field = format!("{}{field}", self.prefix);
        let field = field.strip_suffix('.').map(str::to_owned).unwrap_or(field);
        Wrong { field: (!field.is_empty()).then_some(field), message }
    }

    fn missing(&self, field: &str, what: &str) -> Wrong {
        self.wrong(field.to_owned(), what.to_owned())
    }

    fn no_object(&self) -> Wrong {
        self.wrong(String::new(), "is not a Kubernetes object: apiVersion and kind are expected".to_owned())
    }
}
