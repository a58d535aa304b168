//! The lines of a watch while its bytes arrive. Pure.

/// No event is longer.
const LONGEST: usize = 8 << 20;

/// A line has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event without an end")]
pub(super) struct TooLong;

/// Bytes that have arrived and were not read.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Up to where they were read.
    read: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line that is not blank.
    ///
    /// # Errors
    /// The line is too long to be an event.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let from = self.searched;
            let Some(length) = self.bytes[from..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                return if self.bytes.len() - self.read > LONGEST { Err(TooLong) } else { Ok(None) };
            };
            let (start, end) = (self.read, from + length);
            self.read = end + 1;
            self.searched = self.read;
            // However the bytes came: without its end, so long a line is an error before it has one.
            if end - start > LONGEST {
                return Err(TooLong);
            }
            if !self.bytes[start..end].trim_ascii().is_empty() {
                return Ok(Some(&self.bytes[start..end]));
            }
        }
    }

    /// Whether a line has begun that is not blank and has no end.
    pub(super) fn is_cut(&self) -> bool {
        !self.bytes[self.read..].trim_ascii().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_the_bytes_arrive() {
        for (text, expected, is_cut) in [
            ("", vec![], false),
            ("a\nbc\n", vec!["a", "bc"], false),
            ("a\nbc", vec!["a"], true),
            ("\n\na\n \r\n\n", vec!["a"], false),
            ("a\n \n  ", vec!["a"], false),
        ] {
            for at_once in [1, 2, 1000] {
                let mut frames = Frames::default();
                let mut lines = Vec::new();
                for bytes in text.as_bytes().chunks(at_once) {
                    frames.push(bytes);
                    while let Some(line) = frames.next().unwrap() {
                        lines.push(String::from_utf8(line.to_vec()).unwrap());
                    }
                }
                assert_eq!(
                    (lines, frames.is_cut()),
                    (expected.iter().map(ToString::to_string).collect(), is_cut)
                );
            }
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut frames = Frames::default();
        frames.push(&vec![b'x'; LONGEST]);
        assert_eq!(frames.next(), Ok(None));
        frames.push(b"x");
        assert_eq!(frames.next(), Err(TooLong));
    }

    #[test]
    fn how_long_a_line_may_be_does_not_depend_on_how_its_bytes_arrive() {
        for (length, is_taken) in [(LONGEST, true), (LONGEST + 1, false)] {
            let line = [vec![b'x'; length], b"\n".to_vec()].concat();
            for at_once in [1 << 20, line.len()] {
                let mut frames = Frames::default();
                let outcome = line.chunks(at_once).try_for_each(|bytes| {
                    frames.push(bytes);
                    frames.next().map(drop)
                });
                assert_eq!(outcome.is_ok(), is_taken, "{length} bytes, {at_once} at once");
            }
        }
    }
}
