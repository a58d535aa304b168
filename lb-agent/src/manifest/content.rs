//! What stands in a document, by its apiVersion and kind. Pure.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde_json::{Map, Value};

use crate::convert::Version;
use crate::shown::Shown;

/// A kind that is read, in one of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Service,
    Slice(Version),
    Node,
    Pod,
    Namespace,
    /// Of `v1`. Its addresses are not used: it says that there should be slices.
    Endpoints,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Object(Read),
    /// A list, and what its items are where it is a typed one.
    List(Option<Read>),
    /// Of a kind that is not read here, with the apiVersion and kind that are written.
    Other(&'a str, &'a str),
    /// An EndpointSlice of a version that is not read here: its endpoints exist.
    OtherSlice,
    /// Neither an apiVersion nor a kind: no Kubernetes object.
    Plain,
    /// One of the two is missing or no text, and it may be a kind that is read.
    Half(Wrong),
}

/// What is wrong with an apiVersion or kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) what: &'static str,
}

const API_VERSION: &str = "apiVersion";
const KIND: &str = "kind";
const LIST: &str = "List";
/// With the slash before the version.
const SLICE_GROUP: &str = "discovery.k8s.io/";

impl Read {
    const ALL: [Self; 7] = [
        Self::Service,
        Self::Slice(Version::V1),
        Self::Slice(Version::V1beta1),
        Self::Node,
        Self::Pod,
        Self::Namespace,
        Self::Endpoints,
    ];

    const fn api_version(self) -> &'static str {
        match self {
            Self::Service => core::Service::API_VERSION,
            Self::Slice(Version::V1) => discovery::EndpointSlice::API_VERSION,
            Self::Slice(Version::V1beta1) => "discovery.k8s.io/v1beta1",
            Self::Node => core::Node::API_VERSION,
            Self::Pod => core::Pod::API_VERSION,
            Self::Namespace => core::Namespace::API_VERSION,
            Self::Endpoints => core::Endpoints::API_VERSION,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Service => core::Service::KIND,
            Self::Slice(_) => discovery::EndpointSlice::KIND,
            Self::Node => core::Node::KIND,
            Self::Pod => core::Pod::KIND,
            Self::Namespace => core::Namespace::KIND,
            Self::Endpoints => core::Endpoints::KIND,
        }
    }

    /// Items of a typed list may leave out what the list says already.
    pub(super) fn fill_in(self, item: &mut Value) {
        if let Some(fields) = item.as_object_mut() {
            fields.entry(API_VERSION).or_insert_with(|| self.api_version().into());
            fields.entry(KIND).or_insert_with(|| self.kind().into());
        }
    }
}

/// An apiVersion or kind as it is written.
#[derive(Clone, Copy)]
enum Word<'a> {
    Absent,
    Odd,
    Text(&'a str),
}

impl<'a> Word<'a> {
    fn of(fields: &'a Map<String, Value>, field: &str) -> Self {
        match fields.get(field) {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) if text.is_empty() => Self::Absent,
            Some(Value::String(text)) => Self::Text(text),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Self::Odd,
        }
    }

    const fn wrong(self) -> Option<&'static str> {
        match self {
            Self::Absent => Some("is missing"),
            Self::Odd => Some("is not a text"),
            Self::Text(_) => None,
        }
    }

    /// Whether it was `whole` before the file was cut off.
    fn may_be(self, whole: &str) -> bool {
        match self {
            Self::Absent | Self::Odd => true,
            Self::Text(text) => whole.starts_with(text),
        }
    }

    const fn shown(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Absent | Self::Odd => "?",
        }
    }
}

impl<'a> Content<'a> {
    pub(super) fn of(fields: &'a Map<String, Value>) -> Self {
        let (version, kind) = (Word::of(fields, API_VERSION), Word::of(fields, KIND));
        if let (Word::Text(version), Word::Text(kind)) = (version, kind) {
            return Self::of_both(version, kind);
        }
        if let (Word::Absent, Word::Absent) = (version, kind) {
            return Self::Plain;
        }
        let is = |read: Read| version.may_be(read.api_version()) && kind.may_be(read.kind());
        if Read::ALL.into_iter().any(is) || (version.may_be("v1") && kind.may_be(LIST)) {
            let wrong = |field, word: Word<'_>| word.wrong().map(|what| Wrong { field, what });
            if let Some(wrong) = wrong(API_VERSION, version).or_else(|| wrong(KIND, kind)) {
                return Self::Half(wrong);
            }
        }
        Self::Other(version.shown(), kind.shown())
    }

    fn of_both(version: &'a str, kind: &'a str) -> Self {
        for read in Read::ALL {
            if version != read.api_version() {
                continue;
            }
            if kind == read.kind() {
                return Self::Object(read);
            }
            if kind.strip_suffix(LIST) == Some(read.kind()) {
                return Self::List(Some(read));
            }
        }
        // A file may have been cut off within the word: nothing that it had is gone on the word of that.
        if Read::ALL.into_iter().any(|read| version == read.api_version() && read.kind().starts_with(kind)) {
            return Self::Half(Wrong { field: KIND, what: "is only the begin of one that is read" });
        }
        // Of the right group in another version, or with the group forgotten.
        let may_be_slices = version.starts_with(SLICE_GROUP) || !version.contains('/');
        let is_slice_list = kind.strip_suffix(LIST) == Some(discovery::EndpointSlice::KIND);
        if (version, kind) == ("v1", LIST) || may_be_slices && is_slice_list {
            Self::List(None)
        } else if may_be_slices && kind == discovery::EndpointSlice::KIND {
            Self::OtherSlice
        } else {
            Self::Other(version, kind)
        }
    }
}

/// One sentence about objects of a kind that is not read.
pub(super) fn note(version: &str, kind: &str, count: usize) -> String {
    let expected = match kind {
        core::Service::KIND | core::Node::KIND | core::Pod::KIND | core::Namespace::KIND => ", only v1 is",
        discovery::EndpointSlice::KIND => ", only discovery.k8s.io/v1 and v1beta1 are",
        _ => "",
    };
    format!("{} of {} is not read here{expected}: {count} skipped", Shown(kind), Shown(version))
}
