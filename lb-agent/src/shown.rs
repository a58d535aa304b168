//! Texts of others as they are shown in logs, status, plans, Events and errors. Pure.
//!
//! A name comes from a file or an API server that others write: it may hold lines, commands to a terminal, or
//! a book. What is shown of it is one line of bounded length. Names are made such where they are put into a
//! sentence ([`Shown`], [`Quoted`]); besides, every way out looks at the whole once more ([`line`], [`Cut`]).

use std::error::Error;
use std::fmt::{self, Write as _};

/// No single text of others is shown longer, in bytes.
const MOST: usize = 256;
/// No sentence is, with all the names in it.
pub(crate) const MOST_OF_A_SENTENCE: usize = 2048;

/// A text of others: what is no letter, digit or sign is escaped, and its length is limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(f, MOST, self.0)
    }
}

/// The same in quotation marks, those within it escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut cut = Cut::new(MOST);
        for part in self.0.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(before) => {
                    cut.take(before, |text| f.write_str(text))?;
                    let mark = &part[before.len()..];
                    cut.take_as(mark.len(), if mark == "\"" { "\\\"" } else { "\\\\" }, |text| {
                        f.write_str(text)
                    })?;
                }
                None => cut.take(part, |text| f.write_str(text))?,
            }
        }
        cut.end(|text| f.write_str(text))?;
        f.write_char('"')
    }
}

/// A text of others as it is shown.
pub(crate) fn shown(text: &str) -> String {
    cut(MOST, text)
}

/// A sentence with names in it, as one line.
pub(crate) fn line(text: &str) -> String {
    cut(MOST_OF_A_SENTENCE, text)
}

/// A text of any length as one line.
pub(crate) fn escaped(text: &str) -> String {
    cut(usize::MAX, text)
}

/// An error with its causes. Some libraries say the cause in their own text too: it is not said twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let says = next.to_string();
        if !says.is_empty() && !text.ends_with(&says) {
            text = format!("{text}: {says}");
        }
        cause = next.source();
    }
    text
}

fn cut(most: usize, text: &str) -> String {
    let mut shown = String::new();
    // Writing to a String cannot fail.
    _ = write_cut(&mut shown, most, text);
    shown
}

fn write_cut(to: &mut impl fmt::Write, most: usize, text: &str) -> fmt::Result {
    let mut cut = Cut::new(most);
    cut.take(text, |part| to.write_str(part))?;
    cut.end(|part| to.write_str(part))
}

/// What goes out of a text that comes piece by piece.
#[derive(Debug)]
pub(crate) struct Cut {
    /// What may still go out, in bytes; `None` once there was more.
    room: Option<usize>,
    /// The length of all that came.
    bytes: usize,
}

impl Cut {
    pub(crate) const fn new(most: usize) -> Self {
        Self { room: Some(most), bytes: 0 }
    }

    /// Calls `put` with what goes out of the next piece.
    ///
    /// # Errors
    /// As `put`.
    pub(crate) fn take<E>(
        &mut self,
        text: &str,
        mut put: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = text;
        while let Some(odd) = rest.find(|one| !is_plain(one)) {
            let (plain, from) = rest.split_at(odd);
            self.plain(plain, &mut put)?;
            let Some(one) = from.chars().next() else { break };
            self.take_as(one.len_utf8(), &one.escape_default().to_string(), &mut put)?;
            rest = &from[one.len_utf8()..];
        }
        self.plain(rest, &mut put)
    }

    /// The same of a piece of so many bytes that goes out as `part`, or not at all.
    ///
    /// # Errors
    /// As `put`.
    pub(crate) fn take_as<E>(
        &mut self,
        bytes: usize,
        part: &str,
        mut put: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes += bytes;
        self.room = self.room.and_then(|room| room.checked_sub(part.len()));
        if self.room.is_some() { put(part) } else { Ok(()) }
    }

    /// Calls `put` with how long the whole was, if not all of it went out.
    ///
    /// # Errors
    /// As `put`.
    pub(crate) fn end<E>(&self, mut put: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        if self.room.is_some() { Ok(()) } else { put(&format!("… ({} bytes)", self.bytes)) }
    }

    /// A piece of which nothing is escaped.
    fn plain<E>(&mut self, text: &str, put: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        self.bytes += text.len();
        let Some(room) = self.room else { return Ok(()) };
        let fits = text.floor_char_boundary(room);
        self.room = (fits == text.len()).then(|| room - fits);
        if fits == 0 { Ok(()) } else { put(&text[..fits]) }
    }
}

fn is_plain(one: char) -> bool {
    !one.is_control() && !is_invisible(one)
}

/// Marks that change how what stands around them is shown, or that are not seen at all.
const fn is_invisible(one: char) -> bool {
    matches!(
        one,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_is_one_line_and_steers_nothing() {
        for (text, expected) in [
            ("", ""),
            ("default/web", "default/web"),
            ("Ärger mit \"Zeichen\" 上海 🦀", "Ärger mit \"Zeichen\" 上海 🦀"),
            ("a\nWARN forged", "a\\nWARN forged"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{1b}[31mred\u{9b}0m", "\\u{1b}[31mred\\u{9b}0m"),
            ("bell\u{7}\u{0}\u{7f}", "bell\\u{7}\\u{0}\\u{7f}"),
            ("line\u{2028}and\u{85}end", "line\\u{2028}and\\u{85}end"),
            ("turned \u{202e}around", "turned \\u{202e}around"),
            ("hid\u{200b}den\u{feff}\u{e0041}", "hid\\u{200b}den\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
            assert_eq!(line(text), expected, "{text:?}");
            assert_eq!(shown(&shown(text)), expected, "once more changes nothing: {text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_long_it_was() {
        for (text, expected) in [
            ("x".repeat(256), "x".repeat(256)),
            ("x".repeat(257), format!("{}… (257 bytes)", "x".repeat(256))),
            ("x".repeat(250_000), format!("{}… (250000 bytes)", "x".repeat(256))),
            ("上".repeat(100), format!("{}… (300 bytes)", "上".repeat(85))),
            // What is escaped counts as it is shown, and is not cut within.
            ("\n".repeat(200), format!("{}… (200 bytes)", "\\n".repeat(128))),
            (format!("{}\u{1b}x", "x".repeat(252)), format!("{}… (254 bytes)", "x".repeat(252))),
        ] {
            assert_eq!(shown(&text), expected);
        }
        assert_eq!(line(&"x".repeat(3000)), format!("{}… (3000 bytes)", "x".repeat(2048)));
    }

    #[test]
    fn a_quoted_text_ends_where_it_seems_to() {
        for (text, expected) in [
            ("", "\"\""),
            ("rack", "\"rack\""),
            ("a\" (item 1) is \\", "\"a\\\" (item 1) is \\\\\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(Quoted(text).to_string(), expected, "{text:?}");
        }
        let long = Quoted(&"\"".repeat(300)).to_string();
        assert_eq!(long, format!("\"{}… (300 bytes)\"", "\\\"".repeat(128)));
    }
}
