//! The text of one manifest file into objects, as kubectl reads it. Pure.

mod content;
mod document;
mod json;
mod reader;
mod split;
#[cfg(test)]
mod tests;

use reader::Reader;

use crate::convert::Interner;
use crate::model::{Object, ObjectKey, ObjectName, Unread};

/// Whether a file of this name is a manifest. Hidden files (an editor's, a volume's) and other suffixes are none.
#[must_use]
pub fn is_manifest(name: &str) -> bool {
    let Some((stem, suffix)) = name.rsplit_once('.') else { return false };
    !stem.is_empty() && !stem.starts_with('.') && matches!(suffix, "yaml" | "yml" | "json")
}

/// What a file defines, in the order it is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub objects: Vec<Defined>,
    /// Objects that stand in it and cannot be read.
    pub unread: Vec<Unread>,
    /// What cannot be read, each thing once.
    pub problems: Vec<Problem>,
    pub extent: Extent,
    /// Services that `v1` Endpoints have addresses of, which are not read.
    pub endpoints: Vec<ObjectName>,
    /// Parts of objects that were left out.
    pub left_out: Vec<LeftOut>,
    /// What is not read here, one sentence a kind.
    pub notes: Vec<String>,
}

/// How much of a file is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Every object in it can be named.
    #[default]
    Whole,
    /// Something in it may be any object.
    Part,
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
    pub object: ObjectKey,
    pub why: String,
}

/// Why a file, or something in it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub document: Option<usize>,
    /// `None` where it may be any object.
    pub object: Option<ObjectKey>,
    /// As in `spec.ports[0].port`; `None` where there is not even a tree of fields.
    pub field: Option<String>,
    pub message: String,
}

/// Reads the text of one file.
///
/// 1. Services, `EndpointSlices`, Nodes, Pods and Namespaces of the API versions that are understood become objects; lists of
///    them are opened.
/// 2. Other kinds are skipped with one note for each, and so is what is no Kubernetes object. Empty documents
///    are nothing.
/// 3. What is not read does not matter. What is read and wrong costs its object alone. What cannot be named, as
///    in a document that is no YAML, may be any object: the file is known in part then.
pub fn read(text: &str, names: &mut Interner) -> Manifest {
    let mut reader = Reader::new(names);
    document::read(text, &mut reader);
    reader.finish()
}

impl Manifest {
    fn add(&mut self, other: Self) {
        let Self { objects, unread, problems, extent, endpoints, left_out, notes } = other;
        self.objects.extend(objects);
        self.unread.extend(unread);
        self.problems.extend(problems);
        self.endpoints.extend(endpoints);
        self.left_out.extend(left_out);
        self.notes.extend(notes);
        if extent == Extent::Part {
            self.extent = Extent::Part;
        }
    }
}
