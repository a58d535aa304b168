//! The bytes of a saved state: gzip, and in it a header and one change a line, as JSON. Pure.
//!
//! Gzip carries a checksum and the length, so that a file that was cut off or damaged shows it. `zcat` shows the
//! rest.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::model::{Change, Moment};
use crate::shown::{line, shown};

use super::{Owner, Saved};

/// What the lines mean. Raised when a file that was written before could be read as something else; a new field
/// with a default is no reason.
pub const FORMAT: u32 = 1;

/// No state that a node can hold is longer, in bytes of text.
const MOST_TEXT: u64 = 1 << 30;

/// No header is longer.
const MOST_HEADER: u64 = 64 << 10;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`] of the agent that wrote it.
    pub format: u32,
    /// [`Owner::node`].
    pub node: String,
    /// [`Owner::server`].
    pub server: String,
    pub saved: Moment,
    /// [`Pace::level`](super::Pace::level) after this write.
    #[serde(default)]
    pub level: u32,
    /// How many lines follow.
    pub changes: usize,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("it is cut off or damaged")]
    Damaged(#[source] std::io::Error),
    #[error("it has something behind its end")]
    Trailing,
    #[error("it is longer than any state can be")]
    TooLong,
    #[error("its first line is not that of a saved state")]
    Header(#[source] serde_json::Error),
    #[error("it is written in format {0}, and this agent reads format {FORMAT}")]
    Format(u32),
    #[error("it is the state of Node {}, and this is {}", shown(.found), shown(.here))]
    Node { found: String, here: String },
    #[error("it is the state of the API server {}, and this agent follows {}", shown(.found), shown(.here))]
    Server { found: String, here: String },
    #[error("its line {number} cannot be read: {}", line(&.source.to_string()))]
    Change {
        number: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("it has {found} changes, and its first line says {said}")]
    Count { found: usize, said: usize },
}

/// What follows the header, as text: the same state has the same text.
///
/// # Panics
/// Never: a change has no part that JSON cannot hold.
#[must_use]
pub fn body(changes: &[Change]) -> Vec<u8> {
    let mut text = Vec::new();
    for change in changes {
        // Writing into memory does not fail.
        if serde_json::to_writer(&mut text, change).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// The file: `header`, then the lines of [`body`].
///
/// # Errors
/// Never in practice: all of it is memory.
pub fn write(header: &Header, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut first = serde_json::to_vec(header)?;
    first.push(b'\n');
    packed(&first, body)
}

/// The two as one file.
pub(super) fn packed(first: &[u8], body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(first)?;
    file.write_all(body)?;
    file.finish()
}

/// The state in `bytes`, if it is `owner`'s, and whole.
///
/// # Errors
/// Everything that is not exactly a state that an agent of this format saved for `owner`.
pub fn read(bytes: &[u8], owner: &Owner) -> Result<Saved, Unusable> {
    let (header, text) = unpack(bytes)?;
    if header.node != owner.node {
        return Err(Unusable::Node { found: header.node, here: owner.node.clone() });
    }
    if header.server != owner.server {
        return Err(Unusable::Server { found: header.server, here: owner.server.clone() });
    }
    let changes = changes(&text)?;
    if changes.len() != header.changes {
        return Err(Unusable::Count { found: changes.len(), said: header.changes });
    }
    Ok(Saved { header, changes })
}

/// The header, and the text that follows it.
pub(super) fn unpack(bytes: &[u8]) -> Result<(Header, Vec<u8>), Unusable> {
    let mut rest = bytes;
    let mut text = BufReader::new(GzDecoder::new(&mut rest).take(MOST_TEXT));
    let mut first = Vec::new();
    text.read_until(b'\n', &mut first).map_err(Unusable::Damaged)?;
    let mut body = Vec::new();
    text.read_to_end(&mut body).map_err(Unusable::Damaged)?;
    if first.len() + body.len() == MOST_TEXT as usize {
        return Err(Unusable::TooLong);
    }
    drop(text);
    if !rest.is_empty() {
        return Err(Unusable::Trailing);
    }
    Ok((header(&first)?, body))
}

/// The header alone, without a proof that the rest is whole.
pub(super) fn peek(file: impl std::io::Read) -> Option<Header> {
    let text = GzDecoder::new(BufReader::new(file)).take(MOST_HEADER);
    let mut first = Vec::new();
    BufReader::new(text).read_until(b'\n', &mut first).ok()?;
    header(&first).ok()
}

/// The format stands first of all: what else the line holds is another format's business.
fn header(first: &[u8]) -> Result<Header, Unusable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(first).map_err(Unusable::Header)?;
    if format != FORMAT {
        return Err(Unusable::Format(format));
    }
    serde_json::from_slice(first).map_err(Unusable::Header)
}

fn changes(text: &[u8]) -> Result<Vec<Change>, Unusable> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    let read = |(at, line)| {
        serde_json::from_slice(line).map_err(|source| Unusable::Change { number: at + 2, source })
    };
    lines.map(read).collect()
}
