//! The bytes of a saved state: gzip, and in it a header and one change a line, as JSON. Pure.
//!
//! Gzip carries a checksum and the length, so that a file that was cut off or damaged shows it. `zcat` shows the
//! rest.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};

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
    /// What Namespaces say of topology is among the changes: agents before it did not read that.
    #[serde(default)]
    pub namespaces: bool,
    /// How many lines follow.
    pub changes: usize,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("it is cut off or damaged")]
    Damaged(#[source] io::Error),
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

/// The file, and the digest of what follows its header: the same state has the same digest. Each change is dropped as
/// soon as it is written, and the text is never held as a whole: a small machine has the state in memory already.
///
/// # Errors
/// Never in practice: all of it is memory.
pub fn pack(header: &Header, changes: impl IntoIterator<Item = Change>) -> io::Result<(Vec<u8>, u64)> {
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(&line_of(header)?)?;
    let mut digest = DefaultHasher::new();
    for change in changes {
        let line = line_of(&change)?;
        file.write_all(&line)?;
        digest.write(&line);
    }
    Ok((file.finish()?, digest.finish()))
}

fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A file of this text, whatever it is.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn packed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(text)?;
    file.finish()
}

/// The state in `bytes`, if it is `owner`'s, and whole.
///
/// # Errors
/// Everything that is not exactly a state that an agent of this format saved for `owner`.
pub fn read(bytes: &[u8], owner: &Owner) -> Result<Saved, Unusable> {
    let mut changes = Vec::new();
    let header = each_line(bytes, Some(owner), |line| {
        let number = changes.len() + 2;
        let read = serde_json::from_slice(line);
        changes.push(read.map_err(|source| Unusable::Change { number, source })?);
        Ok(())
    })?;
    if changes.len() != header.changes {
        return Err(Unusable::Count { found: changes.len(), said: header.changes });
    }
    Ok(Saved { header, changes })
}

/// The header, and the digest of what follows it; of any owner.
pub(super) fn digest(bytes: &[u8]) -> Result<(Header, u64), Unusable> {
    let mut digest = DefaultHasher::new();
    let header = each_line(bytes, None, |line| {
        digest.write(line);
        Ok(())
    })?;
    Ok((header, digest.finish()))
}

/// Calls `take` with each line behind the header, which it returns.
fn each_line(
    bytes: &[u8],
    owner: Option<&Owner>,
    mut take: impl FnMut(&[u8]) -> Result<(), Unusable>,
) -> Result<Header, Unusable> {
    let mut rest = bytes;
    let mut text = BufReader::new(GzDecoder::new(&mut rest).take(MOST_TEXT));
    let mut line = Vec::new();
    text.read_until(b'\n', &mut line).map_err(Unusable::Damaged)?;
    let header = header(&line)?;
    if let Some(owner) = owner {
        is_of(&header, owner)?;
    }
    loop {
        line.clear();
        if text.read_until(b'\n', &mut line).map_err(Unusable::Damaged)? == 0 {
            break;
        }
        take(&line)?;
    }
    if text.get_ref().limit() == 0 {
        return Err(Unusable::TooLong);
    }
    drop(text);
    if rest.is_empty() { Ok(header) } else { Err(Unusable::Trailing) }
}

fn is_of(header: &Header, owner: &Owner) -> Result<(), Unusable> {
    let Header { node, server, .. } = header;
    if *node != owner.node {
        return Err(Unusable::Node { found: node.clone(), here: owner.node.clone() });
    }
    if *server != owner.server {
        return Err(Unusable::Server { found: server.clone(), here: owner.server.clone() });
    }
    Ok(())
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
