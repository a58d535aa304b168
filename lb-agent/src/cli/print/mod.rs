//! Answers as people read them.

pub mod check;
pub mod explain;
pub mod loops;
pub mod nodes;
pub mod plan;
pub mod services;
pub mod sockets;
pub mod status;
pub mod trace;

use crate::shown::escaped;

/// What `lb-agent` printed on another node, as it is shown.
#[must_use]
pub fn foreign(text: &[u8]) -> String {
    lines(&String::from_utf8_lossy(text))
}

/// A text of several lines as it is shown. What is in it comes from files, an API server, and agents of other
/// versions; a line may hold many names, and is not cut.
fn lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => escaped(line) + "\n",
            None => escaped(line),
        })
        .collect()
}
