//! How answers are written.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::view::json;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Yaml,
}

impl Output {
    /// `value`, which is `text` for people, as it is written.
    ///
    /// # Errors
    /// The value cannot be written so.
    pub fn of(self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
        match self {
            Self::Table => Ok(text().into_bytes()),
            Self::Json => Ok([json::pretty(value)?, b"\n".to_vec()].concat()),
            Self::Yaml => yaml(value),
        }
    }

    /// Writes it to standard output.
    ///
    /// # Errors
    /// As [`of`](Self::of), and when it cannot be written there.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        let out = self.of(value, text)?;
        unless_closed(io::stdout().write_all(&out))
    }
}

/// The same texts as in JSON, in the same order.
pub(super) fn yaml(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(&json::compact(value)?)?;
    serde_saphyr::to_string(&value).map(String::into_bytes).map_err(io::Error::other)
}

/// What was done with standard output. The reader may have seen enough, as `head` does.
pub(super) fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let failed = |kind: io::ErrorKind| Err(kind.into());
        assert!(unless_closed(Ok(())).is_ok());
        assert!(unless_closed(failed(io::ErrorKind::BrokenPipe)).is_ok());
        assert!(unless_closed(failed(io::ErrorKind::StorageFull)).is_err());
    }

    #[test]
    fn yaml_says_what_json_says_and_no_text_in_it_steers_a_terminal() {
        let value = serde_json::json!({"b": ["10.96.0.1:80", "yes", "null", "1e3", "\u{1b}[31mred\u{7}", "a\nb: c", ""], "a": null, "n": 7});
        let text = String::from_utf8(yaml(&value).unwrap()).unwrap();
        assert!(text.chars().all(|sign| sign == '\n' || !sign.is_control()), "{text:?}");
        let back: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let as_json: serde_json::Value = serde_json::from_slice(&json::compact(&value).unwrap()).unwrap();
        assert_eq!(back, as_json, "{text}");
    }
}
