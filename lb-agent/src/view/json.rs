//! Values as JSON that is shown: no text in it can steer a terminal or be a book, in whichever field. Pure.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::shown::{Cut, MOST_OF_A_SENTENCE};

/// On one line.
///
/// # Errors
/// As the value's own `Serialize`.
pub fn compact(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    written(value, CompactFormatter)
}

/// For people.
///
/// # Errors
/// As the value's own `Serialize`.
pub fn pretty(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    written(value, PrettyFormatter::new())
}

fn written(value: &impl Serialize, layout: impl Formatter) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    let texts = Cut::new(MOST_OF_A_SENTENCE);
    value.serialize(&mut Serializer::with_formatter(&mut text, Texts { layout, texts }))?;
    Ok(text)
}

/// Lays out as `layout` does, and watches over every text.
struct Texts<F> {
    layout: F,
    /// What is left of the text that is being written.
    texts: Cut,
}

impl<F: Formatter> Formatter for Texts<F> {
    fn begin_string<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.texts = Cut::new(MOST_OF_A_SENTENCE);
        self.layout.begin_string(to)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        self.texts.take(fragment, |part| put(to, part))
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, to: &mut W, escape: CharEscape) -> io::Result<()> {
        let one = match escape {
            CharEscape::Quote => return self.texts.take_as(1, "\\\"", |part| to.write_all(part.as_bytes())),
            CharEscape::ReverseSolidus => {
                return self.texts.take_as(1, "\\\\", |part| to.write_all(part.as_bytes()));
            }
            CharEscape::Solidus => '/',
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{c}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => char::from(byte),
        };
        self.texts.take(one.encode_utf8(&mut [0; 4]), |part| put(to, part))
    }

    fn end_string<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.texts.end(|part| put(to, part))?;
        self.layout.end_string(to)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.begin_array(to)
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.end_array(to)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_array_value(to, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.end_array_value(to)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_object_key(to, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.end_object_key(to)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(to)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.layout.end_object_value(to)
    }
}

/// A part of a text, of which nothing but a backslash is still to be escaped.
fn put<W: ?Sized + Write>(to: &mut W, part: &str) -> io::Result<()> {
    let mut pieces = part.split('\\');
    to.write_all(pieces.next().unwrap_or_default().as_bytes())?;
    pieces.try_for_each(|piece| {
        to.write_all(b"\\\\")?;
        to.write_all(piece.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_needs_no_care_is_as_serde_writes_it() {
        let value = json!({"a": [1, -2.5, true, null, {}, []], "b": {"c \"quoted\" \\ back/": "ä 上 🦀"}});
        assert_eq!(compact(&value).unwrap(), serde_json::to_vec(&value).unwrap());
        assert_eq!(pretty(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap());
    }

    #[test]
    fn no_text_steers_a_terminal_or_is_a_book() {
        let odd = "a\n\u{1b}[31m\u{9b}\u{202e}\u{0}\u{7f}\"\\b";
        let value = json!({"odd": odd, odd: ["x".repeat(250_000), "y"]});
        for text in [compact(&value), pretty(&value)].map(Result::unwrap) {
            let read: Value = serde_json::from_slice(&text).unwrap();
            let shown = "a\\n\\u{1b}[31m\\u{9b}\\u{202e}\\u{0}\\u{7f}\"\\b";
            assert_eq!(read["odd"], shown);
            let long = format!("{}… (250000 bytes)", "x".repeat(MOST_OF_A_SENTENCE));
            assert_eq!(read[shown], json!([long, "y"]));
        }
    }
}
