//! Kubernetes objects into our words. Pure: what cannot be used is left out and named.

mod interner;
mod ip;
mod node;
mod service;
mod skip;
mod slice;
#[cfg(test)]
mod tests;
mod unread;
pub mod written;

use crate::model::{Kind, ObjectName, Protocol};
use crate::shown::Quoted;

pub use interner::Interner;
pub use node::node;
pub use service::service;
pub use skip::{namespace, pod};
pub use slice::{Version, slice};
pub use unread::unread;
use written::{Labels, Text};

/// An object in our words, and what of the original had to be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted<T> {
    pub object: T,
    /// One sentence for each part that cannot be used, beginning with its field.
    pub problems: Vec<String>,
}

/// Without a name an object is not one of its kind: nothing of it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every {} needs a name", kind.label())]
pub struct Nameless {
    pub kind: Kind,
}

/// Why nothing of an object can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("{}: {}", self.field(), self.what())]
    Nameless(#[from] Nameless),
    /// A label or annotation that is read.
    #[error("{}: {}", self.field(), self.what())]
    NotText { place: &'static str, key: &'static str },
}

const NOT_TEXT: &str = "is not a text";

impl Unusable {
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Nameless(_) => "metadata.name".to_owned(),
            Self::NotText { place, key } => format!("{place}[\"{key}\"]"),
        }
    }

    /// What is wrong with that field.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Nameless(nameless) => nameless.to_string(),
            Self::NotText { .. } => NOT_TEXT.to_owned(),
        }
    }
}

fn object_name(
    kind: Kind,
    name: Option<&str>,
    namespace: Option<&str>,
    names: &mut Interner,
) -> Result<ObjectName, Nameless> {
    let name = bare_name(kind, name)?;
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    Ok(ObjectName { namespace: names.share(namespace.unwrap_or("default")), name: names.share(name) })
}

fn bare_name(kind: Kind, name: Option<&str>) -> Result<&str, Nameless> {
    name.filter(|name| !name.is_empty()).ok_or(Nameless { kind })
}

fn label<'a>(labels: Option<&'a Labels>, key: &'static str) -> Result<Option<&'a str>, Unusable> {
    text(labels, key, "metadata.labels")
}

/// What is there counts, whatever its value is.
fn has_label(labels: Option<&Labels>, key: &str) -> bool {
    labels.is_some_and(|labels| labels.contains_key(key))
}

fn annotation<'a>(annotations: Option<&'a Labels>, key: &'static str) -> Result<Option<&'a str>, Unusable> {
    text(annotations, key, "metadata.annotations")
}

fn text<'a>(
    of: Option<&'a Labels>,
    key: &'static str,
    place: &'static str,
) -> Result<Option<&'a str>, Unusable> {
    match of.and_then(|of| of.get(key)) {
        None => Ok(None),
        Some(Text::Read(text)) => Ok(Some(text)),
        Some(Text::Odd) => Err(Unusable::NotText { place, key }),
    }
}

/// Absent is TCP, as the API server would fill it in.
fn protocol(written: Option<&str>) -> Result<Protocol, String> {
    match written {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(format!("{} is not TCP, UDP or SCTP", Quoted(other))),
    }
}

fn port(number: i32) -> Result<u16, String> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{number} is not a port number"))
}
