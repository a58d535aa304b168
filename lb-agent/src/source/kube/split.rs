//! The items of a list, one at a time, while its bytes arrive. Pure.

/// No object of an API server is larger than what etcd takes, 1.5 MB by default.
const LARGEST: usize = 8 << 20;

/// What arrives is not a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was sent is not a list of objects")]
pub(super) struct NotAList;

/// Cuts a JSON list into its items. What stands around them is kept for the end, so that a list
/// takes as much memory as its largest item.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Open braces and brackets.
    depth: u32,
    place: Place,
    in_items: bool,
    /// Where in `head` the last string of the outermost object begins, behind its quote.
    string_at: usize,
    last: Vec<u8>,
    /// Everything but the items.
    head: Vec<u8>,
    item: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    OutsideString,
    InString,
    /// In a string, behind a backslash.
    Escaped,
}

impl Splitter {
    /// Takes the next bytes, and calls `each` with the items that they complete: first with what stands
    /// before all items, then with the item.
    pub(super) fn feed<E: From<NotAList>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for byte in bytes {
            if self.step(*byte)? {
                each(&self.head, &self.item)?;
                self.item.clear();
            }
        }
        Ok(())
    }

    /// What stood around the items, with an empty list in their place.
    pub(super) fn finish(self) -> Result<Vec<u8>, NotAList> {
        if self.depth == 0 && self.place == Place::OutsideString { Ok(self.head) } else { Err(NotAList) }
    }

    /// Returns whether an item is complete.
    fn step(&mut self, byte: u8) -> Result<bool, NotAList> {
        let inside_item = self.in_items && self.depth > ITEMS;
        if self.place != Place::OutsideString {
            self.keep(byte, inside_item)?;
            self.string(byte);
            return Ok(false);
        }
        match byte {
            b'{' | b'[' => {
                let opens_items = byte == b'[' && self.depth == ITEMS - 1 && self.last == b"items";
                if self.in_items && self.depth == ITEMS && byte == b'[' {
                    return Err(NotAList);
                }
                self.in_items |= opens_items;
                self.depth += 1;
                self.keep(byte, self.in_items && !opens_items)?;
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or(NotAList)?;
                self.keep(byte, inside_item)?;
                if self.in_items && self.depth < ITEMS {
                    self.in_items = false;
                    self.last.clear();
                }
                return Ok(inside_item && self.depth == ITEMS);
            }
            b'"' => {
                self.place = Place::InString;
                self.keep(byte, inside_item)?;
                self.string_at = self.head.len();
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' if self.in_items && self.depth == ITEMS => {}
            _ if self.in_items && self.depth == ITEMS => return Err(NotAList),
            _ => self.keep(byte, inside_item)?,
        }
        Ok(false)
    }

    fn string(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::InString, b'\\') => Place::Escaped,
            (Place::InString, b'"') => Place::OutsideString,
            _ => Place::InString,
        };
        if self.place == Place::OutsideString && self.depth == ITEMS - 1 {
            let end = self.head.len() - 1;
            self.last = self.head.get(self.string_at..end).unwrap_or_default().to_vec();
        }
    }

    fn keep(&mut self, byte: u8, in_item: bool) -> Result<(), NotAList> {
        let into = if in_item { &mut self.item } else { &mut self.head };
        if into.len() >= LARGEST {
            return Err(NotAList);
        }
        into.push(byte);
        Ok(())
    }
}

/// How deep the brackets of `items` lie, themselves included.
const ITEMS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, at_once: usize) -> Result<(Vec<String>, String), NotAList> {
        let mut splitter = Splitter::default();
        let mut items = Vec::new();
        for bytes in text.as_bytes().chunks(at_once) {
            splitter.feed(bytes, |_before, item| -> Result<(), NotAList> {
                items.push(String::from_utf8(item.to_vec()).unwrap());
                Ok(())
            })?;
        }
        Ok((items, String::from_utf8(splitter.finish()?).unwrap()))
    }

    #[test]
    fn items_come_out_whole_however_the_bytes_arrive() {
        for (shows, text, items, head) in [
            ("none", r#"{"kind":"L","items":[]}"#, "", r#"{"kind":"L","items":[]}"#),
            ("null", r#"{"items":null,"a":1}"#, "", r#"{"items":null,"a":1}"#),
            (
                "two",
                r#"{"items":[{"a":1},{"b":[2]}],"c":3}"#,
                r#"{"a":1}|{"b":[2]}"#,
                r#"{"items":[],"c":3}"#,
            ),
            (
                "with blanks between",
                "{\"items\": [\n {\"a\": 1} ,\n {}\n ] }\n",
                r#"{"a": 1}|{}"#,
                "{\"items\": [] }\n",
            ),
            (
                "brackets and quotes inside of texts",
                r#"{"x":"]\"}","items":[{"a":"}\\\"]["}]}"#,
                r#"{"a":"}\\\"]["}"#,
                r#"{"x":"]\"}","items":[]}"#,
            ),
            (
                "another thing of that name further in",
                r#"{"metadata":{"items":[1]},"items":[{"items":[1]}]}"#,
                r#"{"items":[1]}"#,
                r#"{"metadata":{"items":[1]},"items":[]}"#,
            ),
            (
                "the word as a value",
                r#"{"kind":"items","list":[1],"items":[{}]}"#,
                "{}",
                r#"{"kind":"items","list":[1],"items":[]}"#,
            ),
        ] {
            for at_once in [1, 2, 3, 1000] {
                let (found, around) = split(text, at_once).unwrap();
                assert_eq!((found.join("|").as_str(), around.as_str()), (items, head), "{shows}");
            }
        }
    }

    #[test]
    fn half_a_list_and_what_is_none_are_told_apart_from_a_list() {
        for text in [
            r#"{"items":[{"a":1}"#,
            r#"{"items":[{"a":1}]"#,
            r#"{"a":"}"#,
            "}",
            r#"{"items":[5]}"#,
            r#"{"items":[[]]}"#,
        ] {
            assert_eq!(split(text, 1000), Err(NotAList), "{text}");
        }
    }
}
