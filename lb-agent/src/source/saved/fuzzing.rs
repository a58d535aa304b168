//! For fuzzers: the bytes of a file that someone else may have written.

use super::{Owner, format};
use crate::model::Change;

/// The changes that a file of these bytes, or of this text, would bring; empty where it is refused.
#[must_use]
pub(crate) fn changes(data: &[u8]) -> Vec<Change> {
    let owner = Owner { node: "n1".to_owned(), server: "https://192.0.2.1:6443".to_owned() };
    let packed = format::packed(data).unwrap_or_default();
    let read = [data, &packed].into_iter().filter_map(|bytes| format::read(bytes, &owner).ok());
    read.flat_map(|saved| saved.changes).collect()
}
