//! The text of one manifest file into objects. Pure: a file is usable as a whole or not at all.

mod content;
mod named;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use content::{Content, Items};
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{Kind, Object, Unread};
use crate::shown::{Shown, shown};

use super::convert::{self, Converted, Interner, Unusable as NotUsable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
}

impl Format {
    /// By the file's name. Hidden files (an editor's, a volume's) and other suffixes are not
    /// manifests.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let (stem, suffix) = name.rsplit_once('.')?;
        if stem.is_empty() || stem.starts_with('.') {
            return None;
        }
        match suffix {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What a file defines, in the order it is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub objects: Vec<Defined>,
    /// Parts of objects that were left out, each with its object and field.
    pub left_out: Vec<LeftOut>,
    /// Kinds that are not read here, one sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// Counted from 1, as `---` divides the file.
    pub document: usize,
    pub object: Object,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub document: usize,
    pub text: String,
}

/// A file of which nothing can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Rejected {
    pub why: Unusable,
    /// The objects that the file names all the same; there may be more that it does not.
    pub objects: Vec<Unread>,
}

/// Why nothing of a file can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*document, field.as_deref()))]
pub struct Unusable {
    pub document: Option<usize>,
    /// As in `spec.ports[0].port`; `None` where the text is not even YAML or JSON.
    pub field: Option<String>,
    pub message: String,
}

fn place(document: Option<usize>, field: Option<&str>) -> String {
    let document = document.map(|number| format!("document {number}: ")).unwrap_or_default();
    let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
    document + &field
}

/// Reads the text of one file.
///
/// 1. Services, `EndpointSlices` and Nodes of the API versions that are understood become
///    objects; lists of them are opened.
/// 2. Other kinds are skipped with one note for each kind. Empty documents are nothing.
/// 3. One malformed document makes the whole file unusable: what was half written must not
///    be taken for the whole.
///
/// # Errors
/// The first thing that is malformed, with its document and field, and what can be named.
pub fn read(text: &str, format: Format, names: &mut Interner) -> Result<Manifest, Rejected> {
    usable(text, format, names).map_err(|why| {
        let trees = split(text, format).into_iter().filter_map(|(_, value)| value.ok());
        Rejected { why, objects: named::objects(trees, names) }
    })
}

fn usable(text: &str, format: Format, names: &mut Interner) -> Result<Manifest, Unusable> {
    let mut reader = Reader { names, found: Manifest::default(), skipped: BTreeMap::new() };
    for (number, value) in split(text, format) {
        let place = Place { document: number, prefix: String::new() };
        reader.document(value?, &place).map_err(|wrong| wrong.at(number))?;
    }
    Ok(reader.finish())
}

fn split(text: &str, format: Format) -> Vec<split::Document> {
    match format {
        Format::Yaml => split::yaml(text),
        Format::Json => split::json(text),
    }
}

struct Reader<'a> {
    names: &'a mut Interner,
    found: Manifest,
    /// How many objects were skipped, by kind and API version.
    skipped: BTreeMap<(String, String), usize>,
}

/// Where in a file an object stands: directly in a document, or as an item of a list.
struct Place {
    document: usize,
    /// As in `items[3].`
    prefix: String,
}

/// Something malformed inside a document.
struct Wrong {
    field: Option<String>,
    message: String,
}

impl Wrong {
    fn new(field: String, message: impl Into<String>) -> Self {
        Self { field: Some(field), message: message.into() }
    }

    fn at(self, document: usize) -> Unusable {
        Unusable { document: Some(document), field: self.field, message: self.message }
    }
}

impl Reader<'_> {
    fn document(&mut self, value: Value, place: &Place) -> Result<(), Wrong> {
        match value {
            Value::Null => Ok(()),
            Value::Object(fields) => self.object(Value::Object(fields), place),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(Wrong {
                field: place.prefix.strip_suffix('.').map(str::to_owned),
                message: "is not a Kubernetes object: apiVersion and kind are expected".to_owned(),
            }),
        }
    }

    fn object(&mut self, value: Value, place: &Place) -> Result<(), Wrong> {
        let api_version = text(&value, "apiVersion", place)?.to_owned();
        let kind = text(&value, "kind", place)?.to_owned();
        match Content::of(&api_version, &kind) {
            Content::Object(Kind::Service) => self.keep(value, place, convert::service, Object::Service),
            Content::Object(Kind::EndpointSlice) => {
                let version = content::version(&api_version);
                let convert = |read: &_, names: &mut _| convert::slice(read, version, names);
                self.keep(value, place, convert, Object::Slice)
            }
            Content::Object(Kind::Node) => self.keep(value, place, convert::node, Object::Node),
            Content::List(of) => self.list(value, place, of),
            Content::Other => {
                *self.skipped.entry((kind, api_version)).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Items of a typed list may leave out what the list has said already.
    fn list(&mut self, mut value: Value, place: &Place, of: Option<Items>) -> Result<(), Wrong> {
        let items = match value.get_mut("items").map(Value::take) {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(items)) => items,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return Err(Wrong::new(format!("{}items", place.prefix), "is not a list"));
            }
        };
        for (index, mut item) in items.into_iter().enumerate() {
            if let Some(of) = of {
                of.fill_in(&mut item);
            }
            let prefix = format!("{}items[{index}].", place.prefix);
            self.document(item, &Place { document: place.document, prefix })?;
        }
        Ok(())
    }

    fn keep<K: DeserializeOwned, T>(
        &mut self,
        value: Value,
        place: &Place,
        convert: impl FnOnce(&K, &mut Interner) -> Result<Converted<T>, NotUsable>,
        wrap: impl FnOnce(T) -> Object,
    ) -> Result<(), Wrong> {
        let typed: K = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { place.prefix.clone() } else { format!("{}{path}", place.prefix) };
            Wrong {
                field: (!field.is_empty()).then_some(field),
                message: shown(&error.into_inner().to_string()),
            }
        })?;
        let Converted { object, problems } = convert(&typed, self.names)
            .map_err(|why| Wrong { field: None, message: format!("{}{why}", place.prefix) })?;
        let object = wrap(object);
        let document = place.document;
        let odd =
            problems.into_iter().map(|why| LeftOut { document, text: format!("{}: {why}", object.key()) });
        self.found.left_out.extend(odd);
        self.found.objects.push(Defined { document, object });
        Ok(())
    }

    fn finish(mut self) -> Manifest {
        self.found.notes =
            self.skipped.iter().map(|((kind, version), count)| note(kind, version, *count)).collect();
        self.found
    }
}

fn text<'a>(value: &'a Value, field: &str, place: &Place) -> Result<&'a str, Wrong> {
    let path = format!("{}{field}", place.prefix);
    match value.get(field) {
        None | Some(Value::Null) => Err(Wrong::new(path, "is missing")),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Wrong::new(path, "is not a text"))
        }
    }
}

fn note(kind: &str, version: &str, count: usize) -> String {
    let expected = match kind {
        core::Service::KIND | core::Node::KIND => ", only v1 is",
        discovery::EndpointSlice::KIND => ", only discovery.k8s.io/v1 and v1beta1 are",
        _ => "",
    };
    format!("{} of {} is not read here{expected}: {count} skipped", Shown(kind), Shown(version))
}
